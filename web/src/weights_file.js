/**
 * Files of the weights codec, as far as shipped weights need it: codec/format/WEIGHTS.md. What
 * comes here has the SHA-256 that it should have, so that checksums inside are passed over.
 */

import { CorruptFile, damaged } from "./errors.js";
import { frequencies, inflateTo } from "./metadata.js";
import { Reader } from "./reader.js";

const MAGIC = [0x4c, 0x49, 0x57];
const MOST = 2 ** 32, MIDDLE = 24;
const PLANES = 1, DEFLATED = 2;
const RAW = 0, CONSTANT = 1, CODED = 2;

/** @typedef {import("./coders.js").Coders} Coders */
/** @typedef {import("./coders.js").Table} Table */
/** @typedef {{name: string, dtype: string, shape: number[], bytes: number}} Described */

/** @param {Uint8Array} data */
export function isCoded(data) {
  return MAGIC.every((byte, i) => data[i] === byte);
}

/**
 * The header of the safetensors file that was coded, and the bytes of each of its tensors.
 * @param {Uint8Array} data @param {Coders} coders
 * @returns {Promise<{texts: Record<string, string>, tensors: Map<string, Uint8Array>}>}
 */
export async function readCoded(data, coders) {
  const io = new Reader(data);
  io.raw("magic", MAGIC.length);
  io.uint("version", { low: 1, high: 1 });
  const size = io.varint("size of the header", 2, 10 ** 8);
  const packed = io.raw("header", io.varint("size of the packed header", 1, MOST));
  io.uint("base", { high: 0 });
  io.uint("check", { size: 4 });
  const { texts, described } = tensorsOf(await inflateTo(packed, size));
  /** @type {Map<string, Uint8Array>} */
  const tensors = new Map();
  for (const tensor of described) {
    const record = io.raw("record", io.varint("size of a record", 1, MOST));
    tensors.set(tensor.name, await new Record(new Reader(record), tensor, coders).bytes());
  }
  return { texts, tensors };
}

/** @param {Uint8Array} text */
function tensorsOf(text) {
  const { __metadata__: texts = {}, ...named } = JSON.parse(new TextDecoder().decode(text));
  const described = Object.entries(named).map(([name, { dtype, shape, data_offsets: [from, to] }]) =>
    ({ name, dtype, shape, from, bytes: to - from }));
  described.sort((a, b) => a.from - b.from);
  return { texts, described: described.filter(({ bytes }) => bytes) };
}

/** The record of a tensor's words. */
class Record {
  /** @param {Reader} io @param {Described} tensor @param {Coders} coders */
  constructor(io, { shape, bytes }, coders) {
    this.io = io;
    this.coders = coders;
    this.size = bytes;
    io.uint("method", { high: 0 });
    io.uint("prediction", { high: 0 });
    this.item = 1 << io.uint("word", { high: 2 });
    this.rest = io.uint("bits of the rest", { high: 8 * this.item - 1 });
    this.sign = io.uint("sign", { high: 1 });
    this.low = io.varint("lowest top", 1, 2 ** 16 - 1);
    this.values = io.varint("values of a chunk", 1, 2 ** 18);
    this.count = bytes / this.item;
    const rows = this.#block("levels of rows"), columns = this.#block("levels of columns");
    const tables = io.uint("number of tables", { high: 64 });
    const runs = Array.from({ length: tables }, () => io.varint("contexts of a table", 1, 64));
    const packed = this.#block("tables");
    this.tables = tables ? this.#unpacked(packed, tables) : [];
    this.index = tables ? this.#contexts(rows, columns, runs, this.count / shape[0]) : null;
  }

