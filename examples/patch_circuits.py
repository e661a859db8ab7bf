"""Bits a pixel of small patches, by probabilistic circuits and by codecs of pictures.

    pip install scikit-learn imagecodecs
    python examples/patch_circuits.py --states 1,8,16,32
    python examples/patch_circuits.py --photos train.tar kodak/ --states 16,64

Digits: the 1797 of 8x8 pixels and 17 levels that come with scikit-learn (UCI, "Optical Recognition
of Handwritten Digits"), in a drawn order. A circuit learns from 1400 and codes the other 397; the
codecs get those as one sheet of 20 by 20. Photos: a circuit learns from 400 patches of 8x8 of each
of the first 250 pictures of train.tar, in gray, and codes every third picture of the folder, as the
codecs do. The circuit is not counted, as a model is not.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from lictor.models.lossless import circuit, photo, screen


def saved(gray: np.ndarray, form: str, **options: object) -> int:
    """Bytes of a picture as Pillow saves it."""
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, form, **options)
    return len(stream.getvalue())


def codecs(pictures: list[np.ndarray], depth: int) -> Iterator[tuple[str, int]]:
    """The name of each codec of pictures, and its bytes for all of them."""
    planes = [np.ascontiguousarray(gray[..., None]) for gray in pictures]
    yield "PNG", sum(saved(gray, "PNG", optimize=True) for gray in pictures)
    sizes = (imagecodecs.jpegxl_encode(gray, lossless=True, effort=9) for gray in pictures)
    yield "JPEG XL e9", sum(map(len, sizes))
    for coder in (photo, screen):
        name = coder.__name__.rpartition("lossless")[2].strip(".")
        yield f"our {name} coder", sum(len(coder.encode(plane, depth)) for plane in planes)


def sheet_of(patches: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Patches (rows · columns, 64) as one picture."""
    sheet = patches.reshape(rows, columns, 8, 8)
    return sheet.swapaxes(1, 2).reshape(rows * 8, columns * 8)


def patches_of(gray: np.ndarray) -> np.ndarray:
    """The whole patches of a picture, (N, 64)."""
    rows, columns = (side // 8 for side in gray.shape)
    patches = gray[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    return patches.swapaxes(1, 2).reshape(-1, 64)


def photos(archive: str) -> Iterator[np.ndarray]:
    """The pictures of an archive in gray."""
    with tarfile.open(archive) as members:
        for member in members:
            if member.name.lower().endswith((".jpg", ".png")):
                stream = members.extractfile(member)
                assert stream
                yield np.asarray(Image.open(stream).convert("L"))


def main() -> None:
    """Print a line for each coder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", default="1,8,16,32", help="of each hidden variable")
    parser.add_argument("--photos", nargs=2, metavar=("TRAIN.tar", "FOLDER"))
    options = parser.parse_args()
    random = np.random.default_rng(0)
    if options.photos:
        some = (
            random.permutation(patches_of(p))[:400] for p in islice(photos(options.photos[0]), 250)
        )
        train = np.concatenate(list(some))
        paths = sorted(Path(options.photos[1]).glob("*.png"))[::3]
        pictures = [np.asarray(Image.open(path).convert("L")) for path in paths]
        test, values, rounds = np.concatenate([patches_of(p) for p in pictures]), 256, 8
    else:
        digits = random.permutation(load_digits().data.astype(np.uint8))
        train, test, values, rounds = digits[:1400], digits[1400:], 17, 20
        pictures = [sheet_of(np.concatenate([test, np.zeros((3, 64), np.uint8)]), 20, 20)]
    for name, size in codecs(pictures, 8 if values == 256 else 5):
        print(f"{name:20} {8 * size / test.size:.3f} bits a pixel")
    for states in map(int, options.states.split(",")):
        model = circuit.learn(random.permutation(train), values, states, rounds)
        start = time.process_time()
        size = sum(
            len(circuit.encode(model, test[i : i + 4096])) for i in range(0, len(test), 4096)
        )
        spent = time.process_time() - start
        assert np.array_equal(
            circuit.decode(model, circuit.encode(model, test[:50]), 50), test[:50]
        )
        rate = f"{8 * size / test.size:.3f} bits a pixel"
        print(f"{f'circuit, {states} states':20} {rate}, {test.size / spent / 1e6:.2f} MB/s")


if __name__ == "__main__":
    main()
