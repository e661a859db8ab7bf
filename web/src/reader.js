/** The elements that files are made of: numbers and bytes with a name and a range. FORMAT.md. */

import { damaged, TruncatedFile } from "./errors.js";

export class Reader {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.position = 0;
  }

  /** The next `size` bytes, as a view. @param {string} name @param {number} size */
  raw(name, size) {
    const end = this.position + size;
    if (end > this.data.length) {
      throw new TruncatedFile(
        `the file ends after ${this.data.length} bytes, inside its ${name}; get a complete copy of it`,
      );
    }
    const view = this.data.subarray(this.position, end);
    this.position = end;
    return view;
  }

  /**
   * An unsigned little-endian integer of `size` bytes.
   * @param {string} name @param {{size?: number, low?: number, high?: number}} [range]
   */
  uint(name, { size = 1, low = 0, high = 256 ** size - 1 } = {}) {
    const value = this.raw(name, size).reduceRight((sum, byte) => sum * 256 + byte, 0);
    return this.#checked(name, value, low, high);
  }

  /** LEB128 in the fewest bytes. @param {string} name @param {number} low @param {number} high */
  varint(name, low, high) {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      if (unit > 1 && unit > high) throw damaged(`${name} goes on for too many bytes`);
      const byte = this.uint(name);
      value += (byte & 127) * unit;
      if (byte < 128) {
        if (unit > 1 && byte === 0) throw damaged(`${name} is written in more bytes than it needs`);
        return this.#checked(name, value, low, high);
      }
    }
  }

  /** All from here on. */
  rest() {
    return this.raw("end", this.data.length - this.position);
  }

  /** What was read since. @param {number} start */
  since(start) {
    return this.data.subarray(start, this.position);
  }

  /** Nothing may follow. @param {string} what */
  end(what) {
    if (this.position !== this.data.length) throw damaged(`bytes follow ${what}`);
  }

  /** @param {string} name @param {number} value @param {number} low @param {number} high */
  #checked(name, value, low, high) {
    if (value < low || value > high) throw damaged(`${name} is ${value}, outside ${low}…${high}`);
    return value;
  }
}

/** The same elements, the other way. */
export class Writer {
  /** @type {number[]} */
  bytes = [];

  /** @param {ArrayLike<number>} bytes */
  raw(bytes) {
    for (let i = 0; i < bytes.length; i++) this.bytes.push(bytes[i]);
  }

  /** @param {number} value @param {number} [size] */
  uint(value, size = 1) {
    for (let i = 0; i < size; i++, value = Math.floor(value / 256)) this.bytes.push(value % 256);
  }

  /** @param {number} value */
  varint(value) {
    for (; value > 127; value = Math.floor(value / 128)) this.bytes.push((value % 128) | 128);
    this.bytes.push(value);
  }
}
