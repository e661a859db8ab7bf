/** What each method makes of a picture, in tiles. */

import { gridFor, grown, inUnits, padded, seenFrom, shared } from "./boxes.js";
import { samplesOf } from "./coders.js";
import { maskOf, showPart } from "./decode.js";
import { BLOCK, blocksOf } from "./format.js";
import { partOf } from "./metadata.js";
import { CELL } from "./network.js";
import { bound } from "./slope.js";
import { encodeLinear, encodeLossless } from "./tile_encoders.js";

/** Pixels around a tile that its latents are made of; more than they depend on. */
const AROUND = 128;

/** @typedef {import("./encode.js").Image} Image */
/** @typedef {import("./coders.js").Samples} Samples */
/** @typedef {import("./boxes.js").Box} Box */
/** @typedef {import("./write.js").Coded} Coded */

/**
 * @typedef {object} Made what a method made of some blocks, and what it costs
 * @property {Coded} coded
 * @property {Float64Array} bits of each block, about
 * @property {Float64Array} errors as `Task.errors`
 */

/** All that the parts of an encoder need of a picture. */
export class Task {
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

  /** A mask with no block. */
  none() {
    return new Uint8Array(this.count);
  }

  /** A mask with all. */
  all() {
    return new Uint8Array(this.count).fill(1);
  }

  /** The number of a pixel's block. @param {number} x @param {number} y */
  blockAt(x, y) {
    return Math.floor(y / BLOCK) * this.blocks.columns + Math.floor(x / BLOCK);
  }

  /** The samples of a box. @param {Box} box */
  part({ top, left, height, width }) {
    const { channels } = this, part = samplesOf(this.depth, height * width * channels);
    for (let y = 0; y < height; y++) {
      const from = ((top + y) * this.width + left) * channels;
      part.set(this.colours.subarray(from, from + width * channels), y * width * channels);
    }
    return part;
  }

  /**
   * Of each block, the squared errors on 0…255, mean over colours, of pixels that alpha does not hide.
   * @param {Samples} made
   */
  errors(made) {
    const { channels, width, height, alpha, colours } = this, errors = new Float64Array(this.count);
    const unit = (255 / (2 ** this.depth - 1)) ** 2 / channels;
    for (let y = 0, pixel = 0; y < height; y++) {
      for (let x = 0; x < width; x++, pixel++) {
        if (alpha && !alpha[pixel]) continue;
        let sum = 0;
        for (let at = pixel * channels, end = at + channels; at < end; at++) {
          sum += (colours[at] - made[at]) ** 2;
        }
        errors[this.blockAt(x, y)] += sum * unit;
      }
    }
    return errors;
  }

