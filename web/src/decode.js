/** A file to a picture: codec/format/FORMAT.md, "Decoding". */

import { Grid, grown, inUnits, padded, seenFrom, shared } from "./boxes.js";
import { samplesOf } from "./coders.js";
import { LatentMismatch, OutOfMemory } from "./errors.js";
import { BLOCK, blocksOf, checkTile, KIND, OVERLAYS, parse } from "./format.js";
import { inflate, partOf, readAlpha, readQuality, readSignalling } from "./metadata.js";
import { CELL } from "./network.js";
import { showOverfit } from "./overfit.js";
import { filter, readWiener } from "./wiener.js";

/** What a browser may be asked to hold: 100 megapixels. */
export const MOST_PIXELS = 1e8;

/**
 * @typedef {object} Picture
 * @property {number} width
 * @property {number} height
 * @property {1 | 2 | 3 | 4} channels gray, gray and alpha, RGB, RGB and alpha (not premultiplied)
 * @property {8 | 16} depth
 * @property {Uint8Array | Uint16Array} samples row by row
 * @property {Uint8Array | null} icc
 * @property {Uint8Array | null} exif
 * @property {import("./metadata.js").Signalling} signalling
 * @property {Info} info
 */

/**
 * @typedef {object} Info
 * @property {number} bytes of the file
 * @property {number} bpp bits per pixel
 * @property {number} quality 0…100; the highest, if it varies
 * @property {boolean} mapped whether it varies
 * @property {string | null} model the weights' name, if a network took part
 * @property {string[]} methods that coded the samples
 */

/** @typedef {import("./boxes.js").Box} Box */

/**
 * @param {import("./session.js").Session} session @param {Uint8Array} data
 * @param {{maxPixels?: number, progress?: import("./weights.js").Progress}} [options]
 * @returns {Promise<Picture>}
 */
export async function decode(session, data, { maxPixels = MOST_PIXELS, progress } = {}) {
  const file = parse(data, session.coders.crc32);
  const { header, sections } = file;
  const { width, height, channels, depth } = header;
  if (width * height > maxPixels) {
    throw new OutOfMemory(
      `${width}x${height} pixels are more than the ${maxPixels} that are decoded here`,
    );
  }
  const icc = sections.get(KIND.icc), exif = sections.get(KIND.exif);
  const said = sections.get(KIND.colour);
  const profile = icc ? await inflate(icc) : null, tags = exif ? await inflate(exif) : null;
  const signalling = said ? readSignalling(said) : {};
  const alpha = sections.has(KIND.alpha) ? readAlpha(file) : null;
  const { colours, model } = await decodeColours(session, file, progress);
  const samples = alpha ? joined(colours, alpha, channels) : colours;
  return {
    width, height, channels, depth, samples, icc: profile, exif: tags, signalling,
    info: { ...infoOf(file), model },
  };
}

/** What a file says of itself. @param {import("./format.js").File} file */
export function infoOf({ bytes, header, overlays }) {
  const { width, height, step, mapped, network } = header;
  const methods = OVERLAYS.filter((name) => overlays.has(KIND[name]));
  return {
    bytes, bpp: (8 * bytes) / (width * height), quality: step / 4, mapped, model: null,
    methods: [...(network ? ["network"] : []), ...methods],
  };
}

/**
 * @param {import("./session.js").Session} session @param {import("./format.js").File} file
 * @param {import("./weights.js").Progress} [progress]
 */
async function decodeColours(session, file, progress) {
  const { header } = file;
  const channels = header.channels < 3 ? 1 : 3;
  const colours = samplesOf(header.depth, header.width * header.height * channels);
  let model = null;
  if (header.network) {
    const entry = await session.shelf.entryOf(header);
    const network = await session.network(entry, { progress });
    model = entry.name;
    const sent = file.sections.get(KIND.wiener), wiener = sent && readWiener(sent, channels);
    showLatents(network, file, readQuality(file, session.coders), colours);
    if (wiener) filter(colours, header, channels, header.depth, wiener);
  } else if (header.mapped) {
    readQuality(file, session.coders);
  }
  for (const name of OVERLAYS) {
    const overlay = file.overlays.get(KIND[name]);
    if (!overlay) continue;
    if (name === "overfit") showOverfit(session.coders, file, colours);
    else showOverlay(session.coders, name, header, overlay, colours);
  }
  return { colours, model };
}

// ---- the network

/**
 * @param {import("./network.js").Network} network @param {import("./format.js").File} file
 * @param {Int16Array} quality of all places @param {import("./coders.js").Samples} colours
 */
function showLatents(network, file, quality, colours) {
  const latents = pullLatents(network, file, quality);
  const grid = new Grid(file.header, file.table);
  for (const tile of grid) showPart(network, file.header, latents, quality, tile, colours);
}

/**
 * The latents of all of a picture: (places down, places across, channels).
 * @param {import("./network.js").Network} network @param {import("./format.js").File} file
 * @param {Int16Array} quality
 */
