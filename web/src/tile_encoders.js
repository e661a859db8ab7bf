/** Tiles of pixels to streams: what coders.js decodes. The choices here are the encoder's own affair. */

import { BLOCK, blocksOf } from "./format.js";
import { quantiser } from "./slope.js";
import { noMemory } from "./wasm.js";
import { packedMask } from "./write.js";

const SCREEN = 0, PHOTO = 1, BOTH = 2;
/** Shares of pixels that repeat: models/lossless/choice.py. */
const FLAT = 0.6, ROUGH = 1 / 3, DIVIDE = 0.6;
const LIFT = 1, GBR = 2, COLOURS_SHIFT = 2;
const STEPS_A_FINENESS = 25, MOST_FINENESS = 31;
const SLOPE = 9.5, LEAST_STEP = 0.25, MOST_STEP = 255;
const USUAL = [[1, 1, 1], [1, 0, -1], [1, -2, 1]];

/** @typedef {import("./coders.js").Piece} Piece */
/** @typedef {import("./coders.js").Samples} Samples */
/** @typedef {import("./wasm.js").Machine} Machine */

/**
 * A tile by the linear method; samples: what it decodes to; bits: of each block.
 * @param {Machine} machine @param {Samples} samples @param {Piece} piece
 * @param {number[]} quality the step of each block
 */
export function encodeLinear(machine, samples, piece, quality) {
  const { height, width, channels, depth, mask } = piece, { call } = machine;
  const lowest = Math.min(...quality.filter((_, i) => mask[i]));
  const fineness = Uint8Array.from(mask, (coded, i) =>
    coded ? Math.min(MOST_FINENESS, Math.ceil((quality[i] - lowest) / STEPS_A_FINENESS - 1e-6)) : 0);
  const step = Math.min(MOST_STEP, Math.max(LEAST_STEP, quantiser(lowest, channels)));
  return machine.using((take) => {
    const at = machine.put(samples, take), length = take(4), shares = take(4 * mask.length);
    machine.floats(shares, mask.length).fill(0);
    const stream = call.linear_tile_encode(
      at, height, width, channels, depth, machine.put(mask, take), machine.put(fineness, take),
      shares, Math.round(256 * step), machine.put(colourMatrix(samples, piece), take),
      SLOPE, length,
    );
    if (!stream) throw noMemory();
    const body = taken(machine, stream, length);
    const made = samples.slice();
    new Uint8Array(made.buffer).set(machine.bytes(at, made.byteLength));
    blank(made, piece);
    const check = machine.crc32(new Uint8Array(made.buffer));
    const bits = machine.floats(shares, mask.length).slice();
    return { stream: withChecksum(check, body), checksum: check, samples: made, bits };
  });
}

/**
 * A tile without loss, in the fewest bytes of a few ways.
 * @param {Machine} machine @param {Samples} samples @param {Piece} piece
 */
export function encodeLossless(machine, samples, piece) {
  const { mask } = piece, shares = repeats(samples, piece);
  const coded = shares.filter((_, i) => mask[i]);
  const share = coded.reduce((a, b) => a + b, 0) / coded.length;
  /** @type {Uint8Array[]} */
  const streams = [];
  const drawn = mask.map((bit, i) => (bit && shares[i] >= DIVIDE ? 1 : 0));
  const rest = mask.map((bit, i) => bit & ~drawn[i]);
  if (share >= ROUGH) streams.push(tagged(SCREEN, screen(machine, samples, piece)));
  if (share < FLAT) streams.push(tagged(PHOTO, photo(machine, samples, piece)));
  if (drawn.some(Boolean) && rest.some(Boolean)) {
    const first = screen(machine, samples, { ...piece, mask: drawn });
    const size = new Uint8Array(Uint32Array.of(first.length).buffer);
    const second = photo(machine, samples, { ...piece, mask: rest });
    streams.push(Uint8Array.from([BOTH, ...packedMask(drawn), ...size, ...first, ...second]));
  }
  return streams.reduce((a, b) => (b.length < a.length ? b : a));
}

/** @param {number} which @param {Uint8Array} stream */
function tagged(which, stream) {
  const out = new Uint8Array(1 + stream.length);
  out[0] = which;
  out.set(stream, 1);
  return out;
}

/** @param {number} check @param {Uint8Array} body */
function withChecksum(check, body) {
  const out = new Uint8Array(4 + body.length);
  new DataView(out.buffer).setUint32(0, check, true);
  out.set(body, 4);
  return out;
}

/** A stream that C made. @param {Machine} machine @param {number} stream @param {number} length */
function taken(machine, stream, length) {
  const bytes = machine.bytes(stream >>> 0, machine.words(length)[0]).slice();
  machine.call.free(stream);
  return bytes;
}

