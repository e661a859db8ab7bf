/** Alpha, profiles, EXIF, colour signalling and quality maps: the sections beside the samples. */

import { Grid } from "./boxes.js";
import { damaged } from "./errors.js";
import { blocksOf, KIND } from "./format.js";
import { Reader } from "./reader.js";
import { decodeVp8l } from "./vp8l.js";

const MAX_METADATA = 2 ** 22;
const ALPHA_SIDE = 1024;
const MAX_ALPHA_TILE = 2 ** 24;
const PLACES = 4;
const MAX_INT = 2 ** 31 - 1;

/** @typedef {import("./format.js").File} File */

/** A section in raw deflate. @param {Uint8Array} payload */
export async function inflate(payload) {
  const io = new Reader(payload);
  const size = io.varint("size of the metadata", 1, MAX_METADATA);
  return inflateTo(io.rest(), size);
}

/** Raw deflate of so many bytes. @param {Uint8Array} packed @param {number} size */
export async function inflateTo(packed, size) {
  const wrong = () => damaged(`the metadata do not unpack to the ${size} bytes they declare`);
  const data = new Uint8Array(size);
  let filled = 0;
  try {
    for await (const part of unpackedParts(packed)) {
      if (filled + part.length > size) throw wrong();
      data.set(part, filled);
      filled += part.length;
    }
  } catch {
    throw wrong();
  }
  if (filled !== size) throw wrong();
  return data;
}

