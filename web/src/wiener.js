/** The filter of what the synthesis gives: codec/format/FORMAT.md, "Wiener filter". */

import { damaged } from "./errors.js";
import { Reader } from "./reader.js";

const MAX_CLASSES = 8;
const MAX_ACTIVITY = 2 ** 18;
const MAX_TAP = 255;
const PLACES = [[0, 1], [1, 0], [1, 1], [1, -1]];

/**
 * @typedef {object} Wiener
 * @property {number[]} thresholds
 * @property {number} precision bits of a tap below 1
 * @property {number[]} taps by class, colour that comes out, feature
 */

/** @param {number} colours */
const tapsOf = (colours) => 5 * colours + 1;

/** @param {Uint8Array} payload @param {number} colours @returns {Wiener} */
export function readWiener(payload, colours) {
  const io = new Reader(payload);
  const classes = io.uint("classes of the filter", { low: 1, high: MAX_CLASSES });
  /** @type {number[]} */
  const thresholds = [];
  for (let least = 1; thresholds.length < classes - 1; least = thresholds[thresholds.length - 1] + 1) {
    thresholds.push(io.varint("activity of the filter", least, MAX_ACTIVITY));
  }
  const codes = io.uint("codes of the filter", { high: 31 });
  if ((codes & 7) > 6) throw damaged("the filter's codes have no such order");
  const bits = new Bits(io.rest());
  const count = classes * colours * tapsOf(colours);
  const taps = Array.from({ length: count }, () => bits.tap(codes & 7));
  bits.end();
  return { thresholds, precision: 5 + (codes >> 3), taps };
}

class Bits {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  bit() {
    if (this.at >= 8 * this.data.length) throw damaged("the filter has fewer taps than it needs");
    const found = (this.data[this.at >> 3] >> (this.at & 7)) & 1;
    this.at++;
    return found;
  }

  /** @param {number} order */
  tap(order) {
    if (!this.bit()) return 0;
    const negative = this.bit();
    let count = order;
    while (!this.bit()) if (++count > 8) throw damaged("a tap of the filter is too large");
    let size = 1 << count;
    for (let i = 0; i < count; i++) size |= this.bit() << i;
    size += 1 - (1 << order);
    if (size > MAX_TAP) throw damaged("a tap of the filter is too large");
    return negative ? -size : size;
  }

  end() {
    const used = Math.ceil(this.at / 8) === this.data.length;
    if (!used || (this.at & 7 && this.data[this.data.length - 1] >> (this.at & 7))) {
      throw damaged("something follows the taps of the filter");
    }
  }
}

/**
 * Filters all of a picture, in place.
 * @param {import("./coders.js").Samples} samples @param {{width: number, height: number}} size
 * @param {number} colours @param {number} depth @param {Wiener} wiener
 */
export function filter(samples, { width, height }, colours, depth, wiener) {
  const wanted = wiener.thresholds.length ? activities(samples, width, height, colours) : null;
  const given = samples.slice(), count = tapsOf(colours), most = 2 ** depth - 1;
  const features = new Int32Array(count), half = 2 ** (wiener.precision - 1);
  const middle = 2 ** (depth - 1), unit = 2 ** wiener.precision;
  features[count - 1] = 2 ** (depth - 4);
  for (let y = 0; y < height; y++) {
    const rows = [Math.max(y - 1, 0), y, Math.min(y + 1, height - 1)];
    for (let x = 0; x < width; x++) {
      const columns = [Math.max(x - 1, 0), x, Math.min(x + 1, width - 1)];
      const at = (y * width + x) * colours;
      PLACES.forEach(([down, across], pair) => {
        const one = (rows[1 + down] * width + columns[1 + across]) * colours;
        const other = (rows[1 - down] * width + columns[1 - across]) * colours;
        for (let c = 0; c < colours; c++) {
          features[pair * colours + c] = given[one + c] + given[other + c] - 2 * given[at + c];
        }
      });
      for (let c = 0; c < colours; c++) features[4 * colours + c] = given[at + c] - middle;
      let kind = 0;
      if (wanted) {
        const active = wanted[y * width + x] >> (depth - 8);
        while (kind < wiener.thresholds.length && wiener.thresholds[kind] <= active) kind++;
      }
      for (let c = 0; c < colours; c++) {
        const first = (kind * colours + c) * count;
        let sum = half;
        for (let i = 0; i < count; i++) sum += wiener.taps[first + i] * features[i];
        samples[at + c] = Math.min(Math.max(given[at + c] + Math.floor(sum / unit), 0), most);
      }
    }
  }
}

/**
 * How much happens around each pixel, before it is made that of 8 bits.
 * @param {import("./coders.js").Samples} samples @param {number} width @param {number} height
 * @param {number} colours
 */
function activities(samples, width, height, colours) {
  const wide = width + 4, high = height + 4;
  const held = (/** @type {number} */ i, /** @type {number} */ size) => Math.min(Math.max(i, 0), size - 1);
  const luma = (/** @type {number} */ y, /** @type {number} */ x) => {
    const at = (held(y, height) * width + held(x, width)) * colours;
    let sum = 0;
    for (let c = 0; c < colours; c++) sum += samples[at + c];
    return sum;
  };
  const bends = new Int32Array(wide * high), lines = new Int32Array(width * high);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      const v = y - 2, u = x - 2, twice = 2 * luma(v, u);
      bends[y * wide + x] = Math.abs(luma(v, u + 1) + luma(v, u - 1) - twice) +
        Math.abs(luma(v + 1, u) + luma(v - 1, u) - twice);
    }
    for (let x = 0; x < width; x++) {
      for (let i = 0; i < 5; i++) lines[y * width + x] += bends[y * wide + x + i];
    }
  }
  const found = new Int32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let i = 0; i < 5; i++) found[y * width + x] += lines[(y + i) * width + x];
    }
  }
  return found;
}
