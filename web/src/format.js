/**
 * The container of a picture: codec/format/FORMAT.md, "Layout" to "Tiles", and "Other methods".
 * Everything is checked here that can be without a model.
 */

import {
  CorruptFile, damaged, NotALictorFile, TruncatedFile, UnsupportedFeature, UnsupportedVersion,
} from "./errors.js";
import { Reader } from "./reader.js";

export const MAGIC = [0x4c, 0x49, 0x43];
export const VERSION = 1;
export const BLOCK = 64;
/** Steps of quality: 100 is so many. */
export const STEPS = 400;
export const MAX_TILE_BLOCKS = 1024;
export const FREE_BLOCKS = 1024;
export const BLOCKS_PER_BYTE = 16;
const MAX_SIDE = 2 ** 20;
const MAX_PIXELS = 2 ** 31;
const MAX_SECTION = 2 ** 40;

export const KIND = /** @type {const} */ ({
  latents: 1, padding: 2, alpha: 3, icc: 4, exif: 5, tiles: 6, map: 7, colour: 8, linear: 9,
  lossless: 10, overfit: 11, networks: 12, wiener: 13,
});

/** What users read of the kinds of section, and whether a reader may skip them. */
const SECTIONS = new Map(/** @type {[number, [string, boolean]][]} */ ([
  [KIND.latents, ["latents", false]],
  [KIND.padding, ["padding", true]],
  [KIND.alpha, ["alpha plane", false]],
  [KIND.icc, ["colour profile", true]],
  [KIND.exif, ["EXIF data", true]],
  [KIND.tiles, ["tile table", false]],
  [KIND.map, ["quality map", false]],
  [KIND.colour, ["colour signalling", true]],
  [KIND.linear, ["linear blocks", false]],
  [KIND.lossless, ["lossless blocks", false]],
  [KIND.overfit, ["overfitted grids", false]],
  [KIND.networks, ["networks of the picture", false]],
  [KIND.wiener, ["Wiener filter", false]],
]));

/** Methods that code blocks, the lowest first. */
export const OVERLAYS = /** @type {const} */ (["overfit", "linear", "lossless"]);

/**
 * @typedef {object} Header
 * @property {number} modelId permanent number of shipped weights; 0 if they go by a name, or none
 * @property {string} modelName
 * @property {Uint8Array} weights first 4 bytes of the weights' SHA-256
 * @property {number} width
 * @property {number} height
 * @property {1 | 2 | 3 | 4} channels gray, gray and alpha, RGB, RGB and alpha
 * @property {8 | 16} depth bits a sample
 * @property {boolean} mapped whether quality varies
 * @property {number} step quality times 4; the highest, if it varies
 * @property {number} latents checksum
 * @property {boolean} network whether a network coded any of it
 */

/** @typedef {{size: number, check: number, latents: number}} Tile one tile's part */

/** @typedef {{width: number, height: number, tiles: Tile[]}} Table tiles and their sides in pixels */

/**
 * @typedef {object} Overlay what a method without a network coded
 * @property {Uint8Array} mask whether it codes a block, row by row
 * @property {Table} table
 * @property {{number: number, entry: Tile, stream: Uint8Array}[]} streams by tile of its grid
 */

/**
 * @typedef {object} File
 * @property {number} bytes
 * @property {Header} header
 * @property {Map<number, Uint8Array>} sections payloads of the known kinds
 * @property {Table | null} table of the latents, in tiles
 * @property {Map<number, Overlay>} overlays by kind
 */

/** CRC-16, "CCITT-FALSE". @param {Uint8Array} data */
export function crc16(data) {
  let crc = 0xffff;
  for (const byte of data) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}

/** Blocks of a picture: rows and columns. @param {{width: number, height: number}} size */
export function blocksOf({ width, height }) {
  return { rows: Math.ceil(height / BLOCK), columns: Math.ceil(width / BLOCK) };
}

/** @param {{width: number, height: number}} size */
export function blockCount(size) {
  const { rows, columns } = blocksOf(size);
  return rows * columns;
}

