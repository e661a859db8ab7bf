/** A model with its weights, in the memory of a machine (web/wasm/model.c). */

import { LatentMismatch, ModelUnavailable } from "./errors.js";
import { samplesOf } from "./coders.js";
import { noMemory } from "./wasm.js";

/** Pixels a side of a place of the latents, and places a side of one of z. */
export const CELL = 16;
export const PLACES = 4;

export class Network {
  /**
   * @param {import("./wasm.js").Machine} machine @param {import("./weights.js").Opened} opened
   * @param {import("./weights.js").Entry} entry @param {boolean} [encoder] whether it can encode, too
   */
  constructor(machine, opened, entry, encoder = false) {
    this.machine = machine;
    this.entry = entry;
    this.encodes = encoder;
    this.model = machine.using((take) => this.#load(take, opened, encoder));
    this.latent = machine.call.model_latent(this.model);
    /** Places around a part that its pixels depend on. */
    this.halo = machine.call.model_halo(this.model);
  }

  /** @param {(n: number) => number} take @param {import("./weights.js").Opened} opened @param {boolean} encoder */
  #load(take, { data, tensors }, encoder) {
    const { machine, entry } = this, { call } = machine;
    const model = call.model_new(tensors.length);
    if (!model) throw noMemory();
    const file = machine.put(data, take);
    const name = take(64), text = new TextEncoder();
    for (const tensor of tensors) {
      const bytes = text.encode(tensor.name).subarray(0, 64);
      machine.bytes(name, 64).set(bytes);
      const { half, start, count } = tensor;
      call.model_tensor(model, name, bytes.length, file + start, half ? 1 : 0, count);
    }
    const status = call.model_ready(model, encoder ? 1 : 0);
    if (status === -2) throw noMemory();
    if (status) {
      throw new ModelUnavailable(
        `${entry.name} is not a model that is decoded here; use the Python package`,
      );
    }
    return model;
  }

  /**
   * The latents of a tile: float32, (4 rows, 4 columns, channels).
   * @param {Uint8Array} stream @param {number} rows of blocks @param {number} columns
   * @param {Int16Array} quality the step of each place @param {boolean} deep more than 8 bits
   * @param {number} checksum what its symbols must have
   */
  pull(stream, rows, columns, quality, deep, checksum) {
    const { machine } = this, count = 16 * rows * columns * this.latent;
    return machine.using((take) => {
      const out = take(4 * count), check = take(4);
      const status = machine.call.model_pull(
        this.model, machine.put(stream, take), stream.length, rows, columns,
        machine.put(quality, take), deep ? 1 : 0, out, check,
      );
      if (status === -2) throw noMemory();
      const found = machine.words(check)[0];
      if (status || found !== checksum) throw mismatch(status ? "" : ` (checksum ${found.toString(16)})`);
      return machine.floats(out, count).slice();
    });
  }

  /**
   * Pixels of a window of latents.
   * @param {Float32Array} latents (rows, columns, channels) @param {Int16Array} quality of its places
   * @param {number} rows of places @param {number} columns
   * @param {import("./boxes.js").Box} part in pixels, what to show @param {1 | 3} channels
   * @param {8 | 16} depth
   */
  show(latents, quality, rows, columns, part, channels, depth) {
    const { machine } = this, count = part.height * part.width * channels;
    return machine.using((take) => {
      const out = take((count * depth) / 8);
      const status = machine.call.model_show(
        this.model, machine.put(latents, take), machine.put(quality, take), rows, columns, channels,
        depth, part.top, part.left, part.top + part.height, part.left + part.width, out,
      );
      if (status) throw noMemory();
      const samples = samplesOf(depth, count);
      new Uint8Array(samples.buffer).set(machine.bytes(out, samples.byteLength));
      return samples;
    });
  }

  /**
   * What is coded of a window of pixels: y (rows, columns, channels), z (a sixteenth of the places).
   * @param {Float32Array} x (16 rows, 16 columns, 3), centred on 0 @param {Int16Array} quality
   * @param {number} rows of places, a multiple of 4 @param {number} columns @param {boolean} deep
   */
  analyse(x, quality, rows, columns, deep) {
    const { machine } = this, places = rows * columns;
    return machine.using((take) => {
      const side = machine.call.model_side(this.model);
      const y = take(4 * places * this.latent), z = take((4 * places * side) / 16);
      const status = machine.call.model_analyse(
        this.model, machine.put(x, take), machine.put(quality, take), rows, columns, deep ? 1 : 0, y, z,
      );
      if (status) throw noMemory();
      return {
        y: machine.floats(y, places * this.latent).slice(),
        z: machine.floats(z, (places * side) / 16).slice(),
      };
    });
  }

  /**
   * Codes y and z of a tile; latents: as `pull` will give them.
   * @param {Float32Array} y @param {Float32Array} z @param {number} rows of blocks
   * @param {number} columns @param {Int16Array} quality @param {boolean} deep
   */
  push(y, z, rows, columns, quality, deep) {
    const { machine } = this, count = 16 * rows * columns * this.latent;
    return machine.using((take) => {
      const out = take(4 * count), length = take(4), check = take(4);
      const stream = machine.call.model_push(
        this.model, machine.put(y, take), machine.put(z, take), rows, columns,
        machine.put(quality, take), deep ? 1 : 0, out, length, check,
      );
      if (!stream) throw noMemory();
      const bytes = machine.bytes(stream, machine.words(length)[0]).slice();
      machine.call.free(stream);
      const latents = machine.floats(out, count).slice();
      return { stream: bytes, checksum: machine.words(check)[0], latents };
    });
  }
}

/** @param {string} detail */
function mismatch(detail) {
  return new LatentMismatch(
    `the file is intact, but its latents decode to others than were encoded${detail}; decode it` +
      " with the Python package, and report this with the file",
  );
}
