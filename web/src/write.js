/** Writes the container: what format.js reads. */

import { Grid } from "./boxes.js";
import {
  BLOCK, blockCount, BLOCKS_PER_BYTE, crc16, FREE_BLOCKS, KIND, MAGIC, VERSION,
} from "./format.js";
import { Writer } from "./reader.js";
import { encodeVp8l } from "./vp8l_write.js";

const MODEL_IDS = 2 ** 28;

/** @typedef {import("./format.js").Header} Header */
/** @typedef {(data: Uint8Array) => number} Crc */

/** @typedef {{stream: Uint8Array, checksum: number}} CodedTile */

/**
 * @typedef {object} Coded what a method made of a picture
 * @property {Grid} grid
 * @property {CodedTile[]} tiles of the grid, those that there are
 * @property {Uint8Array | null} mask blocks that it codes; null: all
 */

/**
 * @param {{width: number, height: number, channels: number, depth: number, step: number}} picture
 * @param {{entry: import("./weights.js").Entry, coded: Coded} | null} network
 * @param {Map<number, Coded>} overlays by kind @param {Uint8Array | null} alpha payload @param {Crc} crc32
 */
export function write(picture, network, overlays, alpha, crc32) {
  /** @type {[number, Uint8Array][]} */
  const sections = [];
  let latents = 0;
  if (network) {
    const { tiles } = network.coded;
    latents = tiles[0].checksum;
    if (tiles.length > 1) {
      const { table, checksum } = tileTable(network.coded, crc32);
      latents = checksum;
      sections.push([KIND.tiles, table]);
    }
    sections.push([KIND.latents, concatenated(tiles.map(({ stream }) => stream))]);
  }
  for (const [kind, coded] of overlays) sections.push([kind, overlay(coded, crc32)]);
  if (alpha) sections.push([KIND.alpha, alpha]);
  const file = () => concatenated([header(picture, network?.entry, latents), ...chained(sections, crc32)]);
  let data = file();
  const missing = Math.ceil((blockCount(picture) - FREE_BLOCKS) / BLOCKS_PER_BYTE) - data.length;
  if (missing > 0) {
    sections.push([KIND.padding, new Uint8Array(missing)]);
    data = file();
  }
  return data;
}

/** @param {Uint8Array[]} parts */
function concatenated(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * @param {{width: number, height: number, channels: number, depth: number, step: number}} picture
 * @param {import("./weights.js").Entry | undefined} entry @param {number} latents
 */
function header({ width, height, channels, depth, step }, entry, latents) {
  const out = new Writer();
  out.raw(MAGIC);
  out.uint(VERSION);
  if (entry && entry.id < MODEL_IDS) out.varint(entry.id);
  else out.raw([0, 0]);
  out.raw([0, 1, 2, 3].map((i) => (entry ? parseInt(entry.sha256.slice(2 * i, 2 * i + 2), 16) : 0)));
  out.varint(width);
  out.varint(height);
  out.uint(channels | (depth === 16 ? 8 : 0));
  out.varint(step);
  out.uint(latents, 4);
  out.uint(crc16(Uint8Array.from(out.bytes)), 2);
  return Uint8Array.from(out.bytes);
}

/** @param {[number, Uint8Array][]} sections @param {Crc} crc32 */
function chained(sections, crc32) {
  const optional = (/** @type {number} */ kind) => kind === KIND.padding;
  return sections.flatMap(([kind, payload], i) => {
    const start = new Writer();
    start.uint(kind | (i < sections.length - 1 ? 64 : 0) | (optional(kind) ? 128 : 0));
    start.varint(payload.length);
    const body = concatenated([Uint8Array.from(start.bytes), payload]);
    const end = new Writer();
    end.uint(crc32(body), 4);
    return [body, Uint8Array.from(end.bytes)];
  });
}

/** @param {Writer} out @param {Coded} coded @param {Crc} crc32 */
function putTiles(out, { tiles }, crc32) {
  for (const { stream, checksum } of tiles) {
    out.varint(stream.length);
    out.uint(crc32(stream), 4);
    out.uint(checksum, 4);
  }
}

/** @param {Writer} out @param {Grid} grid */
function putSides(out, { tile }) {
  out.varint(tile.width / BLOCK);
  out.varint(tile.height / BLOCK);
}

/** @param {Coded} coded @param {Crc} crc32 */
function tileTable(coded, crc32) {
  const out = new Writer(), checks = new Writer();
  putSides(out, coded.grid);
  putTiles(out, coded, crc32);
  for (const { checksum } of coded.tiles) checks.uint(checksum, 4);
  return { table: Uint8Array.from(out.bytes), checksum: crc32(Uint8Array.from(checks.bytes)) };
}

/** @param {Coded} coded @param {Crc} crc32 */
function overlay(coded, crc32) {
  const out = new Writer(), { mask } = coded;
  putSides(out, coded.grid);
  out.uint(mask ? 1 : 0);
  if (mask) out.raw(packedMask(mask));
  putTiles(out, coded, crc32);
  out.uint(crc32(Uint8Array.from(out.bytes)), 4);
  return concatenated([Uint8Array.from(out.bytes), ...coded.tiles.map(({ stream }) => stream)]);
}

/** A bit each, the lowest first. @param {Uint8Array} mask */
export function packedMask(mask) {
  const packed = new Uint8Array(Math.ceil(mask.length / 8));
  mask.forEach((bit, i) => {
    packed[i >> 3] |= bit << (i & 7);
  });
  return packed;
}

/**
 * The payload of an alpha plane.
 * @param {Uint8Array | Uint16Array} alpha @param {number} width @param {number} height
 */
export function alphaPayload(alpha, width, height) {
  const out = new Writer();
  for (const box of new Grid({ width, height }, { width: 1024, height: 1024 })) {
    const tile = alpha.slice(0, box.width * box.height);
    for (let y = 0; y < box.height; y++) {
      const from = (box.top + y) * width + box.left;
      tile.set(alpha.subarray(from, from + box.width), y * box.width);
    }
    if (tile.every((value) => value === tile[0])) {
      out.varint(0);
      out.uint(tile[0], tile.BYTES_PER_ELEMENT);
    } else {
      const stream = encodeVp8l(tile, box.width, box.height);
      out.varint(stream.length);
      out.raw(stream);
    }
  }
  return Uint8Array.from(out.bytes);
}