/**
 * A whole file, all of it checked but what its samples decode to.
 * @param {Uint8Array} data @param {(data: Uint8Array) => number} crc32
 * @returns {File}
 */
export function parse(data, crc32) {
  const io = new Reader(data);
  const header = readHeader(data, io);
  const { kinds, sections } = readSections(io, header, crc32);
  checkSections(header, kinds);
  const table = header.network && kinds[0] === KIND.tiles ? readTable(header, sections, crc32) : null;
  if (header.network && !table && blockCount(header) > MAX_TILE_BLOCKS) {
    throw damaged(`${header.width}x${header.height} pixels are not in tiles, as so many must be`);
  }
  const overlays = new Map();
  for (const name of OVERLAYS) {
    const payload = sections.get(KIND[name]);
    if (payload) overlays.set(KIND[name], readOverlay(header, payload, crc32));
  }
  checkCover(header, overlays);
  return { bytes: data.length, header, sections, table, overlays };
}

/**
 * What a file says before its payload; enough of its beginning will do.
 * @param {Uint8Array} data @param {Reader} [io] @returns {Header}
 */
export function readHeader(data, io = new Reader(data)) {
  checkMagic(data);
  io.raw("magic", MAGIC.length);
  const version = io.uint("format version");
  if (version !== VERSION) {
    throw new UnsupportedVersion(
      `format version ${version} is not known to this release, which reads version ${VERSION};` +
        " install the newest Lictor",
    );
  }
  const modelId = io.varint("model id", 0, 2 ** 28 - 1);
  const modelName = modelId ? "" : readName(io);
  const weights = io.raw("hash of the weights", 4);
  const width = io.varint("width", 1, MAX_SIDE);
  const height = io.varint("height", 1, MAX_SIDE);
  if (width * height > MAX_PIXELS) {
    throw damaged(`${width}x${height} is more than ${MAX_PIXELS} pixels`);
  }
  const samples = readSamples(io);
  const step = io.varint("quality", 0, STEPS);
  const latents = io.uint("checksum of the latents", { size: 4 });
  const check = crc16(io.since(0));
  if (io.uint("check of the header", { size: 2 }) !== check) {
    throw damaged("the header does not match its checksum");
  }
  const network = modelId > 0 || modelName !== "";
  if (!network && (latents || weights.some((byte) => byte))) {
    throw damaged("there are weights, or latents, of no network");
  }
  return { modelId, modelName, weights, width, height, ...samples, step, latents, network };
}

/** @param {Uint8Array} data */
function checkMagic(data) {
  const start = data.subarray(0, MAGIC.length);
  if (!start.length) throw new TruncatedFile("the file is empty; get a complete copy of it");
  if (start.some((byte, i) => byte !== MAGIC[i])) {
    throw new NotALictorFile("not a Lictor file; give one that `lictor encode` wrote");
  }
}

/** @param {Reader} io */
function readName(io) {
  const name = io.raw("model's name", io.uint("length of the model's name", { high: 64 }));
  const text = String.fromCharCode(...name);
  if (/[^!-~]|[/\\?]/.test(text)) throw damaged("the model's name is not plain ASCII");
  return text;
}

/** @param {Reader} io */
function readSamples(io) {
  const code = io.uint("sample format");
  const channels = /** @type {1 | 2 | 3 | 4} */ (code & 7);
  if (channels < 1 || channels > 4 || ((code >> 3) & 3) > 1 || code >> 6) {
    throw new UnsupportedFeature(
      `sample format ${code} is not known to this release; install the newest Lictor`,
    );
  }
  const depth = /** @type {8 | 16} */ (code & 8 ? 16 : 8);
  return { channels, depth, mapped: Boolean(code & 32) };
}

/**
 * @param {Reader} io @param {Header} header @param {(data: Uint8Array) => number} crc32
 */
