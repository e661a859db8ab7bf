/** Lossless WebP bitstreams (RFC 9649), which hold alpha planes. */

import { CorruptFile } from "./errors.js";

const SIGNATURE = 0x2f;
const LENGTH_CODES = 24, DISTANCE_CODES = 40, LITERALS = 256;
const CODE_ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const PREDICTOR = 0, COLOUR = 1, SUBTRACT_GREEN = 2, PALETTE = 3;
const GREEN = 0, RED = 1, BLUE = 2, ALPHA = 3, DISTANCE = 4;
const OPAQUE = 0xff000000;
const GUIDE_BITS = 8, LONGEST = 15;

/** Where the 120 shortest distance codes lead: x and y (RFC 9649, 5.2.2). */
const NEAR = [
  [0, 1], [1, 0], [1, 1], [-1, 1], [0, 2], [2, 0], [1, 2], [-1, 2], [2, 1], [-2, 1], [2, 2],
  [-2, 2], [0, 3], [3, 0], [1, 3], [-1, 3], [3, 1], [-3, 1], [2, 3], [-2, 3], [3, 2], [-3, 2],
  [0, 4], [4, 0], [1, 4], [-1, 4], [4, 1], [-4, 1], [3, 3], [-3, 3], [2, 4], [-2, 4], [4, 2],
  [-4, 2], [0, 5], [3, 4], [-3, 4], [4, 3], [-4, 3], [5, 0], [1, 5], [-1, 5], [5, 1], [-5, 1],
  [2, 5], [-2, 5], [5, 2], [-5, 2], [4, 4], [-4, 4], [3, 5], [-3, 5], [5, 3], [-5, 3], [0, 6],
  [6, 0], [1, 6], [-1, 6], [6, 1], [-6, 1], [2, 6], [-2, 6], [6, 2], [-6, 2], [4, 5], [-4, 5],
  [5, 4], [-5, 4], [3, 6], [-3, 6], [6, 3], [-6, 3], [0, 7], [7, 0], [1, 7], [-1, 7], [5, 5],
  [-5, 5], [7, 1], [-7, 1], [4, 6], [-4, 6], [6, 4], [-6, 4], [2, 7], [-2, 7], [7, 2], [-7, 2],
  [3, 7], [-3, 7], [7, 3], [-7, 3], [5, 6], [-5, 6], [6, 5], [-6, 5], [8, 0], [4, 7], [-4, 7],
  [7, 4], [-7, 4], [8, 1], [8, 2], [6, 6], [-6, 6], [8, 3], [5, 7], [-5, 7], [7, 5], [-7, 5],
  [8, 4], [6, 7], [-6, 7], [7, 6], [-7, 6], [8, 5], [7, 7], [-7, 7], [8, 6], [8, 7],
];

function broken() {
  return new CorruptFile("a tile of the alpha plane is damaged; get another copy of the file");
}

class Bits {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.at = 0;
    this.end = 8 * data.length;
  }

  /** The next bits without taking them, zeros beyond the end. @param {number} count at most 24 */
  look(count) {
    const byte = this.at >> 3, d = this.data;
    const four = (d[byte] | (d[byte + 1] << 8) | (d[byte + 2] << 16) | (d[byte + 3] << 24)) >>> 0;
    return (four >>> (this.at & 7)) & ((1 << count) - 1);
  }

  /** @param {number} count at most 24 */
  take(count) {
    const value = this.look(count);
    this.at += count;
    if (this.at > this.end) throw broken();
    return value;
  }
}

/** A prefix code: canonical, from lengths; a guide serves the short ones. */
class Code {
  /** @param {Uint8Array} lengths of each symbol, 0 for those that are not there */
  constructor(lengths) {
    this.counts = new Uint16Array(LONGEST + 1);
    for (const length of lengths) if (length) this.counts[length]++;
    const firsts = new Uint16Array(LONGEST + 2);
    let left = 1;
    for (let n = 1; n <= LONGEST; n++) {
      left = 2 * left - this.counts[n];
      if (left < 0) throw broken();
      firsts[n + 1] = firsts[n] + this.counts[n];
    }
    this.symbols = new Uint16Array(firsts[LONGEST + 1]);
    lengths.forEach((length, symbol) => {
      if (length) this.symbols[firsts[length]++] = symbol;
    });
    if (!this.symbols.length) throw broken();
    /** The one symbol of a code that has no other: it takes no bits. */
    this.only = this.symbols.length === 1 ? this.symbols[0] : -1;
    if (left > 0 && this.only < 0) throw broken();
    /** @type {Uint32Array | null} */
    this.guide = null;
  }

