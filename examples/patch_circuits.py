"""Bits a pixel of handwritten digits, by a probabilistic circuit and by codecs of pictures.

    pip install scikit-learn imagecodecs
    python examples/patch_circuits.py --states 8,16,32

The 1797 digits of 8x8 pixels and 17 levels that come with scikit-learn (UCI, "Optical Recognition
of Handwritten Digits"), in a drawn order: a circuit learns from 1400 and codes the other 397. It is
not counted, as a model is not. The codecs get those 397 as one sheet of 20 by 20.
"""

from __future__ import annotations

import argparse
import io
import time

import imagecodecs
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from lictor.models.lossless import circuit, photo, screen


def sheet_of(digits: np.ndarray) -> np.ndarray:
    """The digits as one picture, (160, 160)."""
    sheet = np.zeros((400, 64), np.uint8)
    sheet[: len(digits)] = digits
    return sheet.reshape(20, 20, 8, 8).swapaxes(1, 2).reshape(160, 160)


def saved(sheet: np.ndarray, form: str, **options: object) -> int:
    """Bytes of the sheet as Pillow saves it."""
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, form, **options)
    return len(stream.getvalue())


def main() -> None:
    """Print a line for each coder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", default="8,16,32", help="of each hidden variable")
    options = parser.parse_args()
    digits = load_digits().data.astype(np.uint8)
    digits = digits[np.random.default_rng(0).permutation(len(digits))]
    train, test = digits[:1400], digits[1400:]
    sheet = sheet_of(test)
    pixels = np.ascontiguousarray(sheet[..., None])
    sizes = {
        "PNG": saved(sheet, "PNG", optimize=True),
        "WebP": saved(np.stack([sheet] * 3, -1), "WEBP", lossless=True, quality=100, method=6),
        "JPEG XL e9": len(imagecodecs.jpegxl_encode(sheet, lossless=True, effort=9)),
        "lossless.photo": len(photo.encode(pixels, 5)),
        "lossless.screen": len(screen.encode(pixels, 5)),
    }
    for name, size in sizes.items():
        print(f"{name:24} {8 * size / test.size:.3f} bits a pixel")
    for states in (1, *map(int, options.states.split(","))):
        model = circuit.learn(train, 17, states)
        start = time.process_time()
        data = circuit.encode(model, test)
        spent = time.process_time() - start
        assert np.array_equal(circuit.decode(model, data, len(test)), test)
        rate = f"{8 * len(data) / test.size:.3f} bits a pixel"
        print(f"{f'circuit, {states} states':24} {rate}, {test.size / spent / 1e6:.2f} MB/s")


if __name__ == "__main__":
    main()
