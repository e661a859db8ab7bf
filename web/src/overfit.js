/** Overfitted pictures (models/overfit/OVERFIT.md): grids of symbols, and the networks that the file has. */

import { Grid } from "./boxes.js";
import { samplesOf } from "./coders.js";
import { CorruptFile, damaged, LatentMismatch } from "./errors.js";
import { checkTile, KIND } from "./format.js";
import { noMemory } from "./wasm.js";

/** Of the grids, in their order: a symbol for each 2^level pixels a side. */
const LEVELS = [0, 1, 2, 3, 4, 5, 6, 4, 5, 6];

/**
 * Where each grid of a picture or tile starts among its symbols, and its sides.
 * @param {{height: number, width: number}} size
 */
function gridsOf({ height, width }) {
  let start = 0;
  return LEVELS.map((level) => {
    const rows = Math.ceil(height / 2 ** level), columns = Math.ceil(width / 2 ** level);
    const grid = { level, start, rows, columns };
    start += rows * columns;
    return grid;
  });
}

/**
 * Writes the samples of a picture.
 * @param {import("./coders.js").Coders} coders @param {import("./format.js").File} file
 * @param {import("./coders.js").Samples} colours
 */
export function showOverfit({ machine, crc32 }, { header, sections, overlays }, colours) {
  const overlay = /** @type {import("./format.js").Overlay} */ (overlays.get(KIND.overfit));
  if (!overlay.mask.every((bit) => bit)) throw damaged("an overfitted picture has left-out blocks");
  const networks = /** @type {Uint8Array} */ (sections.get(KIND.networks));
  const grid = new Grid(header, overlay.table), all = gridsOf(header);
  const channels = header.channels < 3 ? 1 : 3, { width, height, depth } = header;
  machine.using((take) => {
    const { call } = machine, own = machine.put(networks, take);
    const symbols = take(call.overfit_symbols(height, width));
    for (const { number, entry, stream } of overlay.streams) {
      checkTile(stream, entry, crc32);
      const box = grid.at(number), tile = decodeTile(machine, own, networks.length, stream, box);
      if (crc32(tile) !== entry.latents) {
        throw new LatentMismatch(
          "the file is intact, but a tile decodes to other symbols than were encoded; report this with the file",
        );
      }
      place(tile, gridsOf(box), machine.bytes(symbols, call.overfit_symbols(height, width)), all, box);
    }
    for (const box of grid) {
      const count = box.height * box.width * channels;
      const samples = machine.using((more) => {
        const out = more((count * depth) / 8);
        check(call.overfit_synthesize(
          own, networks.length, symbols, height, width, box.top, box.left, box.top + box.height,
          box.left + box.width, out, channels, depth,
        ));
        const found = samplesOf(depth, count);
        new Uint8Array(found.buffer).set(machine.bytes(out, found.byteLength));
        return found;
      });
      for (let y = 0; y < box.height; y++) {
        const row = samples.subarray(y * box.width * channels, (y + 1) * box.width * channels);
        colours.set(row, ((box.top + y) * width + box.left) * channels);
      }
    }
  });
}

/** @param {number} status */
function check(status) {
  if (status === -2) throw noMemory();
  if (status) {
    throw new CorruptFile("a tile of the overfitted picture is damaged; get another copy of the file");
  }
}

/**
 * The symbols of a tile. @param {import("./wasm.js").Machine} machine @param {number} networks
 * @param {number} length @param {Uint8Array} stream @param {import("./boxes.js").Box} box
 */
function decodeTile(machine, networks, length, stream, { height, width }) {
  return machine.using((take) => {
    const count = machine.call.overfit_symbols(height, width), out = take(count);
    machine.bytes(out, count).fill(0);
    check(machine.call.overfit_tile_decode(
      networks, length, machine.put(stream, take), stream.length, out, height, width,
    ));
    return machine.bytes(out, count).slice();
  });
}

/**
 * Symbols of a tile to where they are in the picture's grids.
 * @param {Uint8Array} tile @param {ReturnType<typeof gridsOf>} from @param {Uint8Array} symbols
 * @param {ReturnType<typeof gridsOf>} to @param {import("./boxes.js").Box} box
 */
function place(tile, from, symbols, to, box) {
  from.forEach(({ level, start, rows, columns }, i) => {
    const top = box.top >> level, left = box.left >> level;
    for (let y = 0; y < rows; y++) {
      const row = tile.subarray(start + y * columns, start + (y + 1) * columns);
      symbols.set(row, to[i].start + (top + y) * to[i].columns + left);
    }
  });
}
