/** Rectangles, and pictures cut into tiles (codec/picture/tiles.py). All in pixels. */

import { BLOCK } from "./format.js";

/** @typedef {{top: number, left: number, height: number, width: number}} Box */

/** What two boxes share; it may be empty. @param {Box} a @param {Box} b @returns {Box} */
export function shared(a, b) {
  const top = Math.max(a.top, b.top), left = Math.max(a.left, b.left);
  const bottom = Math.min(a.top + a.height, b.top + b.height);
  const right = Math.min(a.left + a.width, b.left + b.width);
  return { top, left, height: Math.max(0, bottom - top), width: Math.max(0, right - left) };
}

/** Larger on all sides. @param {Box} box @param {number} by @returns {Box} */
export function grown(box, by) {
  return {
    top: box.top - by, left: box.left - by, height: box.height + 2 * by, width: box.width + 2 * by,
  };
}

/** With sides that are multiples. @param {Box} box @param {number} [of] @returns {Box} */
export function padded(box, of = BLOCK) {
  const up = (/** @type {number} */ side) => Math.ceil(side / of) * of;
  return { ...box, height: up(box.height), width: up(box.width) };
}

/** Counted in units. @param {Box} box @param {number} unit @returns {Box} */
export function inUnits(box, unit) {
  return {
    top: box.top / unit, left: box.left / unit, height: box.height / unit, width: box.width / unit,
  };
}

/** As seen from the corner of another. @param {Box} box @param {Box} from @returns {Box} */
export function seenFrom(box, from) {
  return { ...box, top: box.top - from.top, left: box.left - from.left };
}

export class Grid {
  /**
   * @param {{width: number, height: number}} picture
   * @param {{width: number, height: number} | null} tile sides of a tile; null: one tile
   */
  constructor(picture, tile) {
    /** @type {Box} */
    this.picture = { top: 0, left: 0, height: picture.height, width: picture.width };
    this.tile = tile ?? padded(this.picture);
    this.columns = Math.ceil(picture.width / this.tile.width);
    this.count = this.columns * Math.ceil(picture.height / this.tile.height);
  }

  /** Where a tile lies, without padding. @param {number} number @returns {Box} */
  at(number) {
    const { height, width } = this.tile;
    const row = Math.floor(number / this.columns), column = number % this.columns;
    return shared({ top: row * height, left: column * width, height, width }, this.picture);
  }

  /** All tiles. */
  *[Symbol.iterator]() {
    for (let number = 0; number < this.count; number++) yield this.at(number);
  }
}

/** What an encoder takes: about 1024² pixels a tile. @param {number} width @param {number} height */
export function gridFor(width, height) {
  const wide = Math.ceil(width / BLOCK), high = Math.ceil(height / BLOCK), side = 1024 / BLOCK;
  const even = (/** @type {number} */ blocks, /** @type {number} */ near) =>
    Math.ceil(blocks / Math.max(1, Math.round(blocks / near)));
  const tileHigh = even(high, Math.max(side, Math.floor((side * side) / wide)));
  const tileWide = even(wide, Math.max(side, Math.floor((side * side) / tileHigh)));
  return new Grid({ width, height }, { width: tileWide * BLOCK, height: tileHigh * BLOCK });
}