  #block(/** @type {string} */ name) {
    return this.io.raw(name, this.io.varint(`size of ${name}`, 0, MOST));
  }

  /** The table of each value. @param {Uint8Array} rows @param {Uint8Array} columns @param {number[]} runs @param {number} width */
  #contexts(rows, columns, runs, width) {
    const own = this.#plane(new Reader(rows), 4, this.count / width);
    const across = this.#plane(new Reader(columns), 4, width);
    const last = runs.length - 1;
    const least = runs[0] - 1;
    const most = Math.max(least, runs.reduce((a, b) => a + b) - runs[last]);
    const table = runs.flatMap((n, i) => Array(i && i < last ? n : 1).fill(i));
    const found = new Uint8Array(this.count);
    for (let i = 0, at = 0; i < own.length; i++) {
      for (let j = 0; j < width; j++, at++) {
        found[at] = table[Math.min(Math.max((own[i] + across[j]) & 255, least), most) - least];
      }
    }
    return found;
  }

  /** The tensor's bytes. */
  async bytes() {
    const chunks = this.io.varint("number of chunks", 1, MOST);
    const told = Array.from({ length: chunks }, () => {
      const way = this.io.uint("way of a chunk", { high: DEFLATED });
      const size = this.io.varint("size of a chunk", 0, 2 ** 19);
      this.io.raw("checks of a chunk", 8);
      return { way, size };
    });
    this.io.uint("check of the head", { size: 4 });
    if (chunks !== Math.ceil(this.count / this.values)) throw damaged("a tensor has other chunks");
    const out = new Uint8Array(this.size);
    let start = 0;
    for (const { way, size } of told) {
      const count = Math.min(this.values, this.count - start);
      const part = out.subarray(start * this.item, (start + count) * this.item);
      const data = this.io.raw("chunk", size);
      if (way === PLANES) this.#join(new Reader(data), start, count, part);
      else part.set(way === DEFLATED ? await inflateTo(data, part.length) : data);
      start += count;
    }
    this.io.end("a tensor");
    return out;
  }

  /** Words of tops and rests. @param {Reader} io @param {number} start @param {number} count @param {Uint8Array} out */
  #join(io, start, count, out) {
    const { item, rest: bits, sign, low } = this;
    const symbols = this.#tops(io, start, count);
    const rests = new Uint32Array(count);
    for (let at = 0; at < bits; at += 8) {
      const plane = this.#plane(io, Math.min(8, bits - at), count);
      for (let i = 0; i < count; i++) rests[i] |= plane[i] << at;
    }
    io.end("the planes of a chunk");
    const own = bits - sign, below = 2 ** own - 1, last = 8 * item - 1;
    for (let i = 0, at = 0; i < count; i++) {
      const symbol = symbols[i], rest = rests[i];
      const top = symbol ? symbol + low - (symbol > 0 ? 1 : 0) : 0;
      let word = (top << own) | (rest & below);
      if (sign) word = (word & ~(1 << last)) | (rest >>> own << last);
      for (let byte = 0; byte < item; byte++, word >>>= 8) out[at++] = word;
    }
  }

  /** @param {Reader} io @param {number} start @param {number} count */
  #tops(io, start, count) {
    const way = io.uint("way of a plane", { low: CONSTANT, high: CODED + 1 });
    if (way === CONSTANT) {
      const z = io.varint("symbol of a plane", 0, 2 ** 18);
      return new Int32Array(count).fill(z % 2 ? -(z + 1) / 2 : z / 2);
    }
    const data = io.raw("plane", io.varint("size of a plane", 0, MOST));
    if (way === CODED) return this.#own(data, count);
    if (!this.index) throw damaged("a plane takes tables that there are not");
    return this.coders.symbols(data, this.tables, this.index.subarray(start, start + count), count);
  }

  /** Values of so many bits. @param {Reader} io @param {number} width @param {number} count */
  #plane(io, width, count) {
    const way = io.uint("way of a plane", { high: CODED });
    if (way === CONSTANT) return new Uint8Array(count).fill(io.uint("value of a plane"));
    const data = io.raw("plane", io.varint("size of a plane", 0, MOST));
    if (way === CODED) return Uint8Array.from(this.#own(data, count));
    const whole = width === 8 ? count : Math.ceil(count / 8) * width;
    if (data.length !== whole) throw damaged("a plane has another size than its values");
    if (width === 8) return data;
    return Uint8Array.from({ length: count }, (_, i) => {
      const at = i * width, byte = at >> 3;
      return (((data[byte + 1] << 8) | data[byte]) >> (at & 7)) & (2 ** width - 1);
    });
  }

  /** A table, and symbols by it. @param {Uint8Array} data @param {number} count */
  #own(data, count) {
    const io = new Reader(data);
    const tables = this.#unpacked(io.raw("table", io.varint("size of a table", 0, MOST)), 1);
    return this.coders.symbols(io.rest(), tables, null, count);
  }

  /** @param {Uint8Array} data @param {number} count @returns {Table[]} */
  #unpacked(data, count) {
    const io = new Reader(data);
    const heads = Array.from({ length: count }, () => io.raw("head of a table", 3));
    const number = io.uint("table of logarithms", { high: 127 });
    const all = heads.reduce((sum, head) => sum + head[1], 0);
    const steps = this.coders.gaussian(io.rest(), number, all);
    let at = 0;
    return heads.map(([offset, size, escape]) => {
      let log = MIDDLE;
      const logs = Array.from({ length: size }, () => (log += steps[at++]));
      if (logs.some((own) => own < 0 || own > 56) || escape > 57) throw damaged("a table is none");
      return { offset, frequencies: frequencies([...logs, escape - 1]) };
    });
  }
}