  /** @param {Bits} bits */
  next(bits) {
    if (this.only >= 0) return this.only;
    this.guide ??= this.#makeGuide();
    const found = this.guide[bits.look(GUIDE_BITS)];
    if (!found) return this.#walk(bits);
    bits.take(found >> 16);
    return found & 0xffff;
  }

  /** Bit by bit. @param {Bits} bits */
  #walk(bits) {
    for (let n = 1, code = 0, first = 0, index = 0; n <= LONGEST; n++) {
      code |= bits.take(1);
      const count = this.counts[n];
      if (code - first < count) return this.symbols[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw broken();
  }

  #makeGuide() {
    const guide = new Uint32Array(1 << GUIDE_BITS);
    for (let n = 1, code = 0, index = 0; n <= GUIDE_BITS; n++, code <<= 1) {
      for (let i = 0; i < this.counts[n]; i++, code++, index++) {
        let turned = 0;
        for (let b = 0; b < n; b++) turned |= ((code >> b) & 1) << (n - 1 - b);
        for (let j = turned; j < guide.length; j += 1 << n) guide[j] = (n << 16) | this.symbols[index];
      }
    }
    return guide;
  }
}

/** @param {Bits} bits @param {number} size of the alphabet */
function readCode(bits, size) {
  const lengths = new Uint8Array(size);
  if (bits.take(1)) {
    const two = bits.take(1);
    const first = bits.take(bits.take(1) ? 8 : 1);
    const second = two ? bits.take(8) : first;
    if (first >= size || second >= size) throw broken();
    lengths[first] = lengths[second] = 1;
    return new Code(lengths);
  }
  const own = new Uint8Array(CODE_ORDER.length);
  for (let i = 0, n = 4 + bits.take(4); i < n; i++) {
    if (i >= CODE_ORDER.length) throw broken();
    own[CODE_ORDER[i]] = bits.take(3);
  }
  const code = new Code(own);
  let left = size;
  if (bits.take(1)) left = 2 + bits.take(2 + 2 * bits.take(3));
  if (left > size) throw broken();
  for (let i = 0, before = 8; i < size && left > 0; left--) {
    const symbol = code.next(bits);
    if (symbol < 16) {
      lengths[i++] = symbol;
      if (symbol) before = symbol;
      continue;
    }
    const count = [3 + bits.take(symbol === 16 ? 2 : 0), 3, 11][symbol - 16]
      + (symbol === 17 ? bits.take(3) : symbol === 18 ? bits.take(7) : 0);
    if (i + count > size) throw broken();
    lengths.fill(symbol === 16 ? before : 0, i, i + count);
    i += count;
  }
  return new Code(lengths);
}

/** @param {Bits} bits @param {number} symbol */
function numberOf(bits, symbol) {
  if (symbol < 4) return symbol + 1;
  const extra = (symbol - 2) >> 1;
  return ((2 + (symbol & 1)) << extra) + bits.take(extra) + 1;
}

/** @param {number} width @param {number} code */
function distanceOf(width, code) {
  if (code > NEAR.length) return code - NEAR.length;
  const [x, y] = NEAR[code - 1];
  return Math.max(1, x + y * width);
}

/** @param {number} side @param {number} bits */
const blocks = (side, bits) => (side + (1 << bits) - 1) >> bits;

/**
 * An entropy-coded image: pixels as ARGB.
 * @param {Bits} bits @param {number} width @param {number} height @param {boolean} top whether it may
 * have groups of codes
 */
