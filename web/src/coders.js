/** The coders of pixels and of symbols, compiled from C: bytes in, samples out, and back. */

import { CorruptFile, damaged } from "./errors.js";
import { unpackMask } from "./format.js";
import { noMemory } from "./wasm.js";

const SCREEN = 0, PHOTO = 1, BOTH = 2;
const CHECKSUM = 4;

/** @typedef {Uint8Array | Uint16Array} Samples */

/** @typedef {{offset: number, frequencies: Uint16Array}} Table its first symbol; the last is the escape's */

/**
 * @typedef {object} Piece what a tile is, for its encoder and its decoder alike
 * @property {number} height
 * @property {number} width
 * @property {1 | 3} channels
 * @property {8 | 16} depth
 * @property {Uint8Array} mask whether a block is coded, row by row
 */

/** Samples of a depth. @param {number} depth @param {number} count */
export function samplesOf(depth, count) {
  return depth === 8 ? new Uint8Array(count) : new Uint16Array(count);
}

/** @param {Uint8Array} data */
function word(data) {
  return new DataView(data.buffer, data.byteOffset).getUint32(0, true);
}

export class Coders {
  /** @param {import("./wasm.js").Machine} machine */
  constructor(machine) {
    this.machine = machine;
  }

  /** @param {Uint8Array} data */
  crc32 = (data) => this.machine.crc32(data);

  /** A tile of the linear method, and its checksum. @param {Uint8Array} stream @param {Piece} piece */
  linear(stream, piece) {
    if (stream.length < CHECKSUM) throw tileDamaged("linear");
    const body = stream.subarray(CHECKSUM), check = word(stream);
    const samples = this.#decoded("linear", body, piece, check, (take) => [take(piece.mask.length)]);
    return { samples, check };
  }

  /** A tile without loss. @param {Uint8Array} stream @param {Piece} piece @returns {{samples: Samples, check: number}} */
  lossless(stream, piece) {
    const body = stream.subarray(1);
    switch (stream[0]) {
      case SCREEN: return { samples: this.#screen(body, piece), check: 0 };
      case PHOTO: return { samples: this.#photo(body, piece), check: 0 };
      case BOTH: return { samples: this.#both(body, piece), check: 0 };
      default: throw tileDamaged("lossless");
    }
  }

  /** @param {Uint8Array} body @param {Piece} piece */
  #screen(body, piece) {
    if (body.length < CHECKSUM) throw tileDamaged("lossless");
    return this.#decoded("screen", body.subarray(CHECKSUM), piece, word(body));
  }

  /** @param {Uint8Array} body @param {Piece} piece */
  #photo(body, piece) {
    return this.#decoded("photo", body, piece, null); // which has a checksum inside
  }

  /** @param {Uint8Array} body @param {Piece} piece */
  #both(body, piece) {
    const size = Math.ceil(piece.mask.length / 8);
    const drawn = body.length >= size + 4 && unpackMask(body.subarray(0, size), piece.mask.length);
    if (!drawn || drawn.some((bit, i) => bit && !piece.mask[i])) throw tileDamaged("lossless");
    const streams = body.subarray(size + 4), length = word(body.subarray(size));
    if (length > streams.length) throw tileDamaged("lossless");
    const first = this.#screen(streams.subarray(0, length), { ...piece, mask: drawn });
    const rest = piece.mask.map((bit, i) => bit & ~drawn[i]);
    const second = this.#photo(streams.subarray(length), { ...piece, mask: rest });
    return first.map((sample, i) => sample | second[i]);
  }

  /**
   * @param {"linear" | "photo" | "screen"} coder @param {Uint8Array} stream @param {Piece} piece
   * @param {number | null} check of the samples @param {(take: (n: number) => number) => number[]} more
   * @returns {Samples}
   */
  #decoded(coder, stream, piece, check, more = () => []) {
    const { height, width, channels, depth, mask } = piece, machine = this.machine;
    const count = height * width * channels, bytes = (count * depth) / 8;
    return machine.using((take) => {
      const at = take(bytes), blocks = machine.put(mask, take), from = machine.put(stream, take);
      const extra = more(take);
      machine.bytes(at, bytes).fill(0);
      const status = machine.call[`${coder}_tile_decode`](
        from, stream.length, at, height, width, channels, depth, blocks, ...extra,
      );
      if (status === -2) throw noMemory();
      const crc = machine.call.crc32(at, bytes) >>> 0;
      if (status || (check !== null && crc !== check)) {
        throw tileDamaged(coder === "linear" ? coder : "lossless");
      }
      const samples = samplesOf(depth, count);
      new Uint8Array(samples.buffer).set(machine.bytes(at, bytes));
      return samples;
    });
  }

  /**
   * Symbols of a stream by given tables. @param {Uint8Array} stream @param {Table[]} tables
   * @param {Uint8Array | null} index of the table of each; null: the first of all @param {number} count
   */
  symbols(stream, tables, index, count) {
    const all = tables.flatMap(({ frequencies }) => [...frequencies]);
    return this.#symbols(count, (take, out) => {
      const machine = this.machine, put = (/** @type {ArrayBufferView} */ array) => machine.put(array, take);
      return machine.call.rans_decode(
        put(stream), stream.length, put(Uint16Array.from(all)), all.length,
        put(Uint16Array.from(tables, ({ frequencies }) => frequencies.length)),
        put(Int32Array.from(tables, ({ offset }) => offset)), tables.length,
        put(index ?? new Uint8Array(count)), out, count,
      );
    });
  }

  /** Symbols of the Gaussian table of a number. @param {Uint8Array} stream @param {number} table @param {number} count */
  gaussian(stream, table, count) {
    return this.#symbols(count, (take, out) =>
      this.machine.call.rans_decode_gaussian(
        this.machine.put(stream, take), stream.length, table, out, count,
      ));
  }

  /** @param {number} count @param {(take: (n: number) => number, out: number) => number} decode */
  #symbols(count, decode) {
    return this.machine.using((take) => {
      const out = take(4 * count);
      const status = decode(take, out);
      if (status === -2) throw noMemory();
      if (status) throw damaged("a stream of numbers does not decode");
      return new Int32Array(this.machine.memory.buffer, out, count).slice();
    });
  }
}

/** @param {string} method */
function tileDamaged(method) {
  return new CorruptFile(
    `the ${method} tile is damaged, or its shape, depth or mask is another; get another copy of the file`,
  );
}

