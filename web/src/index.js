/** Lictor in JavaScript: .bin files to pictures, as the Python package decodes them, and back. */

import { ask } from "./client.js";
import { readHeader } from "./format.js";
import { fromRgba, readImage } from "./pixels.js";

export * from "./errors.js";

/** @typedef {import("./decode.js").Picture} Picture */
/** @typedef {import("./jobs.js").Options} Options */
/** @typedef {import("./encode.js").Image} Image */

/** @param {ArrayBuffer | Uint8Array | Blob} data */
async function bytesOf(data) {
  if (data instanceof Uint8Array) return data;
  return new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data);
}

/**
 * The picture of a file. Rejects with a CodecError.
 * @param {ArrayBuffer | Uint8Array | Blob} data @param {Options} [options] @returns {Promise<Picture>}
 */
export async function decode(data, options) {
  return ask("decode", await bytesOf(data), options);
}

/**
 * A picture as PNG, which says the same of its colours.
 * @param {Picture} picture @param {Options} [options] @returns {Promise<Blob>}
 */
export function toPng(picture, options) {
  return ask("png", picture, options);
}

/**
 * A file of a picture: of samples, of an ImageData, or of a file that the browser reads.
 * @param {Image | ImageData | Blob} image @param {Options} [options] quality 0…100 (40), model, method
 * @returns {Promise<Uint8Array>}
 */
export async function encode(image, options) {
  const own = image instanceof Blob ? await readImage(image) : "samples" in image ? image : fromRgba(image);
  const { width, height, channels, depth, samples } = own;
  return ask("encode", { width, height, channels, depth, samples }, options);
}

/**
 * Width, height, channels, depth and quality of a file, from its first hundred bytes.
 * @param {ArrayBuffer | Uint8Array | Blob} data
 */
export async function info(data) {
  const header = readHeader(await bytesOf(data));
  const { width, height, channels, depth, mapped, step } = header;
  return { width, height, channels, depth, mapped, quality: step / 4 };
}