/** @param {Machine} machine @param {Samples} samples @param {Piece} piece */
function screen(machine, samples, piece) {
  const { height, width, channels, depth, mask } = piece, seen = samples.slice();
  blank(seen, piece);
  return machine.using((take) => {
    const length = take(4);
    const stream = machine.call.screen_tile_encode(
      machine.put(samples, take), height, width, channels, depth, machine.put(mask, take), length,
    );
    if (!stream) throw noMemory();
    return withChecksum(machine.crc32(new Uint8Array(seen.buffer)), taken(machine, stream, length));
  });
}

/** @param {Machine} machine @param {Samples} samples @param {Piece} piece */
function photo(machine, samples, { height, width, channels, depth, mask }) {
  const flags = channels === 3 ? (GBR << COLOURS_SHIFT) | (depth === 8 ? LIFT : 0) : 0;
  return machine.using((take) => {
    const length = take(4);
    const stream = machine.call.photo_tile_encode(
      machine.put(samples, take), height, width, channels, depth, machine.put(mask, take), flags, length,
    );
    if (!stream) throw noMemory();
    return taken(machine, stream, length);
  });
}

/** Zeros in blocks that are not coded. @param {Samples} samples @param {Piece} piece */
function blank(samples, { height, width, channels, mask }) {
  const { columns } = blocksOf({ height, width });
  for (let y = 0; y < height; y++) {
    for (let column = 0; column < columns; column++) {
      if (mask[Math.floor(y / BLOCK) * columns + column]) continue;
      const from = y * width + column * BLOCK, to = y * width + Math.min(width, (column + 1) * BLOCK);
      samples.fill(0, from * channels, to * channels);
    }
  }
}

/**
 * Of each block, the share of pixels that are as the one to the left or above.
 * @param {Samples} samples @param {{height: number, width: number, channels: number}} size
 */
export function repeats(samples, { height, width, channels }) {
  const { rows, columns } = blocksOf({ height, width });
  const same = new Float64Array(rows * columns), all = new Float64Array(rows * columns);
  const equal = (/** @type {number} */ a, /** @type {number} */ b) => {
    for (let k = 0; k < channels; k++) if (samples[a + k] !== samples[b + k]) return false;
    return true;
  };
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += channels) {
      const block = Math.floor(y / BLOCK) * columns + Math.floor(x / BLOCK);
      all[block]++;
      if ((x && equal(at, at - channels)) || (y && equal(at, at - width * channels))) same[block]++;
    }
  }
  return same.map((count, i) => count / all[i]);
}

/**
 * The KLT of neighbours' differences, in 2^-14 (models/linear/LINEAR.md, "Encoding").
 * @param {Samples} samples @param {Piece} piece
 */
function colourMatrix(samples, { width, channels }) {
  if (channels === 1) return Int16Array.of(1 << 14);
  const moved = [[1e-3, 0, 0], [0, 1e-3, 0], [0, 0, 1e-3]];
  [1, 0.05, 0.02].forEach((weight, row) => {
    const norm = USUAL[row].reduce((sum, v) => sum + v * v, 0);
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) moved[i][j] += (weight * USUAL[row][i] * USUAL[row][j]) / norm;
    }
  });
  const d = [0, 0, 0];
  for (const by of [3, 3 * width]) {
    for (let at = by; at < samples.length; at += 3) {
      if (by === 3 && at % (3 * width) === 0) continue;
      for (let i = 0; i < 3; i++) d[i] = samples[at + i] - samples[at + i - by];
      for (let i = 0; i < 3; i++) for (let j = 0; j <= i; j++) moved[i][j] += d[i] * d[j];
    }
  }
  for (let i = 0; i < 3; i++) for (let j = 0; j < i; j++) moved[j][i] = moved[i][j];
  return Int16Array.from(eigenvectors(moved).flat(), (v) => Math.round(v * (1 << 14)));
}

/** Of a symmetric matrix, those of the largest values first, as rows (Jacobi). @param {number[][]} a */
function eigenvectors(a) {
  const v = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  for (let turn = 0; turn < 50; turn++) {
    for (const [p, q] of [[0, 1], [0, 2], [1, 2]]) {
      if (Math.abs(a[p][q]) < 1e-12 * Math.sqrt(Math.abs(a[p][p] * a[q][q]))) continue;
      const angle = 0.5 * Math.atan2(2 * a[p][q], a[q][q] - a[p][p]);
      const c = Math.cos(angle), s = Math.sin(angle);
      for (let k = 0; k < 3; k++) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
      for (let k = 0; k < 3; k++) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
      for (let k = 0; k < 3; k++) [v[k][p], v[k][q]] = [c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q]];
    }
  }
  return [0, 1, 2].sort((i, j) => a[j][j] - a[i][i]).map((i) => {
    const column = v.map((row) => row[i]);
    return column.reduce((x, y) => x + y, 0) < 0 ? column.map((x) => -x) : column;
  });
}
