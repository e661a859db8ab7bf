/** What the page is made of fits together. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const here = (name) => new URL(`../${name}`, import.meta.url);
const read = (name) => readFileSync(here(name), "utf8");

test("without a network there is all of the page", () => {
  const listed = /FILES = \[([^\]]*)\]/.exec(read("offline.js"))[1];
  const files = [...listed.matchAll(/"([^"]+)"/g)].map(([, name]) => name);
  const wanted = ["index.html", "page.css", "page.js", ...readdirSync(here("src")).map((f) => `src/${f}`)];
  assert.deepEqual(files.toSorted?.() ?? [...files].sort(), wanted.sort());
});

test("the script finds its elements", () => {
  const page = read("index.html");
  for (const [, id] of read("page.js").matchAll(/\$\("([^"]+)"\)/g)) assert.ok(page.includes(`id="${id}"`), id);
});
