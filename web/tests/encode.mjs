// Encodes PNG files beside themselves: node encode.mjs QUALITY FILE…; for tests/web.

import { readFileSync, writeFileSync } from "node:fs";

import { encode } from "../src/encode.js";
import { readPng, session } from "./golden.mjs";

const [quality, ...paths] = process.argv.slice(2);
for (const path of paths) {
  const data = await encode(await session(), readPng(readFileSync(path)), { quality: Number(quality) });
  writeFileSync(`${path}.bin`, data);
}
