/**
 * Weights: files of the weights codec, or safetensors files, fetched once and kept by the browser,
 * known by their SHA-256.
 *
 * They lie beside an index.json, that of checkpoints/, which says which number in a file stands for
 * which weights.
 */

import { CodecError, ModelUnavailable } from "./errors.js";
import { isCoded, readCoded, unpack } from "./weights_file.js";

const CACHE = "lictor-weights";
const FORMAT = "lictor-1", PACKED = "lictor-2";
const BYTES = /** @type {Record<string, number>} */ ({ F16: 2, F32: 4 });

/**
 * @typedef {object} Entry of checkpoints/index.json
 * @property {string} name
 * @property {number} id
 * @property {string} file
 * @property {string} sha256
 */

/** @typedef {{name: string, half: boolean, start: number, count: number}} Tensor */

/** Where the weights are unless said otherwise: beside this package. */
export const DEFAULT_PLACE = new URL("../weights/", import.meta.url);

/**
 * @typedef {object} Opened
 * @property {Uint8Array} data what tensors are in
 * @property {Tensor[]} tensors
 */

/**
 * The tensors of a weights file. @param {Uint8Array} data @param {string} name of the model
 * @param {import("./coders.js").Coders} coders @returns {Promise<Opened>}
 */
export async function open(data, name, coders) {
  const bad = (/** @type {string} */ why) => new ModelUnavailable(`${name}: ${why}; get them again`);
  try {
    const found = isCoded(data) ? await fromCoded(data, coders) : fromSafetensors(data);
    if (found) return found;
  } catch (error) {
    if (error instanceof CodecError || error instanceof Error) {
      throw bad(`these weights are damaged (${error.message})`);
    }
    throw error;
  }
  throw bad("these are not weights of a Lictor model");
}

/** @param {Uint8Array} data @param {import("./coders.js").Coders} coders */
async function fromCoded(data, coders) {
  const { texts, tensors: parts } = await readCoded(data, coders);
  if (texts.format !== PACKED) return null;
  const found = unpack(texts, parts);
  const all = new Float32Array(found.reduce((sum, { values }) => sum + values.length, 0));
  let at = 0;
  const tensors = found.map(({ name, values }) => {
    const start = 4 * at;
    all.set(values, at);
    at += values.length;
    return { name, half: false, start, count: values.length };
  });
  return { data: new Uint8Array(all.buffer), tensors };
}

/** @param {Uint8Array} data */
function fromSafetensors(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const length = data.length < 8 ? 0 : Number(view.getBigUint64(0, true));
  if (length < 2 || length > data.length - 8) throw new Error("they are cut short");
  const header = JSON.parse(new TextDecoder().decode(data.subarray(8, 8 + length)));
  if (header.__metadata__?.format !== FORMAT) return null;
  delete header.__metadata__;
  const tensors = Object.entries(header).map(([tensor, { dtype, data_offsets: [from, to] }]) => {
    const start = 8 + length + from, end = 8 + length + to;
    if (!BYTES[dtype] || !(start <= end && end <= data.length)) throw new Error("a tensor is out of place");
    return { name: tensor, half: dtype === "F16", start, count: (to - from) / BYTES[dtype] };
  });
  return { data, tensors };
}

export class Shelf {
  /**
   * @param {URL | string} [place] the folder of index.json and the files; ends with a slash
   * @param {(url: URL, progress?: Progress) => Promise<Uint8Array>} [read] what fetches a file
   */
  constructor(place = DEFAULT_PLACE, read = readUrl) {
    this.place = new URL(place, globalThis.location?.href ?? import.meta.url);
    this.read = read;
    /** @type {Promise<Entry[]> | undefined} */
    this.listed = undefined;
  }

  /** @returns {Promise<Entry[]>} */
  index() {
    this.listed ??= this.#list().catch((error) => {
      this.listed = undefined;
      throw new ModelUnavailable(
        `there is no list of weights at ${this.place} (${error.message}); put checkpoints/ there`,
      );
    });
    return this.listed;
  }

  /** As it is now or, without a network, was last. @returns {Promise<Entry[]>} */
  async #list() {
    const url = new URL("index.json", this.place), cache = await openCache();
    let data;
    try {
      data = await this.read(url);
      await cache?.put(url, new Response(/** @type {BodyInit} */ (data))).catch(() => {});
    } catch (error) {
      const kept = await cache?.match(url);
      if (!kept) throw error;
      data = new Uint8Array(await kept.arrayBuffer());
    }
    return JSON.parse(new TextDecoder().decode(data)).checkpoints;
  }

  /** The weights that a file was written with. @param {import("./format.js").Header} header */
  async entryOf(header) {
    const entries = await this.index();
    const { modelId: id, modelName: name } = header;
    const found = entries.find((entry) => (id ? entry.id === id : entry.name === name));
    if (!found) {
      throw new ModelUnavailable(
        `written with ${id ? `shipped model number ${id}` : name}, which is not at ${this.place}`,
      );
    }
    const wanted = Array.from(header.weights, (b) => b.toString(16).padStart(2, "0")).join("");
    if (!found.sha256.startsWith(wanted)) {
      throw new ModelUnavailable(
        `written with other weights of ${found.name} (SHA-256 ${wanted}…, here ${found.sha256.slice(0, 8)}…)`,
      );
    }
    return found;
  }

  /** @param {string} name "architecture.tag" */
  async entryNamed(name) {
    const found = (await this.index()).find((entry) => entry.name === name);
    if (!found) throw new ModelUnavailable(`there are no weights called ${name} at ${this.place}`);
    return found;
  }

  /**
   * The bytes of a weights file, from the browser's cache or the network, checked when they come.
   * @param {Entry} entry @param {(data: Uint8Array) => string} sha256 @param {Progress} [progress]
   */
  async bytes(entry, sha256, progress) {
    const cache = await openCache();
    // Of what is kept, the name is the hash, wherever it came from.
    const key = new URL(`/lictor-weights/${entry.sha256}`, "https://weights.invalid");
    const kept = await cache?.match(key);
    if (kept) return new Uint8Array(await kept.arrayBuffer());
    let data;
    try {
      data = await this.read(new URL(entry.file, this.place), progress);
    } catch (error) {
      throw new ModelUnavailable(
        `the weights of ${entry.name} cannot be fetched (${/** @type {Error} */ (error).message})`,
      );
    }
    if (sha256(data) !== entry.sha256) {
      throw new ModelUnavailable(
        `${entry.file} at ${this.place} is not what index.json says; put the right one there`,
      );
    }
    await cache?.put(key, new Response(new Uint8Array(data))).catch(() => {}); // no room: again next time
    return data;
  }
}

/** What the browser keeps; undefined where it keeps nothing. */
async function openCache() {
  return globalThis.caches?.open(CACHE).catch(() => undefined);
}

/** @typedef {(done: number, all: number) => void} Progress bytes; `all` is 0 if it is not known */

/** @param {URL} url @param {Progress} [progress] @returns {Promise<Uint8Array>} */
export async function readUrl(url, progress) {
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`${response.status} ${response.statusText}`);
  if (!progress) return new Uint8Array(await response.arrayBuffer());
  const all = Number(response.headers.get("content-length")) || 0;
  /** @type {Uint8Array[]} */
  const parts = [];
  let done = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    progress((done += part.value.length), all);
  }
  const data = new Uint8Array(done);
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}
