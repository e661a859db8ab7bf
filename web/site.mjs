// Puts the page with all it needs into a folder, to be copied to any web host:
//
//     node site.mjs [FOLDER]                     ../out/web unless said otherwise
//     node site.mjs --only-weights FOLDER        the picture models and their index alone

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const checkpoints = join(here, "..", "checkpoints");
const PAGE = ["index.html", "page.css", "page.js", "offline.js", "src"];

function putWeights(folder) {
  const { checkpoints: all } = JSON.parse(readFileSync(join(checkpoints, "index.json"), "utf8"));
  const pictures = all.filter(({ name }) => name.startsWith("lictor-"));
  const entries = pictures.map(({ name, id, file, sha256 }) => ({ name, id, file, sha256 }));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "index.json"), JSON.stringify({ checkpoints: entries }, null, 1) + "\n");
  for (const { file } of entries) cpSync(join(checkpoints, file), join(folder, file));
}

function putPage(folder) {
  rmSync(folder, { recursive: true, force: true });
  for (const name of PAGE) cpSync(join(here, name), join(folder, name), { recursive: true });
  const page = join(folder, "index.html");
  writeFileSync(page, readFileSync(page, "utf8").replace("../checkpoints/", "weights/"));
  putWeights(join(folder, "weights"));
}

const [first = join(here, "..", "out", "web"), second] = process.argv.slice(2);
if (first === "--only-weights") putWeights(second);
else putPage(first);