function readSections(io, header, crc32) {
  if (blockCount(header) > FREE_BLOCKS + BLOCKS_PER_BYTE * io.data.length) {
    throw damaged(
      `${header.width}x${header.height} pixels in ${io.data.length} bytes is more than any encoder writes`,
    );
  }
  /** @type {number[]} */
  const kinds = [];
  /** @type {Map<number, Uint8Array>} */
  const sections = new Map();
  for (let more = true; more; ) {
    const start = io.position;
    const tag = io.uint("section tag");
    const payload = io.raw("section", io.varint("length of a section", 0, MAX_SECTION));
    const check = crc32(io.since(start));
    if (io.uint("check of a section", { size: 4 }) !== check) {
      throw damaged("a section does not match its checksum");
    }
    more = Boolean(tag & 64);
    addSection(tag & 63, Boolean(tag & 128), payload, kinds, sections);
  }
  io.end("the end of the file");
  return { kinds, sections };
}

/**
 * @param {number} kind @param {boolean} optional @param {Uint8Array} payload
 * @param {number[]} kinds @param {Map<number, Uint8Array>} sections
 */
function addSection(kind, optional, payload, kinds, sections) {
  const known = SECTIONS.get(kind);
  if (!known) {
    if (optional) return;
    throw new UnsupportedFeature(
      `section ${kind} is not known to this release; install the newest Lictor`,
    );
  }
  if (sections.has(kind)) throw damaged(`the ${known[0]} are there twice`);
  if (optional !== known[1]) throw damaged(`the section of the ${known[0]} has a wrong tag`);
  if (kind === KIND.padding && payload.some((byte) => byte)) throw damaged("the padding is not zero");
  kinds.push(kind);
  sections.set(kind, payload);
}

/** Their order, and that what must go together does. @param {Header} header @param {number[]} kinds */
function checkSections(header, kinds) {
  const tiled = kinds[0] === KIND.tiles;
  /** @type {number[]} */
  const first = [];
  if (tiled) first.push(KIND.tiles);
  if (header.mapped) first.push(KIND.map);
  if (header.network) first.push(KIND.latents);
  if (first.some((kind, i) => kinds[i] !== kind)) {
    throw damaged("the payload does not begin with what the header says");
  }
  const has = (/** @type {number} */ kind) => kinds.includes(kind);
  if (has(KIND.tiles) && !tiled) throw damaged("the tile table is not the first section");
  if (!header.network && [KIND.tiles, KIND.latents, KIND.wiener].some(has)) {
    throw damaged("there are latents, or a filter, of no network");
  }
  if (!header.network && !OVERLAYS.some((name) => has(KIND[name]))) {
    throw damaged("nothing in it says what its samples are");
  }
  if (has(KIND.overfit) !== has(KIND.networks)) {
    throw damaged("there are overfitted grids, or networks for such, but not both");
  }
  if (has(KIND.map) !== header.mapped) {
    throw damaged("there is a quality map that the header does not know of");
  }
  if (has(KIND.alpha) !== (header.channels % 2 === 0)) {
    throw damaged(`${header.channels} channels do not go with the sections there are`);
  }
}

/** @param {Reader} io @returns {Table} */
function readSides(io) {
  const wide = io.varint("width of a tile", 1, MAX_TILE_BLOCKS);
  const high = io.varint("height of a tile", 1, MAX_TILE_BLOCKS);
  if (wide * high > MAX_TILE_BLOCKS) {
    throw damaged(`a tile has ${wide}x${high} blocks, more than ${MAX_TILE_BLOCKS}`);
  }
  return { width: wide * BLOCK, height: high * BLOCK, tiles: [] };
}

/** @param {Reader} io @param {Table} table @param {number} count */
function readTiles(io, table, count) {
  for (let i = 0; i < count; i++) {
    table.tiles.push({
      size: io.varint("size of a tile", 0, MAX_SECTION),
      check: io.uint("check of a tile", { size: 4 }),
      latents: io.uint("checksum of a tile's latents", { size: 4 }),
    });
  }
}

/** How many tiles a picture has. @param {Header} header @param {Table} table */
function tileCount({ width, height }, table) {
  return Math.ceil(width / table.width) * Math.ceil(height / table.height);
}

/** @param {Table} table */
function sizeOf(table) {
  return table.tiles.reduce((sum, tile) => sum + tile.size, 0);
}

