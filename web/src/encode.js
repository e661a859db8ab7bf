/**
 * A picture to a file. The network codes it; what its decoder makes of it is held against the bound of
 * its quality (docs/methods.md), and blocks that are further off go to the linear method, finer and
 * finer, at last to the lossless one. What looks drawn is coded without loss where the file gets
 * smaller, and the whole file, too. So a file is never further off than the Python encoder's may be;
 * that one chooses more closely, and its files are a little smaller.
 */

import { gridFor, grown, inUnits, padded, seenFrom, shared } from "./boxes.js";
import { samplesOf } from "./coders.js";
import { maskOf, MOST_PIXELS, showPart } from "./decode.js";
import { OutOfMemory, UnsupportedImage } from "./errors.js";
import { BLOCK, blocksOf, KIND, STEPS } from "./format.js";
import { partOf } from "./metadata.js";
import { CELL } from "./network.js";
import { bound } from "./slope.js";
import { encodeLinear, encodeLossless, repeats } from "./tile_encoders.js";
import { alphaPayload, write } from "./write.js";

export const DEFAULT_MODEL = "lictor-s.mse";
export const METHODS = ["auto", "network", "linear", "lossless"];
/** Pixels around a tile that its latents are made of; more than they depend on. */
const AROUND = 128;
/** Steps of quality that a block gets which breaks the bound; beyond so many it is lossless. */
const FINER = 50, FINEST = 300;
/** A block with so many pixels like their neighbours looks drawn. */
const DRAWN = 0.5;
/** A lossless file is tried of a picture of which so many blocks look drawn, or above so many bits a sample. */
const MANY = 0.25, DEAR = 1.5;

/** @typedef {import("./coders.js").Samples} Samples */
/** @typedef {import("./write.js").Coded} Coded */

/**
 * @typedef {object} Image
 * @property {number} width
 * @property {number} height
 * @property {1 | 2 | 3 | 4} channels gray, gray and alpha, RGB, RGB and alpha (not premultiplied)
 * @property {8 | 16} depth
 * @property {Samples} samples row by row
 */

/**
 * @typedef {object} EncodeOptions
 * @property {number} [quality] 0…100
 * @property {string} [model] "architecture.tag"
 * @property {string} [method] one of METHODS
 * @property {import("./weights.js").Progress} [progress]
 */

/** All that the parts of an encoder need. */
class Task {
  /** @param {import("./session.js").Session} session @param {Image} image @param {number} step */
  constructor({ machine, coders }, { width, height, channels, depth, samples }, step) {
    this.width = width;
    this.height = height;
    /** @type {8 | 16} */
    this.depth = depth;
    this.machine = machine;
    this.coders = coders;
    this.step = step;
    /** @type {1 | 3} */
    this.channels = channels < 3 ? 1 : 3;
    const { colours, alpha } = apart(samples, channels, depth);
    this.colours = colours;
    this.alpha = alpha;
    this.grid = gridFor(width, height);
    this.blocks = blocksOf(this);
    this.count = this.blocks.rows * this.blocks.columns;
  }

  /** The samples of a box. @param {import("./boxes.js").Box} box */
  part({ top, left, height, width }) {
    const { channels } = this, part = samplesOf(this.depth, height * width * channels);
    for (let y = 0; y < height; y++) {
      const from = ((top + y) * this.width + left) * channels;
      part.set(this.colours.subarray(from, from + width * channels), y * width * channels);
    }
    return part;
  }

  /** Blocks that are further off than they may be. @param {Samples} made */
  broken(made) {
    const { channels, width, height, alpha } = this, { columns } = this.blocks;
    const errors = new Float64Array(this.count), seen = new Float64Array(this.count);
    const unit = (255 / (2 ** this.depth - 1)) ** 2 / channels;
    for (let y = 0, pixel = 0; y < height; y++) {
      for (let x = 0; x < width; x++, pixel++) {
        if (alpha && !alpha[pixel]) continue;
        const block = Math.floor(y / BLOCK) * columns + Math.floor(x / BLOCK);
        seen[block]++;
        for (let k = 0; k < channels; k++) {
          const off = this.colours[pixel * channels + k] - made[pixel * channels + k];
          errors[block] += off * off * unit;
        }
      }
    }
    return Uint8Array.from(errors, (error, i) => (error > bound(this.step) * seen[i] ? 1 : 0));
  }
}

/** @param {Samples} samples @param {number} channels @param {number} depth */
function apart(samples, channels, depth) {
  if (channels % 2) return { colours: samples, alpha: null };
  const pixels = samples.length / channels, own = channels - 1;
  const colours = samplesOf(depth, pixels * own), alpha = samplesOf(depth, pixels);
  for (let i = 0; i < pixels; i++) {
    for (let k = 0; k < own; k++) colours[i * own + k] = samples[i * channels + k];
    alpha[i] = samples[i * channels + own];
  }
  return { colours, alpha };
}

