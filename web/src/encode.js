/**
 * A picture to a file, as the Python encoder does it (docs/methods.md). The network codes it, and what
 * its decoder makes of it is held against the bound of its quality. Blocks that are further off, or
 * dearer than by the linear method, go to that, finer and finer until the bound holds, at last to the
 * lossless one; what looks drawn is tried without loss, and so is the whole picture where that may be
 * smaller. The Python encoder chooses more closely (hidden colours, the network a second time).
 */

import { MOST_PIXELS } from "./decode.js";
import { OutOfMemory, UnsupportedImage } from "./errors.js";
import { KIND, STEPS } from "./format.js";
import { byNetwork, linear, lossless, Task } from "./methods.js";
import { slope } from "./slope.js";
import { repeats } from "./tile_encoders.js";
import { alphaPayload, write } from "./write.js";

export const DEFAULT_MODEL = "lictor-s.mse";
export const METHODS = ["auto", "network", "linear", "lossless"];
/** Steps of quality that a block gets which breaks the bound; beyond so many it is lossless. */
const FINER = 50, FINEST = 300;
/** A block leaves the network if it costs less than this share of what it did. */
const CLEARLY = 0.9;
/** All of a picture leaves the network only if it costs less than this. */
const BETTER = 0.98;
/** A block with so large a share of pixels like their neighbours looks drawn. */
const DRAWN = 0.5;
/** A lossless file is tried where so many blocks look drawn, or the other has so many bits a sample. */
const MANY = 0.25, DEAR = 1.5;

/** @typedef {import("./coders.js").Samples} Samples */
/** @typedef {import("./write.js").Coded} Coded */
/** @typedef {import("./methods.js").Made} Made */

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

/** @typedef {{entry: import("./weights.js").Entry, made: Made}} Latents */

/**
 * @typedef {object} Parts
 * @property {Latents | null} network
 * @property {Coded | null} linear
 * @property {Coded | null} exact
 * @property {number} errors of all, squared
 */

/**
 * @param {import("./session.js").Session} session @param {Image} image
 * @param {EncodeOptions} [options] @returns {Promise<Uint8Array>}
 */
export async function encode(session, image, options = {}) {
  const { quality = 40, model = DEFAULT_MODEL, method = "auto", progress } = options;
  check(image, quality, method);
  const task = new Task(session, image, Math.round((quality * STEPS) / 100));
  const file = (/** @type {Parts} */ parts) => written(task, image.channels, parts);
  const exactly = () => file({ network: null, linear: null, exact: lossless(task, task.all()), errors: 0 });
  if (method === "lossless") return exactly();
  /** @type {Parts[]} */
  let candidates;
  if (method === "linear") {
    candidates = [held(task, null, task.all(), task.none())];
  } else {
    const entry = await session.shelf.entryNamed(model);
    const network = await session.network(entry, { encoder: true, progress });
    const latents = { entry, made: byNetwork(task, network) };
    if (method === "network") return file({ network: latents, linear: null, exact: null, errors: 0 });
    candidates = chosen(task, latents);
  }
  const files = candidates.map((parts) => {
    const data = file(parts);
    return { data, cost: 8 * data.length + slope(task.step) * parts.errors };
  });
  const { data } = files.reduce((a, b) => (b.cost < a.cost ? b : a));
  const drawn = looksDrawn(task).reduce((a, b) => a + b, 0);
  if (drawn <= MANY * task.count && 8 * data.length <= DEAR * task.colours.length) return data;
  const exact = exactly();
  return exact.length <= data.length ? exact : data;
}

/** Ways to code a picture that all keep the bound. @param {Task} task @param {Latents} latents */
function chosen(task, latents) {
  const { entry, made } = latents, other = linear(task, task.all()), worth = slope(task.step);
  const costOf = (/** @type {Made} */ m, /** @type {number} */ i) => m.bits[i] + worth * m.errors[i];
  // What the network was trained for is squared errors of 8 bits; else it loses no block by its cost.
  const weighs = entry.name.endsWith(".mse") && task.depth === 8;
  const leaving = task.none().map((_, i) =>
    weighs && costOf(other, i) < CLEARLY * costOf(made, i) ? 1 : 0);
  const sum = (/** @type {(i: number) => number} */ cost) => leaving.reduce((all, _, i) => all + cost(i), 0);
  const kept = sum((i) => costOf(made, i)), moved = sum((i) => costOf(leaving[i] ? other : made, i));
  const alone = weighs && sum((i) => costOf(other, i)) < Math.min(BETTER * kept, moved / BETTER);
  const drawn = looksDrawn(task), exacts = drawn.some(Boolean) ? [task.none(), drawn] : [task.none()];
  return exacts.flatMap((exact) => {
    const rest = exact.map((bit) => 1 - bit);
    const by = (/** @type {Latents | null} */ network, /** @type {Uint8Array} */ blocks) =>
      held(task, network, blocks.map((bit, i) => bit & rest[i]), exact.slice());
    if (!rest.some(Boolean)) return [by(null, rest)];
    // The network codes all blocks, also those that others have: for few of them it is not worth it.
    const found = [by(latents, task.none())];
    if (leaving.some(Boolean)) found.push(by(latents, leaving));
    if (alone) found.push(by(null, task.all()));
    return found;
  });
}

/** @param {Task} task */
function looksDrawn(task) {
  return Uint8Array.from(repeats(task.colours, task), (share) => (share >= DRAWN ? 1 : 0));
}

/**
 * All parts, with each block finer, or by another method, until the bound holds.
 * @param {Task} task @param {Latents | null} network
 * @param {Uint8Array} leaving blocks of the linear method @param {Uint8Array} exact those without loss
 * @returns {Parts}
 */
function held(task, network, leaving, exact) {
  const finer = new Float64Array(task.count), { limits } = task;
  for (;;) {
    const fine = leaving.some(Boolean) ? linear(task, leaving, finer) : null;
    const errors = limits.map((_, i) =>
      (exact[i] ? 0 : leaving[i] ? fine?.errors[i] : network?.made.errors[i]) ?? 0);
    const broken = errors.map((error, i) => (error > limits[i] ? 1 : 0));
    if (!broken.some(Boolean)) {
      const rest = exact.some(Boolean) ? lossless(task, exact) : null;
      const all = errors.reduce((a, b) => a + b, 0);
      return { network, linear: fine && fine.coded, exact: rest, errors: all };
    }
    broken.forEach((bit, i) => {
      if (!bit) return;
      if (leaving[i]) finer[i] += FINER;
      leaving[i] = 1;
      if (finer[i] > FINEST) [leaving[i], exact[i]] = [0, 1];
    });
  }
}

/** @param {Task} task @param {number} channels @param {Parts} parts */
function written(task, channels, { network, linear: finer, exact }) {
  const { width, height, depth, step, alpha, coders } = task;
  /** @type {Map<number, Coded>} */
  const overlays = new Map();
  if (finer) overlays.set(KIND.linear, finer);
  if (exact) overlays.set(KIND.lossless, exact);
  const plane = alpha && alphaPayload(alpha, width, height);
  const latents = network && { entry: network.entry, coded: network.made.coded };
  return write({ width, height, channels, depth, step }, latents, overlays, plane, coders.crc32);
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
