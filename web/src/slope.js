/** What quality means (models/coding/slope.py): lambda, steps of quantisers, and how far off a block may be. */

import { STEPS } from "./format.js";

const LAMBDA_MIN = 0.0005, LAMBDA_OCTAVES = 8, BITS = 26, BOUND = 1.25;

/** Bits per pixel that a squared error on 0…255 is worth. @param {number} step 0…400, or beyond */
export function slope(step) {
  return LAMBDA_MIN * 2 ** ((LAMBDA_OCTAVES * step) / STEPS);
}

/** The mean squared error on 0…255 that no block of 64x64 may exceed. @param {number} step */
export function bound(step) {
  return (BOUND * BITS) / (12 * slope(step));
}

/** The step of the linear method's quantiser, on 0…255. @param {number} step @param {number} channels */
export function quantiser(step, channels) {
  return Math.sqrt(BITS / (slope(step) * (channels === 1 ? 3 : 1)));
}
