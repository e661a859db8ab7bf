/** Weights as the weights codec has them, and what is wrong with some. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ModelUnavailable } from "../src/errors.js";
import { open } from "../src/weights.js";
import { CHECKPOINTS, session } from "./golden.mjs";

const NAME = "lictor-s.task";
const data = new Uint8Array(readFileSync(new URL(`${NAME}.lictor`, CHECKPOINTS)));
const { coders } = await session();

test("all tensors are there, as numbers", async () => {
  const { data: bytes, tensors } = await open(data, NAME, coders);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const { start, count, half } = byName.get("g_s.shortcut.weight");
  assert.equal(half, false);
  assert.equal(count, 256 * 768);
  const weights = new Float32Array(bytes.buffer, start, count);
  assert.ok(weights.every(Number.isFinite) && weights.some((w) => Math.abs(w) > 0.01));
  assert.ok(["octave", "context.steps.3.heads.bias", "h_s.bias.rungs"].every((n) => byName.has(n)));
});

for (const [what, other] of Object.entries({
  "cut short": data.subarray(0, data.length / 2),
  "cut in the header": data.subarray(0, 9),
  "another record": Uint8Array.from(data, (byte, i) => (i === data.length >> 1 ? byte ^ 255 : byte)).subarray(0, -30),
  nothing: new Uint8Array(),
  "no weights": new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]),
})) {
  test(`weights that are ${what}`, async () => {
    await assert.rejects(open(other, NAME, coders), ModelUnavailable);
  });
}