/**
 * @param {import("./session.js").Session} session @param {Image} image
 * @param {EncodeOptions} [options] @returns {Promise<Uint8Array>}
 */
export async function encode(session, image, options = {}) {
  const { quality = 40, model = DEFAULT_MODEL, method = "auto", progress } = options;
  check(image, quality, method);
  const task = new Task(session, image, Math.round((quality * STEPS) / 100));
  const file = (/** @type {Parts} */ parts) => written(task, image.channels, parts);
  if (method === "lossless") return file({ lossless: lossless(task, null) });
  const drawn = method === "auto" ? looksDrawn(task) : none(task);
  const many = drawn.reduce((a, b) => a + b, 0) > MANY * task.count;
  /** @type {Uint8Array[]} */
  const files = [];
  if (method === "linear") {
    files.push(file(held(task, null, none(task).fill(1), none(task))));
  } else {
    const entry = await session.shelf.entryNamed(model);
    const network = await session.network(entry, { encoder: true, progress });
    const { coded, samples } = byNetwork(task, network);
    const made = { entry, coded, samples };
    if (method === "network") return file({ network: made });
    files.push(file(held(task, made, none(task), none(task))));
    if (drawn.some(Boolean)) files.push(file(held(task, made, none(task), drawn)));
  }
  const smallest = Math.min(...files.map(({ length }) => length));
  if (many || 8 * smallest > DEAR * task.colours.length) files.push(file({ lossless: lossless(task, null) }));
  return files.reduce((a, b) => (b.length < a.length ? b : a));
}

/** @param {Image} image @param {number} quality @param {string} method */
function check({ width, height, channels, depth, samples }, quality, method) {
  const whole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  const right = (depth === 8 ? samples instanceof Uint8Array || samples instanceof Uint8ClampedArray
    : depth === 16 && samples instanceof Uint16Array);
  if (!whole || !right || ![1, 2, 3, 4].includes(channels) || samples.length !== width * height * channels) {
    throw new UnsupportedImage(
      "a picture has width × height × channels samples, Uint8Array of 8 bits or Uint16Array of 16",
    );
  }
  if (width * height > MOST_PIXELS) {
    throw new OutOfMemory(`${width}x${height} pixels are more than the ${MOST_PIXELS} that are coded here`);
  }
  if (!(quality >= 0 && quality <= 100)) throw new UnsupportedImage(`quality is ${quality}, not 0…100`);
  if (!METHODS.includes(method)) {
    throw new UnsupportedImage(`method is ${method}; give one of ${METHODS.join(", ")}`);
  }
}

/** @param {Task} task */
function none({ count }) {
  return new Uint8Array(count);
}

/** @param {Task} task */
function looksDrawn(task) {
  return Uint8Array.from(repeats(task.colours, task), (share) => (share >= DRAWN ? 1 : 0));
}

/**
 * @typedef {object} Parts
 * @property {{entry: import("./weights.js").Entry, coded: Coded}} [network]
 * @property {Coded | null} [linear]
 * @property {Coded | null} [lossless]
 */

/** @param {Task} task @param {number} channels @param {Parts} parts */
function written(task, channels, { network, linear: finer, lossless: exact }) {
  const { width, height, depth, step, alpha, coders } = task;
  /** @type {Map<number, Coded>} */
  const overlays = new Map();
  if (finer) overlays.set(KIND.linear, finer);
  if (exact) overlays.set(KIND.lossless, exact);
  const plane = alpha && alphaPayload(alpha, width, height);
  const about = { width, height, channels, depth, step };
  return write(about, network ?? null, overlays, plane, coders.crc32);
}

/**
 * All parts, with each block finer, or by another method, until the bound holds.
 * @param {Task} task @param {{entry: import("./weights.js").Entry, coded: Coded, samples: Samples} | null} network
 * @param {Uint8Array} leaving blocks of the linear method @param {Uint8Array} exact those without loss
 * @returns {Parts}
 */
function held(task, network, leaving, exact) {
  const finer = new Float64Array(task.count);
  for (;;) {
    const fine = leaving.some(Boolean) ? linear(task, leaving, finer) : null;
    const made = fine ? fine.samples : task.colours;
    const far = fine ? task.broken(made) : none(task);
    const off = network ? task.broken(network.samples) : none(task);
    const broken = off.map((bit, i) => (exact[i] ? 0 : leaving[i] ? far[i] : bit));
    if (!broken.some(Boolean)) {
      const rest = exact.some(Boolean) ? lossless(task, exact) : null;
      return { ...(network ? { network } : {}), linear: fine?.coded, lossless: rest };
    }
    broken.forEach((bit, i) => {
      if (!bit) return;
      if (leaving[i]) finer[i] += FINER;
      leaving[i] = 1;
      if (finer[i] > FINEST) [leaving[i], exact[i]] = [0, 1];
    });
  }
}

// ---- methods