export function pullLatents(network, { header, sections, table }, quality) {
  const { rows, columns } = blocksOf(header);
  const wide = 4 * columns, deep = header.depth > 8, m = network.latent;
  const data = /** @type {Uint8Array} */ (sections.get(KIND.latents));
  if (!table) return network.pull(data, rows, columns, quality, deep, header.latents);
  const latents = new Float32Array(4 * rows * wide * m), grid = new Grid(header, table);
  let start = 0;
  table.tiles.forEach((entry, number) => {
    const stream = data.subarray(start, (start += entry.size));
    checkTile(stream, entry, (bytes) => network.machine.crc32(bytes));
    const box = padded(grid.at(number)), places = inUnits(box, CELL);
    const own = network.pull(
      stream, box.height / BLOCK, box.width / BLOCK, partOf(quality, wide, places), deep,
      entry.latents,
    );
    for (let y = 0; y < places.height; y++) {
      const row = own.subarray(y * places.width * m, (y + 1) * places.width * m);
      latents.set(row, ((places.top + y) * wide + places.left) * m);
    }
  });
  return latents;
}

/**
 * Shows a part of the picture, from the latents that it depends on.
 * @param {import("./network.js").Network} network
 * @param {Pick<import("./format.js").Header, "width" | "height" | "channels" | "depth">} header
 * @param {Float32Array} latents @param {Int16Array} quality @param {Box} part
 * @param {import("./coders.js").Samples} colours
 */
export function showPart(network, header, latents, quality, part, colours) {
  const whole = padded({ top: 0, left: 0, height: header.height, width: header.width });
  const wide = whole.width / CELL, m = network.latent;
  const seen = shared(grown(padded(part, CELL), network.halo * CELL), whole);
  const places = inUnits(seen, CELL);
  const window = new Float32Array(places.height * places.width * m);
  for (let y = 0; y < places.height; y++) {
    const from = ((places.top + y) * wide + places.left) * m;
    window.set(latents.subarray(from, from + places.width * m), y * places.width * m);
  }
  const channels = header.channels < 3 ? 1 : 3;
  const samples = network.show(
    window, partOf(quality, wide, places), places.height, places.width, seenFrom(part, seen),
    channels, header.depth,
  );
  paste(samples, part, channels, colours, header.width, null);
}

// ---- other methods

/**
 * @param {import("./coders.js").Coders} coders @param {"linear" | "lossless"} method
 * @param {import("./format.js").Header} header @param {import("./format.js").Overlay} overlay
 * @param {import("./coders.js").Samples} colours
 */
function showOverlay(coders, method, header, overlay, colours) {
  const grid = new Grid(header, overlay.table), { columns } = blocksOf(header);
  const channels = header.channels < 3 ? 1 : 3;
  for (const { number, entry, stream } of overlay.streams) {
    const box = grid.at(number), { height, width } = box;
    const mask = maskOf(overlay.mask, columns, box);
    checkTile(stream, entry, coders.crc32);
    const piece = /** @type {const} */ ({ height, width, channels, depth: header.depth, mask });
    const { samples, check } = coders[method](stream, piece);
    if (check !== entry.latents) {
      throw new LatentMismatch(
        "the file is intact, but a tile decodes to something else than was encoded; report this" +
          " with the file",
      );
    }
    paste(samples, box, channels, colours, header.width, mask);
  }
}

/** The blocks of a tile. @param {Uint8Array} mask @param {number} columns @param {Box} box */
export function maskOf(mask, columns, box) {
  const { rows, columns: wide } = blocksOf(box);
  const top = box.top / BLOCK, left = box.left / BLOCK;
  return Uint8Array.from(
    { length: rows * wide },
    (_, i) => mask[(top + Math.floor(i / wide)) * columns + left + (i % wide)],
  );
}

/**
 * Samples of a box into those of a picture, but for blocks that are not in the mask.
 * @param {import("./coders.js").Samples} samples @param {Box} box @param {number} channels
 * @param {import("./coders.js").Samples} into @param {number} width of the picture
 * @param {Uint8Array | null} mask
 */
function paste(samples, box, channels, into, width, mask) {
  const { columns } = blocksOf(box), step = mask ? BLOCK : box.width;
  for (let y = 0; y < box.height; y++) {
    for (let x = 0; x < box.width; x += step) {
      if (mask && !mask[Math.floor(y / BLOCK) * columns + x / BLOCK]) continue;
      const from = (y * box.width + x) * channels;
      const count = Math.min(step, box.width - x) * channels;
      const to = ((box.top + y) * width + box.left + x) * channels;
      into.set(samples.subarray(from, from + count), to);
    }
  }
}

/**
 * @param {import("./coders.js").Samples} colours @param {import("./coders.js").Samples} alpha
 * @param {number} channels
 */
function joined(colours, alpha, channels) {
  const own = channels - 1;
  const samples = colours instanceof Uint8Array
    ? new Uint8Array(alpha.length * channels)
    : new Uint16Array(alpha.length * channels);
  for (let i = 0; i < alpha.length; i++) {
    for (let k = 0; k < own; k++) samples[i * channels + k] = colours[i * own + k];
    samples[i * channels + own] = alpha[i];
  }
  return samples;
}
