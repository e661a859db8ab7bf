"""Memory of the shipped model on large pictures, each measured in a process of its own.

LICTOR_TEST_100MP=1 adds one of 100 megapixels, which takes minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lictor.models import zoo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs POSIX resource usage"),
    pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree"),
]

CODE = """
import resource, sys
import numpy as np, torch
from skimage import data
from lictor.codec import decode_picture, encode, info

def peak():
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

def picture(height, width):
    photo, pixels = data.astronaut(), np.empty((height, width, 3), np.uint8)
    for top in range(0, height, 512):
        for left in range(0, width, 512):
            part = pixels[top : top + 512, left : left + 512]
            part[:] = np.rot90(photo, (top + left) // 512)[: part.shape[0], : part.shape[1]]
    return pixels

threads, height, width, effort, whole = map(int, sys.argv[1:])
torch.set_num_threads(threads)
small = encode(picture(whole, whole), quality=40, effort=effort)
assert info(small).tiles == 1
decode_picture(small)
before = peak()
pixels = picture(height, width)
coded = encode(pixels, quality=40, effort=effort)
encoded = peak()
decoded = decode_picture(coded).pixels
error = np.abs(decoded[-999:, -999:].astype(int) - pixels[-999:, -999:]).mean()
assert error < 8, error
print(before, encoded, peak())
"""


def megabytes(
    threads: int, height: int, width: int, effort: int = 0, whole: int = 1472
) -> list[float]:
    """At most: after a picture in one piece, after encoding a large one, after decoding it.

    whole: side of the one in one piece, 1472 at most.
    """
    numbers = (threads, height, width, effort, whole)
    command = [sys.executable, "-c", CODE, *map(str, numbers)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(value) for value in result.stdout.split()]


def test_memory_hardly_grows_with_the_picture():
    """2.2 megapixels in one piece take 700 MB; 6.3 would take three times as much."""
    before, _, after = megabytes(1, 2500, 2500)
    assert after - before < 400


def test_memory_of_a_search_hardly_grows_with_the_picture():
    """A megapixel in one piece takes 1.2 GB; 4.2 as one would take four times as much."""
    before, encoded, _ = megabytes(1, 2048, 2048, effort=1, whole=1024)
    assert encoded - before < 400


@pytest.mark.skipif(not os.environ.get("LICTOR_TEST_100MP"), reason="set LICTOR_TEST_100MP=1")
def test_100_megapixels():
    assert max(megabytes(4, 8400, 12_000)) < 3000
