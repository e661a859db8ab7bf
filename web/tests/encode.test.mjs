/** What is encoded comes back: within the bound of its quality, without loss where that was asked. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { decode } from "../src/decode.js";
import { encode } from "../src/encode.js";
import { CodecError, UnsupportedImage } from "../src/errors.js";
import { fromRgba } from "../src/pixels.js";
import { bound } from "../src/slope.js";
import { decodeVp8l } from "../src/vp8l.js";
import { encodeVp8l } from "../src/vp8l_write.js";
import { expected, session } from "./golden.mjs";

/** Numbers that are always the same. */
function random(seed) {
  let x = seed;
  return () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

function image(width, height, channels, depth, of) {
  const samples = depth === 8 ? new Uint8Array(width * height * channels)
    : new Uint16Array(width * height * channels);
  for (let i = 0; i < samples.length; i++) {
    const pixel = Math.floor(i / channels);
    samples[i] = (2 ** depth - 1) * of(pixel % width, Math.floor(pixel / width), i % channels);
  }
  return { width, height, channels, depth, samples };
}

const noise = random(5);
const IMAGES = {
  pixel: image(1, 1, 3, 8, () => 0.7),
  row: image(150, 1, 3, 8, (x) => (x % 7) / 7),
  noise: image(70, 66, 3, 8, () => noise()),
  stripes: image(65, 40, 1, 8, (x) => x % 2),
  ramp: image(90, 70, 3, 16, (x, y, k) => (x + 2 * y + 5 * k) / 300),
  alpha: image(66, 30, 4, 8, (x, y, k) => (k === 3 ? Math.min(1, x / 40) : (x * y) / 2000)),
  "gray alpha 16": image(20, 30, 2, 16, (x, y, k) => (k ? noise() : x / 20)),
  photo: expected("rgb-q50"),
};

/** The largest mean squared error of a block of 64x64, on 0…255, of what alpha does not hide. */
function farthest(a, b) {
  const { width, height, channels, depth } = a, sums = new Map();
  const colours = channels - (channels % 2 ? 0 : 1), unit = (255 / (2 ** depth - 1)) ** 2 / colours;
  for (let pixel = 0; pixel < width * height; pixel++) {
    if (colours < channels && !a.samples[(pixel + 1) * channels - 1]) continue;
    const block = `${(pixel % width) >> 6},${Math.floor(pixel / width) >> 6}`;
    const one = sums.get(block) ?? [0, 0];
    one[1]++;
    for (let k = 0; k < colours; k++) {
      one[0] += unit * (a.samples[pixel * channels + k] - b.samples[pixel * channels + k]) ** 2;
    }
    sums.set(block, one);
  }
  return Math.max(0, ...[...sums.values()].map(([sum, count]) => sum / count));
}

function sameAlpha(a, b) {
  for (let i = a.channels - 1; a.channels % 2 === 0 && i < a.samples.length; i += a.channels) {
    assert.equal(a.samples[i], b.samples[i]);
  }
}

for (const [name, picture] of Object.entries(IMAGES)) {
  test(`${name} comes back`, async () => {
    const own = await session();
    for (const quality of [0, 60, 100]) {
      const data = await encode(own, picture, { quality }), again = await decode(own, data);
      assert.deepEqual([again.width, again.height, again.channels, again.depth],
        [picture.width, picture.height, picture.channels, picture.depth]);
      assert.ok(farthest(picture, again) <= bound(4 * quality) * (1 + 1e-9));
      assert.equal(again.info.quality, quality);
      sameAlpha(picture, again);
    }
  });

  test(`${name} comes back without loss`, async () => {
    const own = await session(), data = await encode(own, picture, { method: "lossless" });
    assert.deepEqual((await decode(own, data)).samples, new picture.samples.constructor(picture.samples));
  });
}

test("a picture in tiles", async () => {
  const own = await session();
  const picture = image(2200, 1100, 1, 8, (x, y) => ((x >> 5) + (y >> 5)) % 3 / 2);
  const data = await encode(own, picture, { method: "network", quality: 20 });
  assert.deepEqual((await decode(own, data)).info.methods, ["network"]);
});

test("methods that are asked for", async () => {
  const own = await session();
  for (const method of ["network", "linear", "lossless"]) {
    const data = await encode(own, IMAGES.photo, { method });
    assert.ok((await decode(own, data)).info.methods.includes(method));
  }
});

test("what cannot be", async () => {
  const own = await session(), { photo } = IMAGES;
  for (const [picture, options] of [
    [photo, { quality: 101 }], [photo, { quality: NaN }], [photo, { method: "best" }],
    [photo, { model: "lictor-z.none" }], [{ ...photo, width: 3 }, {}], [{ ...photo, channels: 5 }, {}],
    [{ ...photo, width: 0, samples: new Uint8Array(0) }, {}], [{ ...photo, depth: 16 }, {}],
  ]) {
    await assert.rejects(encode(own, picture, options), CodecError);
  }
  await assert.rejects(encode(own, photo, { quality: -1 }), UnsupportedImage);
});

test("the fewest channels of a canvas", () => {
  const of = (...data) => fromRgba({ width: 1, height: 1, data }).samples;
  assert.deepEqual([...of(5, 5, 5, 255)], [5]);
  assert.deepEqual([...of(5, 5, 5, 9)], [5, 9]);
  assert.deepEqual([...of(5, 6, 5, 255)], [5, 6, 5]);
  assert.deepEqual([...of(5, 6, 5, 0)], [5, 6, 5, 0]);
});

test("alpha planes of every look", () => {
  const next = random(9);
  for (let turn = 0; turn < 60; turn++) {
    const width = 1 + Math.floor(40 * next()), height = 1 + Math.floor(40 * next());
    const most = turn % 2 ? 256 : 65536, plane = new (turn % 2 ? Uint8Array : Uint16Array)(width * height);
    const looks = [() => 0, () => next() * most, (x, y) => 3 * x + y, (x) => (x > 9 ? most - 1 : 0)];
    plane.forEach((_, i) => {
      plane[i] = looks[turn % 4](i % width, Math.floor(i / width));
    });
    const pixels = decodeVp8l(encodeVp8l(plane, width, height), width, height);
    const again = plane.map((_, i) =>
      turn % 2 ? (pixels[i] >> 8) & 255 : (pixels[i] & 0xff00) | ((pixels[i] >> 16) & 255));
    assert.deepEqual(again, plane);
  }
});
