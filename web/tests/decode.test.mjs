/** Golden files decode to what the Python package makes of them. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { decode } from "../src/decode.js";
import { toPng } from "../src/png.js";
import { expected, farthest, golden, index, names, readPng, session } from "./golden.mjs";

const sha256 = (data) => createHash("sha256").update(data ?? "").digest("hex");

test("there are golden files of every kind", () => {
  assert.deepEqual(new Set(names), new Set(Object.keys(index)));
  assert.ok(names.length > 20);
});

for (const name of names) {
  test(`golden file ${name}`, async () => {
    const picture = await decode(await session(), golden(name)), wanted = expected(name);
    const { icc, exif, region } = index[name];
    assert.equal(picture.channels, wanted.channels);
    assert.equal(picture.depth, wanted.depth);
    const most = /^(lossless|linear|overfit)/.test(name) ? 0 : 1;
    assert.ok(farthest(picture, wanted, region) <= most);
    assert.equal(sha256(picture.icc), icc);
    assert.equal(sha256(picture.exif), exif);
    if (!region) assert.equal(picture.width, wanted.width);
  });
}

for (const compress of [false, true]) {
  for (const name of ["metadata", "rgb16", "lossless", "gray16", "point"]) {
    test(`PNG of ${name}, ${compress ? "small" : "at once"}`, async () => {
      const own = await session();
      const picture = await decode(own, golden(name));
      const png = await toPng(picture, own.coders.crc32, { compress });
      const again = readPng(Buffer.from(await png.arrayBuffer()));
      assert.deepEqual(again.samples, picture.samples);
      assert.equal(again.chunks.has("iCCP"), picture.icc !== null);
      assert.equal(again.chunks.has("eXIf"), picture.exif !== null);
    });
  }
}