/**
 * The tensors of a model, as numbers of a step for each row and each column: models/packed.py.
 * @param {Record<string, string>} texts @param {Map<string, Uint8Array>} parts
 * @returns {{name: string, values: Float32Array}[]}
 */
export function unpack(texts, parts) {
  const own = (/** @type {string} */ name) => parts.get(name) ?? new Uint8Array();
  const steps = own("steps"), rest = new Float32Array(own("rest").buffer);
  let step = 0, plain = 0;
  return Object.entries(JSON.parse(texts.tensors)).flatMap(([part, places]) => {
    const levels = new Uint16Array(own(`${part}.levels`).buffer);
    let run = 0;
    return /** @type {[string, number[], number][]} */ (places).map(([name, shape, way]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      if (!way) return { name, values: rest.subarray(plain, (plain += size)) };
      const [count, rows, columns] = matricesOf(shape);
      const used = count * (rows + columns);
      const values = scaled(
        levels.subarray(run * RUN, run * RUN + size), steps.subarray(step, step + used),
        [count, rows, columns], way === BY_COLUMNS,
      );
      run += Math.ceil(size / RUN);
      step += used;
      return { name, values };
    });
  });
}

const RUN = 64, HALF = 2 ** 15, BY_COLUMNS = 2;

/** @param {number[]} shape */
function matricesOf([first, ...rest]) {
  if (rest.length === 2) return [first, ...rest];
  return [1, first, rest.reduce((a, b) => a * b, 1)];
}

/** @param {Uint16Array} levels @param {Uint8Array} steps @param {number[]} sizes @param {boolean} turned */
function scaled(levels, steps, [count, rows, columns], turned) {
  if (levels.length !== count * rows * columns || steps.length !== count * (rows + columns)) {
    throw new CorruptFile("weights have fewer numbers than their tensors; get them again");
  }
  const factors = Float32Array.from(steps, (code) => (4 + (code & 3)) * 2 ** ((code >> 2) - 40));
  const values = new Float32Array(levels.length);
  for (let k = 0, at = 0; k < count; k++) {
    const own = factors.subarray(k * rows), across = factors.subarray(count * rows + k * columns);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++, at++) {
        const from = turned ? (k * columns + j) * rows + i : at;
        values[at] = (levels[from] - HALF) * own[i] * across[j];
      }
    }
  }
  return values;
}