/** @param {Uint8Array} packed */
async function* unpackedParts(packed) {
  if (globalThis.process?.versions?.node) {
    // Its DecompressionStream does not mind what follows the data.
    const { inflateRawSync } = await import("node:zlib");
    const options = { maxOutputLength: MAX_METADATA, info: true };
    const { buffer, engine } = /** @type {any} */ (inflateRawSync(packed, options));
    if (engine.bytesWritten !== packed.length) throw new Error("bytes follow");
    yield buffer;
    return;
  }
  const blob = new Blob([/** @type {BlobPart} */ (packed)]);
  const stream = blob.stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * The alpha plane. @param {File} file @returns {Uint8Array | Uint16Array}
 */
export function readAlpha({ header, sections }) {
  const { width, height, depth } = header;
  const io = new Reader(/** @type {Uint8Array} */ (sections.get(KIND.alpha)));
  const alpha = depth === 8 ? new Uint8Array(width * height) : new Uint16Array(width * height);
  const side = { width: ALPHA_SIDE, height: ALPHA_SIDE };
  for (const box of new Grid(header, side)) {
    const size = io.varint("length of an alpha tile", 0, MAX_ALPHA_TILE);
    const one = size ? 0 : io.uint("alpha", { size: depth / 8 });
    const pixels = size ? decodeVp8l(io.raw("alpha tile", size), box.width, box.height) : null;
    for (let y = 0; y < box.height; y++) {
      const start = (box.top + y) * width + box.left;
      if (!pixels) alpha.fill(one, start, start + box.width);
      for (let x = 0; pixels && x < box.width; x++) {
        const pixel = pixels[y * box.width + x], green = (pixel >> 8) & 255;
        alpha[start + x] = depth === 8 ? green : (green << 8) | ((pixel >> 16) & 255);
      }
    }
  }
  io.end("the last tile of the alpha plane");
  return alpha;
}

/**
 * @typedef {object} Signalling what a file says of its colours, as PNG's chunks of these names do
 * @property {number[]} [cICP] primaries, transfer function, matrix 0, full range
 * @property {number} [sRGB] rendering intent
 * @property {number} [gAMA]
 * @property {number[]} [cHRM]
 * @property {number[]} [mDCV]
 * @property {number[]} [cLLI]
 */

/** @param {Uint8Array} payload @returns {Signalling} */
export function readSignalling(payload) {
  const io = new Reader(payload);
  const there = io.uint("kinds of colour signalling", { low: 1, high: 63 });
  /** @type {Signalling} */
  const said = {};
  if (there & 1) {
    const [primaries, transfer] = [io.uint("colour primaries"), io.uint("transfer function")];
    said.cICP = [primaries, transfer, 0, io.uint("full range", { high: 1 })];
  }
  if (there & 2) said.sRGB = io.uint("rendering intent", { high: 3 });
  if (there & 4) said.gAMA = io.varint("gamma", 0, MAX_INT) || 45455;
  if (there & 8) said.cHRM = readChromaticities(io);
  if (there & 16) {
    const sizes = [2, 2, 2, 2, 2, 2, 2, 2, 4, 4];
    said.mDCV = sizes.map((size) => io.uint("mastering display", { size }));
  }
  if (there & 32) said.cLLI = [0, 0].map(() => io.uint("content light level", { size: 4 }));
  io.end("the colour signalling");
  return said;
}

/** @param {Reader} io */
function readChromaticities(io) {
  const next = () => io.varint("chromaticity", 0, MAX_INT);
  const first = next();
  if (!first) return [31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000];
  const values = [first, next(), next(), next(), next(), next(), next(), next()];
  if (!values[1]) throw damaged("a white of 0 says nothing");
  return values;
}

/** What weights of a table stand for logarithms 0…3, times 2^(log / 4): FEATURES.md. */
const QUARTERS = [16, 19, 23, 27];
const TOTAL = 2 ** 14;

/** Frequencies of logarithms, by the rule of FEATURES.md; 0 of −1. @param {number[]} logs */
export function frequencies(logs) {
  const weights = logs.map((log) => (log < 0 ? 0 : QUARTERS[log % 4] * 2 ** Math.floor(log / 4)));
  const sum = weights.reduce((a, b) => a + b, 0);
  const free = TOTAL - weights.filter((weight) => weight).length;
  const shares = weights.map((weight) => weight && 1 + Math.floor((weight * free) / sum));
  const missing = TOTAL - shares.reduce((a, b) => a + b, 0);
  shares[weights.indexOf(Math.max(...weights))] += missing;
  return Uint16Array.from(shares);
}

/**
 * The step of quality of each place, row by row, 4 a block on each side.
 * @param {File} file @param {import("./coders.js").Coders} coders
 */
export function readQuality({ header, sections }, coders) {
  const { rows, columns } = blocksOf(header);
  const high = PLACES * rows, wide = PLACES * columns;
  if (!header.mapped) return new Int16Array(high * wide).fill(header.step);
  const io = new Reader(/** @type {Uint8Array} */ (sections.get(KIND.map)));
  const unit = io.varint("unit of the quality map", 1, 400);
  const levels = io.uint("levels of the quality map", { low: 2, high: 64 });
  if (unit * (levels - 1) > header.step) throw damaged("the quality map falls below quality 0");
  const way = io.uint("differences of the quality map", { high: 3 });
  const lowest = io.uint("lowest symbol of the quality map") - 126;
  const count = io.uint("symbols of the quality map", { low: 1, high: 253 });
  const logs = Array.from({ length: count }, () =>
    io.uint("frequency of the quality map", { high: 56 }));
  const table = { offset: lowest, frequencies: frequencies([...logs, -1]) };
  const map = coders.symbols(io.rest(), [table], null, high * wide);
  if (way & 1) for (let i = wide; i < map.length; i++) map[i] += map[i - wide];
  if (way & 2) for (let i = 0; i < map.length; i++) if (i % wide) map[i] += map[i - 1];
  let least = Infinity, most = -Infinity;
  for (const level of map) {
    least = Math.min(least, level);
    most = Math.max(most, level);
  }
  if (least !== 0 || most !== levels - 1) {
    throw damaged(`the quality map does not span its ${levels} levels`);
  }
  return Int16Array.from(map, (level) => header.step - unit * level);
}

/** That part of a map. @param {Int16Array} map @param {number} wide @param {import("./boxes.js").Box} box in places */
export function partOf(map, wide, { top, left, height, width }) {
  const part = new Int16Array(height * width);
  for (let y = 0; y < height; y++) {
    const start = (top + y) * wide + left;
    part.set(map.subarray(start, start + width), y * width);
  }
  return part;
}

