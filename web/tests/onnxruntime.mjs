// Our kernels against onnxruntime-web: processor time of the synthesis of one picture, one thread.
//
//     lictor export-onnx lictor-s.mse --into graphs
//     NODE_PATH=…/node_modules node web/tests/onnxruntime.mjs graphs photo.bin
//
// For one that the network alone coded in one piece (lictor encode --method network), in RGB of 8 bits.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import { pullLatents } from "../src/decode.js";
import { parse } from "../src/format.js";
import { readQuality } from "../src/metadata.js";
import { Session } from "../src/session.js";

const REPEATS = 7;
const [graphs, source] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${process.cwd()}/`));
const ort = await import(pathToFileURL(required.resolve("onnxruntime-web")).href);
ort.env.wasm.numThreads = 1;

/** What it gives, and milliseconds of all threads of this process. */
async function timed(work) {
  const before = process.cpuUsage();
  const made = await work();
  const { user, system } = process.cpuUsage(before);
  return [made, (user + system) / 1000];
}

const session = await Session.open({ weights: new URL("../../checkpoints/", import.meta.url) });
const file = parse(new Uint8Array(readFileSync(source)), session.coders.crc32);
const { width, height, step } = file.header;
const entry = await session.shelf.entryOf(file.header);
const network = await session.network(entry);
const rows = 4 * Math.ceil(height / 64), columns = 4 * Math.ceil(width / 64), places = rows * columns;
const graph = readFileSync(`${graphs}/${entry.name}.synthesis.onnx`);
const [synthesis, ready] = await timed(() => ort.InferenceSession.create(graph));

const times = { pull: [], own: [], onnxruntime: [] };
const quality = readQuality(file, session.coders);
const steps = new Int16Array(places).fill(step), all = { top: 0, left: 0, height, width };
let most = 0;
for (let turn = 0; turn <= REPEATS; turn++) {
  const [latents, pull] = await timed(() => pullLatents(network, file, quality));
  const [pixels, own] = await timed(() => network.show(latents, steps, rows, columns, all, 3, 8));
  const channels = network.latent, planes = new Float32Array(latents.length);
  for (let place = 0; place < places; place++)
    for (let c = 0; c < channels; c++) planes[c * places + place] = latents[place * channels + c];
  const [{ picture }, other] = await timed(() =>
    synthesis.run({
      y_hat: new ort.Tensor("float32", planes, [1, channels, rows, columns]),
      quality: new ort.Tensor("float32", [step / 4], [1]),
    }),
  );
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) {
        const level = Math.round(255 * picture.data[256 * places * c + 16 * columns * y + x]);
        most = Math.max(most, Math.abs(level - pixels[3 * (y * width + x) + c]));
      }
  if (turn) times.pull.push(pull), times.own.push(own), times.onnxruntime.push(other); // the first warms up
}

const median = (list) => list.toSorted((a, b) => a - b)[REPEATS >> 1].toFixed(0);
console.log(
  `${entry.name}, ${width}x${height}: latents ${median(times.pull)} ms, then the synthesis` +
    ` ${median(times.own)} ms by lictor.wasm, ${median(times.onnxruntime)} ms by onnxruntime-web` +
    ` ${ort.env.versions.web} (after ${ready.toFixed(0)} ms to be ready); farthest ${most} levels`,
);
