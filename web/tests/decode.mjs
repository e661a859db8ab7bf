// Decodes files beside themselves, as raw samples: node decode.mjs FILE…; for tests/web.

import { readFileSync, writeFileSync } from "node:fs";

import { decode } from "../src/decode.js";
import { session } from "./golden.mjs";

for (const path of process.argv.slice(2)) {
  const { samples, ...rest } = await decode(await session(), new Uint8Array(readFileSync(path)));
  writeFileSync(`${path}.raw`, new Uint8Array(samples.buffer));
  const { width, height, channels, depth, info } = rest;
  console.log(JSON.stringify({ width, height, channels, depth, methods: info.methods }));
}