function readPixels(bits, width, height, top) {
  const cacheBits = bits.take(1) ? bits.take(4) : 0;
  if (cacheBits > 11) throw broken();
  const cache = cacheBits ? new Uint32Array(1 << cacheBits) : null;
  let groupBits = 0, count = 1;
  /** @type {Uint32Array | null} */
  let groupOf = null;
  if (top && bits.take(1)) {
    groupBits = 2 + bits.take(3);
    groupOf = readPixels(bits, blocks(width, groupBits), blocks(height, groupBits), false);
    for (const pixel of groupOf) count = Math.max(count, 1 + ((pixel >> 8) & 0xffff));
  }
  const sizes = [LITERALS + LENGTH_CODES + (cache?.length ?? 0), 256, 256, 256, DISTANCE_CODES];
  const groups = Array.from({ length: count }, () => sizes.map((size) => readCode(bits, size)));
  const across = blocks(width, groupBits);
  const out = new Uint32Array(width * height);
  const remember = (/** @type {number} */ pixel) => {
    if (cache) cache[Math.imul(pixel, 0x1e35a7bd) >>> (32 - cacheBits)] = pixel;
  };
  for (let at = 0; at < out.length; ) {
    const x = at % width, y = Math.floor(at / width);
    const group = groupOf
      ? groups[(groupOf[(y >> groupBits) * across + (x >> groupBits)] >> 8) & 0xffff]
      : groups[0];
    const symbol = group[GREEN].next(bits);
    if (symbol < LITERALS) {
      const red = group[RED].next(bits), blue = group[BLUE].next(bits);
      const pixel = ((group[ALPHA].next(bits) << 24) | (red << 16) | (symbol << 8) | blue) >>> 0;
      out[at++] = pixel;
      remember(pixel);
    } else if (symbol < LITERALS + LENGTH_CODES) {
      const length = numberOf(bits, symbol - LITERALS);
      const from = at - distanceOf(width, numberOf(bits, group[DISTANCE].next(bits)));
      if (from < 0 || at + length > out.length) throw broken();
      for (let i = 0; i < length; i++) remember((out[at + i] = out[from + i]));
      at += length;
    } else {
      const pixel = /** @type {Uint32Array} */ (cache)[symbol - LITERALS - LENGTH_CODES];
      out[at++] = pixel;
      remember(pixel);
    }
  }
  return out;
}

// ---- transforms

/** Byte by byte, modulo 256. @param {number} a @param {number} b */
function add(a, b) {
  return ((((a & 0xff00ff00) >>> 0) + ((b & 0xff00ff00) >>> 0)) & 0xff00ff00 |
    (((a & 0x00ff00ff) + (b & 0x00ff00ff)) & 0x00ff00ff)) >>> 0;
}

/** @param {number} a @param {number} b */
function mean(a, b) {
  return ((((a ^ b) & 0xfefefefe) >>> 1) + (a & b)) >>> 0;
}

/** @param {(channel: number) => number} of byte of each */
function byBytes(of) {
  let pixel = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    pixel |= Math.max(0, Math.min(255, of(shift))) << shift;
  }
  return pixel >>> 0;
}

/** @param {number} pixel @param {number} shift */
const byteOf = (pixel, shift) => (pixel >>> shift) & 255;

/** @param {number} left @param {number} above @param {number} corner */
export function select(left, above, corner) {
  let toLeft = 0, toAbove = 0;
  for (let s = 0; s < 32; s += 8) {
    toLeft += Math.abs(byteOf(above, s) - byteOf(corner, s));
    toAbove += Math.abs(byteOf(left, s) - byteOf(corner, s));
  }
  return toLeft < toAbove ? left : above;
}

/** @param {number} mode @param {number} l @param {number} t @param {number} tl @param {number} tr */
function predicted(mode, l, t, tl, tr) {
  switch (mode) {
    case 1: return l;
    case 2: return t;
    case 3: return tr;
    case 4: return tl;
    case 5: return mean(mean(l, tr), t);
    case 6: return mean(l, tl);
    case 7: return mean(l, t);
    case 8: return mean(tl, t);
    case 9: return mean(t, tr);
    case 10: return mean(mean(l, tl), mean(t, tr));
    case 11: return select(l, t, tl);
    case 12: return byBytes((s) => byteOf(l, s) + byteOf(t, s) - byteOf(tl, s));
    case 13: {
      const m = mean(l, t);
      return byBytes((s) => byteOf(m, s) + Math.trunc((byteOf(m, s) - byteOf(tl, s)) / 2));
    }
    default: return OPAQUE;
  }
}

