/* The metrics that curves are drawn of; value: as it is drawn, from what results.json has. */
"use strict";

const METRICS = {
  psnr: { tab: "PSNR", axis: "PSNR, dB", digits: 2, unit: " dB", value: (v) => v },
  ms_ssim: {
    tab: "MS-SSIM", axis: "MS-SSIM, dB: −10 log₁₀(1 − MS-SSIM)", digits: 2, unit: " dB",
    value: (v) => (v == null || v >= 1 ? null : -10 * Math.log10(1 - v)),
  },
  ssimulacra2: { tab: "SSIMULACRA2", axis: "SSIMULACRA2", digits: 2, unit: "", value: (v) => v },
  lpips: { tab: "LPIPS", axis: "LPIPS, less is better", digits: 4, unit: "", reversed: true,
    value: (v) => v },
};
