/** What a page can ask for, in whichever thread it is done. */

import { decode } from "./decode.js";
import { encode } from "./encode.js";
import { toPng } from "./png.js";
import { Session } from "./session.js";

/** @type {Map<string, Promise<Session>>} by where the weights are */
const sessions = new Map();

/** @param {URL | string | undefined} weights */
function session(weights) {
  const key = String(weights ?? "");
  let found = sessions.get(key);
  if (!found) {
    found = Session.open({ weights });
    sessions.set(key, found);
    found.catch(() => sessions.delete(key));
  }
  return found;
}

const JOBS = {
  decode: async (/** @type {Uint8Array} */ data, /** @type {Options} */ options) =>
    decode(await session(options.weights), data, options),
  /** A picture and its PNG, which is quick to make. */
  show: async (/** @type {Uint8Array} */ data, /** @type {Options} */ options) => {
    const own = await session(options.weights);
    const start = performance.now();
    const picture = await decode(own, data, options);
    const milliseconds = performance.now() - start;
    const png = await toPng(picture, own.coders.crc32);
    return { ...picture, png, milliseconds };
  },
  png: async (/** @type {import("./decode.js").Picture} */ picture, /** @type {Options} */ options) => {
    const own = await session(options.weights);
    return toPng(picture, own.coders.crc32, { compress: true });
  },
  encode: async (/** @type {import("./encode.js").Image} */ image, /** @type {Options} */ options) =>
    encode(await session(options.weights), image, options),
};

/**
 * @typedef {object} Shared
 * @property {URL | string} [weights] the folder of index.json and the weights
 * @property {number} [maxPixels] of what is decoded; 1e8 unless said otherwise
 * @property {import("./weights.js").Progress} [progress] of what is fetched
 */
/** @typedef {Shared & Omit<import("./encode.js").EncodeOptions, "progress">} Options */

/** @typedef {keyof typeof JOBS} Kind */

/**
 * @template {Kind} K @param {K} kind @param {any} argument @param {Options} options
 * @returns {Promise<Awaited<ReturnType<JOBS[K]>>>}
 */
export function answer(kind, argument, options) {
  return /** @type {any} */ (JOBS[kind](argument, options));
}

/** @typedef {typeof JOBS} JOBS */