/** @param {Uint32Array} p @param {number} width @param {number} bits @param {Uint32Array} modes */
function undoPredictor(p, width, bits, modes) {
  const across = blocks(width, bits);
  for (let at = 0; at < p.length; at++) {
    const x = at % width, y = Math.floor(at / width);
    let guess;
    if (y === 0) guess = x ? p[at - 1] : OPAQUE;
    else if (x === 0) guess = p[at - width];
    else {
      const mode = (modes[(y >> bits) * across + (x >> bits)] >> 8) & 15;
      // Of the last column, the pixel to the upper right is the first of this row.
      guess = predicted(mode, p[at - 1], p[at - width], p[at - width - 1], p[at - width + 1]);
    }
    p[at] = add(p[at], guess);
  }
}

/** @param {Uint32Array} p @param {number} width @param {number} bits @param {Uint32Array} factors */
function undoColour(p, width, bits, factors) {
  const across = blocks(width, bits);
  const signed = (/** @type {number} */ byte) => (byte << 24) >> 24;
  const part = (/** @type {number} */ t, /** @type {number} */ c) => (signed(t) * signed(c)) >> 5;
  for (let at = 0; at < p.length; at++) {
    const x = at % width, y = Math.floor(at / width), pixel = p[at];
    const f = factors[(y >> bits) * across + (x >> bits)];
    const green = byteOf(pixel, 8);
    const red = (byteOf(pixel, 16) + part(f & 255, green)) & 255;
    const blue = (byteOf(pixel, 0) + part(byteOf(f, 8), green) + part(byteOf(f, 16), red)) & 255;
    p[at] = ((pixel & 0xff00ff00) | (red << 16) | blue) >>> 0;
  }
}

/** @param {Uint32Array} p */
function undoSubtractGreen(p) {
  for (let at = 0; at < p.length; at++) {
    const green = byteOf(p[at], 8);
    p[at] = add(p[at], (green << 16) | green);
  }
}

/**
 * Indexes, several in a pixel if there are few colours, to colours.
 * @param {Uint32Array} p @param {number} packedWidth @param {number} width @param {number} height
 * @param {number} shift @param {Uint32Array} palette
 */
function undoPalette(p, packedWidth, width, height, shift, palette) {
  const out = new Uint32Array(width * height);
  const size = 8 >> shift, mask = (1 << size) - 1;
  for (let at = 0; at < out.length; at++) {
    const x = at % width, y = Math.floor(at / width);
    const packed = byteOf(p[y * packedWidth + (x >> shift)], 8);
    const index = (packed >> ((x & ((1 << shift) - 1)) * size)) & mask;
    out[at] = index < palette.length ? palette[index] : 0;
  }
  return out;
}

/**
 * The pixels of a bitstream, as ARGB.
 * @param {Uint8Array} data @param {number} width @param {number} height of what it must be
 */
export function decodeVp8l(data, width, height) {
  const bits = new Bits(data);
  const sizes = [bits.take(8), bits.take(14), bits.take(14)];
  bits.take(1);
  if (bits.take(3) || sizes[0] !== SIGNATURE || sizes[1] !== width - 1 || sizes[2] !== height - 1) {
    throw broken();
  }
  /** @type {((pixels: Uint32Array) => Uint32Array | void)[]} */
  const undo = [];
  let wide = width;
  for (let seen = 0; bits.take(1); ) {
    const kind = bits.take(2);
    if (seen & (1 << kind)) throw broken();
    seen |= 1 << kind;
    if (kind === PREDICTOR || kind === COLOUR) {
      const size = 2 + bits.take(3), own = wide;
      const values = readPixels(bits, blocks(wide, size), blocks(height, size), false);
      const way = kind === PREDICTOR ? undoPredictor : undoColour;
      undo.push((p) => way(p, own, size, values));
    } else if (kind === SUBTRACT_GREEN) {
      undo.push(undoSubtractGreen);
    } else if (kind === PALETTE) {
      const palette = readPixels(bits, 1 + bits.take(8), 1, false);
      for (let i = 1; i < palette.length; i++) palette[i] = add(palette[i], palette[i - 1]);
      const n = palette.length, shift = n <= 2 ? 3 : n <= 4 ? 2 : n <= 16 ? 1 : 0, own = wide;
      const narrow = (wide = blocks(wide, shift));
      undo.push((p) => undoPalette(p, narrow, own, height, shift, palette));
    }
  }
  /** @type {Uint32Array} */
  let pixels = readPixels(bits, wide, height, true);
  for (const way of undo.reverse()) pixels = way(pixels) ?? pixels;
  return pixels;
}
