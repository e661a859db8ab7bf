/** The thread in which a page decodes: see client.js for the messages. */

import { answer } from "./jobs.js";
import { packed } from "./errors.js";

self.onmessage = async ({ data: { id, kind, argument, options } }) => {
  const progress = (/** @type {number} */ done, /** @type {number} */ all) =>
    self.postMessage({ id, progress: [done, all] });
  try {
    const result = await answer(kind, argument, { ...options, progress });
    const samples = result?.samples?.buffer;
    self.postMessage({ id, result }, { transfer: samples ? [samples] : [] });
  } catch (error) {
    self.postMessage({ id, error: packed(error) });
  }
};
