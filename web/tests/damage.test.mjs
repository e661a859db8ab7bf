/** Damaged and hostile files: an error with a name, or a picture, and never anything else. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Coders } from "../src/coders.js";
import { decode } from "../src/decode.js";
import {
  CodecError, CorruptFile, FileError, LatentMismatch, ModelUnavailable, NotALictorFile, OutOfMemory,
  packed, TruncatedFile, unpacked, UnsupportedFeature, UnsupportedVersion,
} from "../src/errors.js";
import { crc16, parse } from "../src/format.js";
import { inflate } from "../src/metadata.js";
import { Reader } from "../src/reader.js";
import { decodeVp8l } from "../src/vp8l.js";
import { golden, session } from "./golden.mjs";

const { coders } = await session();

/** Numbers that are always the same: xorshift. */
function random(seed) {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

async function refuses(data, kind, options) {
  await assert.rejects(decode(await session(), data, options), (error) => {
    assert.ok(error instanceof kind, `${error.stack}`);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

/** Where the header ends: right after its check. */
function headerSize(data) {
  for (let size = 18; ; size++) {
    const found = data[size - 2] | (data[size - 1] << 8);
    if (crc16(data.subarray(0, size - 2)) === found) return size;
  }
}

/** With all checks of sections, and that of the header, right again. */
function resealed(data) {
  const out = data.slice(), view = new DataView(out.buffer);
  const io = new Reader(out);
  for (io.position = headerSize(data); io.position < out.length; ) {
    const start = io.position;
    io.uint("tag");
    io.raw("payload", io.varint("length", 0, 2 ** 40));
    view.setUint32(io.position, coders.crc32(io.since(start)), true);
    io.position += 4;
  }
  return out;
}

test("checks are those of the format", () => {
  const digits = new TextEncoder().encode("123456789");
  assert.equal(crc16(digits), 0x29b1);
  assert.equal(coders.crc32(digits), 0xcbf43926);
  assert.equal(coders.machine.sha256(new TextEncoder().encode("abc")),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(coders.machine.sha256(new Uint8Array(119)).length, 64);
});

test("the example of FORMAT.md", () => {
  const hex = "4C4943 01 01 DEADBEEF AC02 02 01 C801 78563412 A69B 01 03 AABBCC 1D50FBA8";
  const data = Uint8Array.from(hex.replaceAll(" ", "").match(/../g), (byte) => parseInt(byte, 16));
  const { header, sections } = parse(data, coders.crc32);
  const { width, height, channels, depth, step, latents, modelId } = header;
  assert.deepEqual([width, height, channels, depth, step, latents, modelId],
    [300, 2, 1, 8, 200, 0x12345678, 1]);
  assert.deepEqual([...sections.get(1)], [0xaa, 0xbb, 0xcc]);
});

test("other files", async () => {
  await refuses(new Uint8Array(0), TruncatedFile);
  await refuses(new TextEncoder().encode("GIF89a"), NotALictorFile);
  await refuses(new TextEncoder().encode("LI"), TruncatedFile);
  const data = golden("rgb-q0");
  await refuses(Uint8Array.from([...data.subarray(0, 3), 9, ...data.subarray(4)]), UnsupportedVersion);
  await refuses(Uint8Array.from([...data, 0]), CorruptFile);
  await refuses(golden("rgb-q50"), OutOfMemory, { maxPixels: 1000 });
});

for (const name of ["rgb-q0", "lossless", "blocks", "roi-map", "overfit"]) {
  test(`every length of ${name}`, async () => {
    const data = golden(name);
    for (let size = 0; size < data.length; size += 1 + (size >> 5)) {
      await refuses(data.subarray(0, size), TruncatedFile);
    }
  });

  test(`every byte of ${name}`, async () => {
    const data = golden(name);
    for (let at = 0; at < data.length; at += 1 + (at >> 5)) {
      const other = data.slice();
      other[at] ^= 1 << at % 8;
      await refuses(other, FileError);
    }
  });
}

test("weights of another kind", async () => {
  const data = golden("rgb-q0");
  data[5] ^= 1;
  const check = crc16(data.subarray(0, headerSize(golden("rgb-q0")) - 2));
  new DataView(data.buffer).setUint16(headerSize(golden("rgb-q0")) - 2, check, true);
  await refuses(data, ModelUnavailable);
});

test("latents that are others", async () => {
  const data = golden("rgb-q50"), next = random(3);
  for (let turn = 0; turn < 20; turn++) {
    const other = data.slice();
    other[headerSize(data) + 3 + next(data.length - headerSize(data) - 8)] ^= 1 << next(8);
    await refuses(resealed(other), LatentMismatch);
  }
});

/** Garbage behind right checks: what coders themselves make of it. */
for (const method of ["linear", "lossless"]) {
  test(`hostile tiles, ${method}`, () => {
    const next = random(7), own = new Coders(coders.machine);
    const file = parse(golden(method), coders.crc32);
    const [{ stream }] = [...file.overlays.values()][0].streams;
    let refused = 0;
    for (let turn = 0; turn < 60; turn++) {
      const bytes = turn % 2 ? stream.slice() : new Uint8Array(next(200));
      for (let i = 0; i < 1 + next(8) && bytes.length; i++) bytes[next(bytes.length)] = next(256);
      if (turn % 2 === 0) for (let i = 0; i < bytes.length; i++) bytes[i] = i ? next(256) : next(3);
      const height = 1 + next(90), width = 1 + next(90), channels = next(2) ? 3 : 1;
      const mask = new Uint8Array(Math.ceil(height / 64) * Math.ceil(width / 64)).fill(1);
      try {
        own[method](bytes, { height, width, channels, depth: next(2) ? 8 : 16, mask });
      } catch (error) {
        assert.ok(error instanceof CodecError, error.stack);
        refused++;
      }
    }
    assert.equal(refused, 60);
  });
}

test("hostile alpha", () => {
  const next = random(11);
  const file = parse(golden("rgba"), coders.crc32), io = new Reader(file.sections.get(3));
  const picture = io.raw("", io.varint("", 0, 2 ** 24));
  const { width, height } = file.header;
  assert.equal(decodeVp8l(picture, width, height).length, width * height);
  for (let turn = 0; turn < 300; turn++) {
    const bytes = picture.slice(0, turn % 3 ? picture.length : 5 + next(picture.length));
    for (let i = 0; i < 1 + next(4); i++) bytes[5 + next(bytes.length - 5)] = next(256);
    try {
      assert.equal(decodeVp8l(bytes, width, height).length, width * height);
    } catch (error) {
      assert.ok(error instanceof CorruptFile, error.stack);
    }
  }
});

test("metadata that unpack to something else", async () => {
  const payload = parse(golden("metadata"), coders.crc32).sections.get(4);
  assert.ok((await inflate(payload)).length > 100);
  const size = payload.slice();
  size[0] ^= 1;
  const longer = Uint8Array.from([...payload, 0]);
  for (const other of [size, payload.subarray(0, -1), longer]) {
    await assert.rejects(inflate(other), CorruptFile);
  }
});

test("a section that is not known", async () => {
  const data = golden("rgb-q0"), start = headerSize(data);
  const more = data.slice(0, -4);
  more[start] |= 64;
  const sealed = (tag) => resealed(Uint8Array.from([...more, 0, 0, 0, 0, tag, 0, 0, 0, 0, 0]));
  await refuses(sealed(60), UnsupportedFeature);
  assert.equal((await decode(await session(), sealed(60 | 128))).width, 129);
});

test("errors cross to another thread", () => {
  const back = unpacked(packed(new LatentMismatch("other")));
  assert.ok(back instanceof LatentMismatch && back.message === "other");
  assert.ok(!(unpacked(packed(new TypeError("a bug"))) instanceof CodecError));
});
