// The picture of a .bin file, made by onnxruntime-web of latents that Lictor's WebAssembly decodes.
//
//     lictor export-onnx lictor-s.mse --into graphs
//     npm install onnxruntime-web
//     node examples/onnx_synthesis.mjs graphs photo.bin photo.ppm
//
// For one that the network alone coded (lictor encode --method network), in RGB of 8 bits.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import { pullLatents } from "../web/src/decode.js";
import { KIND, parse } from "../web/src/format.js";
import { readQuality } from "../web/src/metadata.js";
import { Session } from "../web/src/session.js";
import { filter, readWiener } from "../web/src/wiener.js";

const [graphs, source, target] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${process.cwd()}/`));
const ort = await import(pathToFileURL(required.resolve("onnxruntime-web")).href);

// Symbols to latents, in exact integers.
const session = await Session.open({ weights: new URL("../checkpoints/", import.meta.url) });
const file = parse(new Uint8Array(readFileSync(source)), session.coders.crc32);
const { width, height, step } = file.header;
const entry = await session.shelf.entryOf(file.header);
const network = await session.network(entry);
const latents = pullLatents(network, file, readQuality(file, session.coders));

// (rows, columns, channels) to (1, channels, rows, columns).
const rows = 4 * Math.ceil(height / 64), columns = 4 * Math.ceil(width / 64);
const channels = network.latent, places = rows * columns;
const planes = new Float32Array(latents.length);
for (let place = 0; place < places; place++)
  for (let c = 0; c < channels; c++) planes[c * places + place] = latents[place * channels + c];

// Latents to a picture, wherever onnxruntime runs: here on the CPU, in browsers on a GPU as well.
const synthesis = await ort.InferenceSession.create(readFileSync(`${graphs}/${entry.name}.synthesis.onnx`));
const { picture } = await synthesis.run({
  y_hat: new ort.Tensor("float32", planes, [1, channels, rows, columns]),
  quality: new ort.Tensor("float32", [step / 4], [1]),
});

const pixels = new Uint8Array(3 * width * height), wide = 16 * columns, plane = 256 * places;
for (let y = 0; y < height; y++)
  for (let x = 0; x < width; x++)
    for (let c = 0; c < 3; c++)
      pixels[3 * (y * width + x) + c] = Math.round(255 * picture.data[c * plane + y * wide + x]);
// What a search fitted to this picture.
const sent = file.sections.get(KIND.wiener);
if (sent) filter(pixels, file.header, 3, 8, readWiener(sent, 3));
writeFileSync(target, Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), pixels]));
console.log(`${entry.name}, ${width}x${height}, ${channels} channels of latents`);