  /** The most that these may be. */
  get limits() {
    const limits = new Float64Array(this.count), most = bound(this.step);
    for (let y = 0, pixel = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++, pixel++) {
        if (!this.alpha || this.alpha[pixel]) limits[this.blockAt(x, y)] += most;
      }
    }
    return limits;
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

/** @param {Task} task @param {Uint8Array} blocks @param {(box: Box, mask: Uint8Array) => import("./write.js").CodedTile} code @returns {Coded} */
function tiled(task, blocks, code) {
  const tiles = [];
  for (const box of task.grid) {
    const mask = maskOf(blocks, task.blocks.columns, box);
    if (mask.some(Boolean)) tiles.push(code(box, mask));
  }
  return { grid: task.grid, tiles, mask: blocks.every(Boolean) ? null : blocks };
}

/**
 * By the linear method. `finer`: steps of quality that each block gets beyond what was asked.
 * @param {Task} task @param {Uint8Array} blocks @param {Float64Array} finer @returns {Made}
 */
export function linear(task, blocks, finer = new Float64Array(task.count)) {
  const samples = task.colours.slice(), bits = new Float64Array(task.count);
  const { channels, depth } = task;
  const coded = tiled(task, blocks, (box, mask) => {
    const { height, width } = box, numbers = numbersOf(task, box);
    const steps = numbers.map((number) => task.step + finer[number]);
    const piece = { height, width, channels, depth, mask };
    const made = encodeLinear(task.machine, task.part(box), piece, steps);
    numbers.forEach((number, i) => {
      bits[number] = made.bits[i];
    });
    for (let y = 0; y < height; y++) {
      const row = made.samples.subarray(y * width * channels, (y + 1) * width * channels);
      samples.set(row, ((box.top + y) * task.width + box.left) * channels);
    }
    return made;
  });
  return { coded, bits, errors: task.errors(samples) };
}

/** The blocks of a tile. @param {Task} task @param {Box} box */
function numbersOf(task, box) {
  const { rows, columns } = blocksOf(box), first = task.blockAt(box.left, box.top);
  return Array.from({ length: rows * columns }, (_, i) =>
    first + Math.floor(i / columns) * task.blocks.columns + (i % columns));
}

/** @param {Task} task @param {Uint8Array} blocks */
export function lossless(task, blocks) {
  const { channels, depth } = task;
  return tiled(task, blocks, (box, mask) => {
    const { height, width } = box;
    const piece = { height, width, channels, depth, mask };
    return { stream: encodeLossless(task.machine, task.part(box), piece), checksum: 0 };
  });
}

/**
 * All of the picture by a network.
 * @param {Task} task @param {import("./network.js").Network} network @returns {Made}
 */
export function byNetwork(task, network) {
  const { rows, columns } = task.blocks, wide = 4 * columns, m = network.latent;
  const quality = new Int16Array(4 * rows * wide).fill(task.step);
  const latents = new Float32Array(4 * rows * wide * m);
  const tiles = [], samples = samplesOf(task.depth, task.colours.length);
  const bits = new Float64Array(task.count);
  for (const tile of task.grid) {
    const box = padded(tile), places = inUnits(box, CELL);
    const made = encodeTile(task, network, tile, quality);
    tiles.push({ stream: made.stream, checksum: made.checksum });
    shareOut(8 * made.stream.length, made.latents, m, numbersOf(task, tile), places.width, bits);
    for (let y = 0; y < places.height; y++) {
      const row = made.latents.subarray(y * places.width * m, (y + 1) * places.width * m);
      latents.set(row, ((places.top + y) * wide + places.left) * m);
    }
  }
  for (const tile of task.grid) showPart(network, task, latents, quality, tile, samples);
  return { coded: { grid: task.grid, tiles, mask: null }, bits, errors: task.errors(samples) };
}

/**
 * A stream has as many bits as it has; blocks have shares of it by the logarithms of their latents.
 * @param {number} all @param {Float32Array} latents @param {number} m channels
 * @param {number[]} numbers of the blocks @param {number} wide places in a row @param {Float64Array} bits
 */
function shareOut(all, latents, m, numbers, wide, bits) {
  const shares = numbers.map((_, block) => {
    const columns = wide / 4, row = 4 * Math.floor(block / columns), column = 4 * (block % columns);
    let sum = 0;
    for (let y = row; y < row + 4; y++) {
      const start = (y * wide + column) * m;
      for (let i = start; i < start + 4 * m; i++) sum += Math.log1p(Math.abs(latents[i]));
    }
    return sum;
  });
  const mean = shares.reduce((a, b) => a + b, 0) / shares.length + 1e-9;
  numbers.forEach((number, i) => {
    bits[number] = (all * (shares[i] + mean / 64)) / (shares.length * mean * (1 + 1 / 64));
  });
}

/** @param {Task} task @param {import("./network.js").Network} network @param {Box} tile @param {Int16Array} quality */
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

/** Pixels of a box as networks take them; beyond the picture its last row and column. @param {Task} task @param {Box} box */
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

/** A box of places. @param {Float32Array} values @param {Box} from @param {Box} box @param {number} channels */
function cut(values, from, box, channels) {
  const out = new Float32Array(box.height * box.width * channels);
  for (let y = 0; y < box.height; y++) {
    const start = ((box.top + y) * from.width + box.left) * channels;
    out.set(values.subarray(start, start + box.width * channels), y * box.width * channels);
  }
  return out;
}
