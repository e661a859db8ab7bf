/** Lictor in JavaScript: decodes .bin files to pictures, exactly as the Python package does. */

import { ask } from "./client.js";
import { readHeader } from "./format.js";

export * from "./errors.js";

/** @typedef {import("./decode.js").Picture} Picture */
/** @typedef {import("./jobs.js").Options} Options */

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
 * Width, height, channels, depth and quality of a file, from its first hundred bytes.
 * @param {ArrayBuffer | Uint8Array | Blob} data
 */
export async function info(data) {
  const header = readHeader(await bytesOf(data));
  const { width, height, channels, depth, mapped, step } = header;
  return { width, height, channels, depth, mapped, quality: step / 4 };
}