/** @param {Task} task @param {Uint8Array} blocks @param {(box: import("./boxes.js").Box, mask: Uint8Array) => import("./write.js").CodedTile} code @returns {Coded} */
function tiled(task, blocks, code) {
  const tiles = [];
  for (const box of task.grid) {
    const mask = maskOf(blocks, task.blocks.columns, box);
    if (mask.some(Boolean)) tiles.push(code(box, mask));
  }
  return { grid: task.grid, tiles, mask: blocks.every(Boolean) ? null : blocks };
}

/** @param {Task} task @param {Uint8Array} blocks @param {Float64Array} finer */
function linear(task, blocks, finer) {
  const samples = task.colours.slice(), { channels, depth } = task;
  const coded = tiled(task, blocks, (box, mask) => {
    const { height, width } = box, piece = { height, width, channels, depth, mask };
    const steps = Array.from(mask, (_, i) => task.step + blockValue(finer, task, box, i));
    const made = encodeLinear(task.machine, task.part(box), piece, steps);
    for (let y = 0; y < height; y++) {
      const row = made.samples.subarray(y * width * channels, (y + 1) * width * channels);
      samples.set(row, ((box.top + y) * task.width + box.left) * channels);
    }
    return made;
  });
  return { coded, samples };
}

/** @param {Float64Array} values @param {Task} task @param {import("./boxes.js").Box} box @param {number} i */
function blockValue(values, task, box, i) {
  const { columns } = blocksOf(box);
  const row = box.top / BLOCK + Math.floor(i / columns), column = box.left / BLOCK + (i % columns);
  return values[row * task.blocks.columns + column];
}

/** @param {Task} task @param {Uint8Array | null} blocks null: all */
function lossless(task, blocks) {
  const { channels, depth } = task;
  return tiled(task, blocks ?? none(task).fill(1), (box, mask) => {
    const { height, width } = box;
    const piece = { height, width, channels, depth, mask };
    return { stream: encodeLossless(task.machine, task.part(box), piece), checksum: 0 };
  });
}

/** @param {Task} task @param {import("./network.js").Network} network */
function byNetwork(task, network) {
  const { rows, columns } = task.blocks, wide = 4 * columns, m = network.latent;
  const quality = new Int16Array(4 * rows * wide).fill(task.step);
  const latents = new Float32Array(4 * rows * wide * m);
  const tiles = [], samples = samplesOf(task.depth, task.colours.length);
  for (const tile of task.grid) {
    const box = padded(tile), places = inUnits(box, CELL);
    const made = encodeTile(task, network, tile, quality);
    tiles.push({ stream: made.stream, checksum: made.checksum });
    for (let y = 0; y < places.height; y++) {
      const row = made.latents.subarray(y * places.width * m, (y + 1) * places.width * m);
      latents.set(row, ((places.top + y) * wide + places.left) * m);
    }
  }
  for (const tile of task.grid) showPart(network, task, latents, quality, tile, samples);
  return { coded: { grid: task.grid, tiles, mask: null }, samples };
}

/** @param {Task} task @param {import("./network.js").Network} network @param {import("./boxes.js").Box} tile @param {Int16Array} quality */
function encodeTile(task, network, tile, quality) {
  const whole = padded({ top: 0, left: 0, height: task.height, width: task.width });
  const own = padded(tile), seen = shared(grown(own, AROUND), whole), deep = task.depth > 8;
  const wide = whole.width / CELL, around = inUnits(seen, CELL), places = inUnits(own, CELL);
  const { y, z } = network.analyse(
    centred(task, seen), partOf(quality, wide, around), around.height, around.width, deep,
  );
  const inner = seenFrom(places, around), side = z.length / (around.height * around.width / 16);
  return network.push(
    cut(y, around, inner, network.latent), cut(z, inUnits(around, 4), inUnits(inner, 4), side),
    own.height / BLOCK, own.width / BLOCK, partOf(quality, wide, places), deep,
  );
}

/** Pixels of a box as networks take them; beyond the picture its last row and column. @param {Task} task @param {import("./boxes.js").Box} box */
function centred(task, { top, left, height, width }) {
  const x = new Float32Array(height * width * 3), most = 2 ** task.depth - 1;
  for (let row = 0, at = 0; row < height; row++) {
    const line = Math.min(top + row, task.height - 1) * task.width;
    for (let column = 0; column < width; column++) {
      const pixel = line + Math.min(left + column, task.width - 1);
      for (let k = 0; k < 3; k++, at++) {
        const sample = task.colours[task.channels === 1 ? pixel : 3 * pixel + k];
        x[at] = Math.fround(sample / most) - 0.5;
      }
    }
  }
  return x;
}

/** A box of places. @param {Float32Array} values @param {import("./boxes.js").Box} from @param {import("./boxes.js").Box} box @param {number} channels */
function cut(values, from, box, channels) {
  const out = new Float32Array(box.height * box.width * channels);
  for (let y = 0; y < box.height; y++) {
    const start = ((box.top + y) * from.width + box.left) * channels;
    out.set(values.subarray(start, start + box.width * channels), y * box.width * channels);
  }
  return out;
}
