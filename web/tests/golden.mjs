/** Golden files, and PNG files of theirs, for tests in Node. */

import { readdirSync, readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";

import { Session } from "../src/session.js";

const FOLDER = new URL("../../tests/golden/bin/", import.meta.url);
export const CHECKPOINTS = new URL("../../checkpoints/", import.meta.url);

/** One session for all tests of a file. */
let opened;
export function session() {
  opened ??= Session.open({ weights: CHECKPOINTS });
  return opened;
}

export const index = JSON.parse(readFileSync(new URL("index.json", FOLDER), "utf8")).files;
export const names = readdirSync(FOLDER).filter((f) => f.endsWith(".bin")).map((f) => f.slice(0, -4));

export function golden(name) {
  return new Uint8Array(readFileSync(new URL(`${name}.bin`, FOLDER)));
}

/** What a golden file, or a part of it, decodes to. */
export function expected(name) {
  return readPng(readFileSync(new URL(`${name}.png`, FOLDER)));
}

/** A PNG of gray, RGB, either with alpha, of 1, 8 or 16 bits, without interlacing. */
export function readPng(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const chunks = new Map(), parts = [];
  for (let at = 8; at < file.length; at += 12 + view.getUint32(at)) {
    const name = String.fromCharCode(...file.subarray(at + 4, at + 8));
    const body = file.subarray(at + 8, at + 8 + view.getUint32(at));
    if (name === "IDAT") parts.push(body);
    else chunks.set(name, body);
  }
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const bits = file[24], channels = [1, 0, 3, 0, 2, 0, 4][file[25]];
  if (!channels || file[28]) throw new Error("not a PNG that tests read");
  const bytes = Math.ceil((width * channels * bits) / 8), pixel = Math.ceil((channels * bits) / 8);
  const rows = unfiltered(inflateSync(Buffer.concat(parts)), bytes, height, pixel);
  const wide = width * channels;
  const samples = bits === 16 ? new Uint16Array(wide * height) : new Uint8Array(wide * height);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < wide; i++) {
      const at = y * bytes;
      samples[y * wide + i] =
        bits === 16 ? (rows[at + 2 * i] << 8) | rows[at + 2 * i + 1]
        : bits === 8 ? rows[at + i]
        : 255 * ((rows[at + (i >> 3)] >> (7 - (i & 7))) & 1);
    }
  }
  return { width, height, channels, depth: bits === 16 ? 16 : 8, samples, chunks };
}

function unfiltered(data, bytes, height, pixel) {
  const out = new Uint8Array(bytes * height);
  for (let y = 0; y < height; y++) {
    const filter = data[y * (bytes + 1)];
    for (let i = 0; i < bytes; i++) {
      const at = y * bytes + i;
      const left = i < pixel ? 0 : out[at - pixel], above = y ? out[at - bytes] : 0;
      const corner = y && i >= pixel ? out[at - bytes - pixel] : 0;
      out[at] = data[y * (bytes + 1) + 1 + i] + guess(filter, left, above, corner);
    }
  }
  return out;
}

function guess(filter, left, above, corner) {
  if (filter === 3) return (left + above) >> 1;
  if (filter < 3) return [0, left, above][filter];
  const p = left + above - corner;
  const [a, b, c] = [left, above, corner].map((v) => Math.abs(p - v));
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

/** The largest difference of samples, in levels of 255, in the region that `wanted` shows. */
export function farthest(picture, wanted, region) {
  const [left, top] = region ?? [0, 0], { width, height, channels, depth } = wanted;
  let most = 0;
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < width * channels; i++) {
      const at = ((top + y) * picture.width + left) * channels + i;
      most = Math.max(most, Math.abs(picture.samples[at] - wanted.samples[y * width * channels + i]));
    }
  }
  return most / (depth === 16 ? 257 : 1);
}
