/**
 * Decoding beside the page: in a worker where there can be one, so that nothing stalls; else here.
 */

import { unpacked } from "./errors.js";
import { answer } from "./jobs.js";

/** @typedef {import("./jobs.js").Kind} Kind */
/** @typedef {import("./jobs.js").JOBS} Jobs */

/** @typedef {{resolve: (value: any) => void, reject: (error: Error) => void, progress?: import("./weights.js").Progress}} Waiting */

let last = 0;
/** @type {Map<number, Waiting>} */
const waiting = new Map();
/** @type {Worker | null | undefined} null: there can be none */
let worker;

function start() {
  if (typeof Worker === "undefined") return null;
  try {
    const made = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    made.onmessage = ({ data: { id, result, error, progress } }) => {
      const one = waiting.get(id);
      if (progress) {
        one?.progress?.(progress[0], progress[1]);
        return;
      }
      waiting.delete(id);
      if (error) one?.reject(unpacked(error));
      else one?.resolve(result);
    };
    made.onerror = (event) => {
      event.preventDefault();
      for (const { reject } of waiting.values()) reject(new Error(event.message ?? "the worker failed"));
      waiting.clear();
      worker = undefined;
    };
    return made;
  } catch {
    return null; // of a package that lies on another host
  }
}

/**
 * Does a job of jobs.js.
 * @template {Kind} K @param {K} kind @param {any} argument @param {import("./jobs.js").Options} [options]
 * @returns {Promise<Awaited<ReturnType<Jobs[K]>>>}
 */
export function ask(kind, argument, { progress, ...options } = {}) {
  if (worker === undefined) worker = start();
  const own = { ...options, weights: options.weights && String(options.weights) };
  if (!worker) return answer(kind, argument, { ...own, progress });
  const id = ++last, to = worker;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, progress });
    to.postMessage({ id, kind, argument, options: own });
  });
}