/**
 * @param {Header} header @param {Map<number, Uint8Array>} sections
 * @param {(data: Uint8Array) => number} crc32
 */
function readTable(header, sections, crc32) {
  const io = new Reader(/** @type {Uint8Array} */ (sections.get(KIND.tiles)));
  const table = readSides(io);
  const count = tileCount(header, table);
  if (count < 2) throw damaged("the table has only one tile");
  readTiles(io, table, count);
  io.end("the last tile of the table");
  const checks = new DataView(new ArrayBuffer(4 * count));
  table.tiles.forEach((tile, i) => checks.setUint32(4 * i, tile.latents, true));
  if (crc32(new Uint8Array(checks.buffer)) !== header.latents) {
    throw damaged("the tile table is of another picture");
  }
  const found = sections.get(KIND.latents)?.length;
  if (sizeOf(table) !== found) {
    throw damaged(`the tiles are said to have ${sizeOf(table)} bytes, not ${found}`);
  }
  return table;
}

/**
 * @param {Header} header @param {Uint8Array} payload @param {(data: Uint8Array) => number} crc32
 * @returns {Overlay}
 */
function readOverlay(header, payload, crc32) {
  const io = new Reader(payload);
  const table = readSides(io);
  const count = blockCount(header);
  const some = io.uint("whether blocks are left out", { high: 1 });
  const mask = some
    ? unpackMask(io.raw("mask", Math.ceil(count / 8)), count)
    : new Uint8Array(count).fill(1);
  if (!mask || (some && mask.every((bit) => bit)) || !mask.some((bit) => bit)) {
    throw damaged("the mask of blocks has none, or all, or such as there are not");
  }
  const numbers = tilesOf(mask, header, table);
  readTiles(io, table, numbers.length);
  if (crc32(io.since(0)) !== io.uint("check of a table", { size: 4 })) {
    throw damaged("a table of tiles does not match its checksum");
  }
  const streams = io.rest();
  if (streams.length !== sizeOf(table)) {
    throw damaged("the streams of a method are longer or shorter than it says");
  }
  let start = 0;
  return {
    mask, table,
    streams: table.tiles.map((entry, i) => ({
      number: numbers[i], entry, stream: streams.subarray(start, (start += entry.size)),
    })),
  };
}

/**
 * Bits to bytes of 0 or 1, the lowest first; null if a bit beyond the last is set.
 * @param {Uint8Array} packed @param {number} count
 */
export function unpackMask(packed, count) {
  const bit = (/** @type {number} */ i) => (packed[i >> 3] >> (i & 7)) & 1;
  for (let i = count; i < 8 * packed.length; i++) if (bit(i)) return null;
  return Uint8Array.from({ length: count }, (_, i) => bit(i));
}

/** The tiles that have a block of the mask. @param {Uint8Array} mask @param {Header} header @param {Table} table */
function tilesOf(mask, header, table) {
  const { columns } = blocksOf(header);
  const across = Math.ceil(header.width / table.width);
  const wide = table.width / BLOCK, high = table.height / BLOCK;
  const numbers = new Set();
  mask.forEach((coded, i) => {
    const row = Math.floor(i / columns), column = i % columns;
    if (coded) numbers.add(Math.floor(row / high) * across + Math.floor(column / wide));
  });
  return [...numbers].sort((a, b) => a - b);
}

/** Without a network each block must be coded. @param {Header} header @param {Map<number, Overlay>} overlays */
function checkCover(header, overlays) {
  if (header.network) return;
  const all = [...overlays.values()];
  for (let i = 0; i < blockCount(header); i++) {
    if (!all.some(({ mask }) => mask[i])) {
      throw damaged("a part of the picture is coded by no method");
    }
  }
}

/** @param {Uint8Array} stream @param {Tile} entry @param {(data: Uint8Array) => number} crc32 */
export function checkTile(stream, entry, crc32) {
  if (crc32(stream) !== entry.check) {
    throw new CorruptFile("a tile does not match its checksum; get another copy of the file");
  }
}
