/** Samples of what a browser can show. */

import { UnsupportedImage } from "./errors.js";

/** @typedef {import("./encode.js").Image} Image */

/**
 * The picture of a file that the browser reads (JPEG, PNG, WebP, AVIF …): upright, in sRGB, 8 bits.
 * Where alpha is low, colours are as exact as a canvas keeps them.
 * @param {Blob} file @returns {Promise<Image>}
 */
export async function readImage(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
  } catch {
    throw new UnsupportedImage("not a picture that this browser reads; give a JPEG, PNG or WebP");
  }
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  if (!context) throw new UnsupportedImage(`${width}x${height} pixels are more than this browser draws`);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return fromRgba(context.getImageData(0, 0, width, height));
}

/**
 * In the fewest channels: gray, RGB, and alpha where something shines through.
 * @param {{width: number, height: number, data: ArrayLike<number>}} rgba @returns {Image}
 */
export function fromRgba({ width, height, data }) {
  let gray = true, opaque = true;
  for (let i = 0; i < data.length; i += 4) {
    gray &&= data[i] === data[i + 1] && data[i] === data[i + 2];
    opaque &&= data[i + 3] === 255;
  }
  const colours = gray ? 1 : 3, channels = colours + (opaque ? 0 : 1);
  const samples = new Uint8Array(width * height * channels);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    for (let k = 0; k < colours; k++) samples[to++] = data[from + k];
    if (!opaque) samples[to++] = data[from + 3];
  }
  return { width, height, channels: /** @type {1 | 2 | 3 | 4} */ (channels), depth: 8, samples };
}
