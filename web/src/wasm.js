/**
 * The compiled C code (web/wasm) and its memory. One instance serves one thread; what it computes is
 * synchronous.
 */

import { OutOfMemory } from "./errors.js";

/** @typedef {Record<string, (...values: number[]) => number>} Functions */

export class Machine {
  /** @param {WebAssembly.Module} module */
  constructor(module) {
    const { exports } = new WebAssembly.Instance(module);
    /** @type {Functions} */
    this.call = /** @type {any} */ (exports);
    this.memory = /** @type {WebAssembly.Memory} */ (exports.memory);
    this.call._initialize();
  }

  /**
   * Runs `work` with memory that is given back after it. `take(bytes)` gives the address of so many.
   * @template T @param {(take: (bytes: number) => number) => T} work
   */
  using(work) {
    /** @type {number[]} */
    const taken = [];
    try {
      return work((bytes) => {
        const at = this.allocate(bytes);
        taken.push(at);
        return at;
      });
    } finally {
      for (const at of taken) this.call.free(at);
    }
  }

  /** Memory that stays. @param {number} bytes */
  allocate(bytes) {
    const at = this.call.malloc(Math.max(bytes, 16)) >>> 0;
    if (!at) throw noMemory();
    return at;
  }

  /**
   * Views on memory; good until more is allocated.
   * @param {number} at @param {number} count
   */
  bytes(at, count) {
    return new Uint8Array(this.memory.buffer, at, count);
  }

  /** @param {number} at @param {number} count */
  floats(at, count) {
    return new Float32Array(this.memory.buffer, at, count);
  }

  /** @param {number} at @param {number} count */
  shorts(at, count) {
    return new Int16Array(this.memory.buffer, at, count);
  }

  /** @param {number} at @param {number} [count] */
  words(at, count = 1) {
    return new Uint32Array(this.memory.buffer, at, count);
  }

  /** A copy of an array in memory. @param {ArrayBufferView} array @param {(n: number) => number} take */
  put(array, take) {
    const at = take(array.byteLength);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    this.bytes(at, bytes.length).set(bytes);
    return at;
  }

  /** CRC-32 as in PNG and zip. @param {Uint8Array} data */
  crc32(data) {
    return this.using((take) => this.call.crc32(this.put(data, take), data.length) >>> 0);
  }

  /** SHA-256, in hexadecimal. @param {Uint8Array} data */
  sha256(data) {
    return this.using((take) => {
      const digest = take(32);
      this.call.sha256(this.put(data, take), data.length, digest);
      return Array.from(this.bytes(digest, 32), (b) => b.toString(16).padStart(2, "0")).join("");
    });
  }
}

export function noMemory() {
  return new OutOfMemory("not enough memory for this picture; use a smaller one or a larger machine");
}

/** @type {Promise<WebAssembly.Module> | undefined} */
let compiled;

/** The module of this machine, fetched and compiled once. @returns {Promise<WebAssembly.Module>} */
export function compile() {
  compiled ??= load(new URL("lictor.wasm", import.meta.url));
  return compiled;
}

/** @param {URL} url */
async function load(url) {
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    return WebAssembly.compile(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  // Not compileStreaming: it wants application/wasm, which not every web host says.
  return WebAssembly.compile(await response.arrayBuffer());
}
