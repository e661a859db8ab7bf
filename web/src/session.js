/** What decoding and encoding have in common: a machine, coders, and the networks it has loaded. */

import { Coders } from "./coders.js";
import { Network } from "./network.js";
import { compile, Machine } from "./wasm.js";
import { open, Shelf } from "./weights.js";

/**
 * Models that stay in memory; of more, the one that was not used for longest goes. Each has a machine
 * of its own, whose memory goes with it.
 */
const MOST_MODELS = 2;

export class Session {
  /** @param {WebAssembly.Module} module @param {Shelf} shelf */
  constructor(module, shelf) {
    this.module = module;
    this.shelf = shelf;
    this.machine = new Machine(module);
    this.coders = new Coders(this.machine);
    /** @type {Network[]} */
    this.networks = [];
  }

  /** @param {{weights?: URL | string | Shelf}} [options] */
  static async open({ weights } = {}) {
    return new Session(await compile(), weights instanceof Shelf ? weights : new Shelf(weights));
  }

  /**
   * The network of some weights; one that encodes decodes, too.
   * @param {import("./weights.js").Entry} entry @param {{encoder?: boolean, progress?: import("./weights.js").Progress}} [options]
   */
  async network(entry, { encoder = false, progress } = {}) {
    let found = this.networks.find(
      (network) => network.entry.sha256 === entry.sha256 && (network.encodes || !encoder),
    );
    if (!found) {
      const data = await this.shelf.bytes(entry, (bytes) => this.machine.sha256(bytes), progress);
      const opened = await open(data, entry.name, this.coders);
      found = new Network(new Machine(this.module), opened, entry, encoder);
    }
    const others = this.networks.filter((network) => network !== found);
    this.networks = [found, ...others.slice(0, MOST_MODELS - 1)];
    return found;
  }
}
