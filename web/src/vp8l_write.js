/**
 * Writes lossless WebP bitstreams (RFC 9649) of planes: green and red hold them, blue and alpha are
 * constant. Runs of what is to the left or above are copied; samples are as they are, or less what
 * their neighbours let expect (predictor 11), whichever is smaller.
 */

import { select } from "./vp8l.js";

const LITERALS = 256, LENGTH_CODES = 24, DISTANCE_CODES = 40;
const LONGEST = 15, LONGEST_OF_LENGTHS = 7;
const MOST_COPIED = 4096, LEAST_COPIED = 4;
const ABOVE = 1, LEFT = 2; // distance codes
const CODE_ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const PREDICTOR_SIZE = 9, SELECT = 11, OPAQUE = 0xff000000;

class BitWriter {
  /** @type {number[]} */
  bytes = [];
  #pending = 0;
  #count = 0;

  /** Least significant bit first. @param {number} value @param {number} count at most 16 */
  put(value, count) {
    this.#pending |= value << this.#count;
    this.#count += count;
    for (; this.#count >= 8; this.#count -= 8, this.#pending >>>= 8) this.bytes.push(this.#pending & 255);
  }

  finish() {
    if (this.#count) this.bytes.push(this.#pending & 255);
    return Uint8Array.from(this.bytes);
  }
}

/** Lengths of a prefix code (Huffman), none above `most`. @param {number[]} counts @param {number} most */
function lengthsOf(counts, most) {
  for (let least = 1; ; least *= 2) {
    const lengths = counts.map(() => 0);
    /** @type {{count: number, symbols: number[]}[]} */
    const trees = counts.flatMap((count, symbol) =>
      count ? [{ count: Math.max(count, least), symbols: [symbol] }] : []);
    while (trees.length > 1) {
      trees.sort((a, b) => b.count - a.count);
      const [a, b] = trees.splice(-2);
      const symbols = [...a.symbols, ...b.symbols];
      for (const symbol of symbols) lengths[symbol]++;
      trees.push({ count: a.count + b.count, symbols });
    }
    if (Math.max(...lengths) <= most) return lengths;
  }
}

/** Canonical codes, as they are written: first bit lowest. @param {number[]} lengths */
function codesOf(lengths) {
  const codes = lengths.map(() => 0);
  for (let length = 1, code = 0; length <= LONGEST; length++, code <<= 1) {
    lengths.forEach((own, symbol) => {
      if (own !== length) return;
      for (let bit = 0; bit < length; bit++) codes[symbol] |= ((code >> bit) & 1) << (length - 1 - bit);
      code++;
    });
  }
  return codes;
}

/**
 * Writes a code; what it makes puts its symbols.
 * @param {BitWriter} out @param {number[]} counts @returns {(symbol: number) => void}
 */
function writeCode(out, counts) {
  const used = counts.flatMap((count, symbol) => (count ? [symbol] : []));
  if (used.length <= 1) {
    const only = used[0] ?? 0;
    if (only < 256) {
      out.put(1, 1); // a simple code of one symbol of 8 bits
      out.put(0, 1);
      out.put(1, 1);
      out.put(only, 8);
      return () => {};
    }
    counts[0] = 1; // a larger one has company
  }
  const lengths = lengthsOf(counts, LONGEST);
  const last = lengths.length - [...lengths].reverse().findIndex((length) => length);
  const own = Array.from({ length: CODE_ORDER.length }, (_, n) =>
    lengths.slice(0, last).filter((length) => length === n).length);
  if (own.filter((count) => count).length < 2) own[own.findIndex((count) => !count)] = 1;
  const ownLengths = lengthsOf(own, LONGEST_OF_LENGTHS), ownCodes = codesOf(ownLengths);
  out.put(0, 1);
  out.put(CODE_ORDER.length - 4, 4);
  for (const symbol of CODE_ORDER) out.put(ownLengths[symbol], 3);
  out.put(1, 1); // so many lengths
  out.put(4, 3); // in 10 bits
  out.put(Math.max(last, 2) - 2, 10);
  for (const length of lengths.slice(0, Math.max(last, 2))) out.put(ownCodes[length], ownLengths[length]);
  const codes = codesOf(lengths);
  return (symbol) => out.put(codes[symbol], lengths[symbol]);
}

/** The prefix of a number from 1 on, its extra bits and their count. @param {number} number */
function prefixOf(number) {
  const n = number - 1;
  if (n < 4) return [n, 0, 0];
  const log = 31 - Math.clz32(n), second = (n >> (log - 1)) & 1;
  return [2 * log + second, n & ((1 << (log - 1)) - 1), log - 1];
}

/** Samples, and copies as [distance code, length]. @param {Uint32Array} pixels @param {number} width */
function tokensOf(pixels, width) {
  /** @type {(number | [number, number])[]} */
  const tokens = [];
  const reach = (/** @type {number} */ at, /** @type {number} */ by) => {
    let length = 0;
    while (at >= by && length < MOST_COPIED && at + length < pixels.length
      && pixels[at + length] === pixels[at + length - by]) length++;
    return length;
  };
  for (let at = 0; at < pixels.length; ) {
    const left = reach(at, 1), above = width > 1 ? reach(at, width) : 0;
    const length = Math.max(left, above);
    if (length < LEAST_COPIED) {
      tokens.push(pixels[at++]);
    } else {
      tokens.push([above > left ? ABOVE : LEFT, length]);
      at += length;
    }
  }
  return tokens;
}

/** An entropy-coded image without cache and groups. @param {BitWriter} out @param {Uint32Array} pixels @param {number} width @param {boolean} top */
function writePixels(out, pixels, width, top) {
  const tokens = tokensOf(pixels, width);
  const counts = [LITERALS + LENGTH_CODES, 256, 256, 256, DISTANCE_CODES].map((size) =>
    /** @type {number[]} */ (new Array(size).fill(0)));
  const bytesOf = (/** @type {number} */ p) => [(p >> 8) & 255, (p >> 16) & 255, p & 255, p >>> 24];
  for (const token of tokens) {
    if (typeof token === "number") bytesOf(token).forEach((byte, i) => counts[i][byte]++);
    else {
      counts[0][LITERALS + prefixOf(token[1])[0]]++;
      counts[4][prefixOf(token[0])[0]]++;
    }
  }
  out.put(0, 1); // no cache
  if (top) out.put(0, 1); // one group
  const put = counts.map((own) => writeCode(out, own));
  for (const token of tokens) {
    if (typeof token === "number") {
      bytesOf(token).forEach((byte, i) => put[i](byte));
      continue;
    }
    const [length, extra, bits] = prefixOf(token[1]);
    put[0](LITERALS + length);
    out.put(extra, bits);
    put[4](prefixOf(token[0])[0]);
  }
}

/** Less what the neighbours let expect. @param {Uint32Array} pixels @param {number} width */
function residuals(pixels, width) {
  return pixels.map((pixel, at) => {
    const x = at % width, above = at >= width;
    const guess = !above ? (x ? pixels[at - 1] : OPAQUE)
      : !x ? pixels[at - width]
      : select(pixels[at - 1], pixels[at - width], pixels[at - width - 1]);
    const less = (/** @type {number} */ mask) => ((pixel | 0) & mask) - ((guess | 0) & mask);
    return ((less(0xff00) & 0xff00) | (less(0xff0000) & 0xff0000)) >>> 0;
  });
}

/**
 * A bitstream of a plane: the high bytes of 16 bits, or all of 8, in green, the low ones in red.
 * @param {Uint8Array | Uint16Array} plane @param {number} width @param {number} height
 */
export function encodeVp8l(plane, width, height) {
  const wide = plane instanceof Uint16Array;
  const pixels = Uint32Array.from(plane, (v) =>
    ((wide ? (v & 0xff00) | ((v & 255) << 16) : v << 8) | OPAQUE) >>> 0);
  const made = [false, true].map((predicted) => {
    const out = new BitWriter();
    out.put(0x2f, 8);
    out.put(width - 1, 14);
    out.put(height - 1, 14);
    out.put(0, 4); // alpha is not used; version 0
    if (predicted) {
      out.put(1, 1);
      out.put(0, 2);
      out.put(PREDICTOR_SIZE - 2, 3);
      const across = Math.ceil(width / 512), down = Math.ceil(height / 512);
      writePixels(out, new Uint32Array(across * down).fill((SELECT << 8) | OPAQUE), across, false);
    }
    out.put(0, 1);
    writePixels(out, predicted ? residuals(pixels, width) : pixels, width, true);
    return out.finish();
  });
  return made[0].length <= made[1].length ? made[0] : made[1];
}
