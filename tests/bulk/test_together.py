"""Several pictures in one pass of a network: the files and pictures of one by one."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from lictor import codec
from lictor.codec.cli.bulk_run import Coding
from lictor.codec.cli.file_jobs import Decode, Encode
from lictor.codec.errors import CorruptFile
from lictor.codec.runtime import light, together
from lictor.codec.runtime import torch as torch_runtime
from lictor.models import zoo

pytestmark = pytest.mark.skipif(
    "lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree"
)
NETWORKS = {"light": light.PictureNetwork, "torch": torch_runtime.PictureNetwork}


def pictures() -> list[np.ndarray]:
    """Of like size once padded and not; gray, deep, with alpha, drawn, noise; and very small."""
    photo, rng = data.astronaut(), np.random.default_rng(1)
    return [
        photo[:64, :64],
        photo[100:140, 100:150],
        photo[200:264, 200:260, :1],
        photo[:100, 200:300],
        photo[300:364, 300:364].astype(np.uint16) * 257,
        np.dstack([photo[90:154, 200:264], np.full((64, 64), 9, np.uint8)]),
        photo[400:401, 100:101],
        np.repeat(np.repeat(rng.integers(0, 2, (8, 8, 3), np.uint8) * 255, 8, 0), 8, 1),
        rng.integers(0, 256, (64, 64, 3), np.uint8),
        photo[64:128, 200:264],
    ]


@pytest.fixture(params=NETWORKS)
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A runtime's name, and the sizes of its passes, by what they are for."""
    sizes: dict[str, list[int]] = {"encode": [], "pull": [], "show": []}
    for what, seen in sizes.items():
        name = f"{what}_several"
        true = getattr(NETWORKS[request.param], name)

        def spied(self: Any, *given: Any, true: Any = true, seen: list[int] = seen) -> Any:
            answers = true(self, *given)
            seen.append(len(answers))
            return answers

        monkeypatch.setattr(NETWORKS[request.param], name, spied)
    return request.param, sizes


def test_files_and_pictures_are_those_of_one_by_one(counted: tuple[str, dict[str, list[int]]]):
    runtime, sizes = counted
    given = [(picture, 20.0 + 5 * i) for i, picture in enumerate(pictures())]
    encode = [partial(codec.encode, p, quality=q, runtime=runtime) for p, q in given]
    files: Any = together.run(encode)
    assert max(sizes["encode"]) >= 5 and max(sizes["show"]) >= 5
    decode = [partial(codec.decode_picture, file, runtime=runtime) for file in files]
    shown: Any = together.run(decode)
    assert max(sizes["pull"]) >= 4
    for file, picture, one, alone in zip(files, shown, encode, decode, strict=True):
        other = next(name for name in NETWORKS if name != runtime)
        codec.decode_picture(file, runtime=other)  # holds the latents against their checksum
        exact = alone().pixels
        if runtime == "light":
            assert file == one() and np.array_equal(picture.pixels, exact)
        else:  # sums of floats are in another order
            assert np.abs(picture.pixels.astype(int) - exact).max() <= exact.max() // 255 + 1


def test_a_damaged_file_does_not_harm_those_beside_it():
    coded = Coding(Encode({"quality": 40}))(
        [(f"{i}.png", png(p)) for i, p in enumerate(pictures())]
    )
    assert isinstance(coded, list) and not any(one.error for one in coded)
    files = [(f"{i}.bin", one.data) for i, one in enumerate(coded)]
    broken = bytearray(files[1][1])
    broken[-3] ^= 1
    files[1] = ("1.bin", bytes(broken))
    files.insert(3, ("none.bin", b"LCTR and no more"))
    back = Coding(Decode("PNG"))(files)
    assert isinstance(back, list)
    assert [bool(one.error) for one in back] == [n in (1, 3) for n in range(len(files))]
    for (_, file), one in zip(files, back, strict=True):
        if not one.error:
            with Image.open(io.BytesIO(one.data)) as image:
                assert np.array_equal(np.asarray(image), np.asarray(codec.decode(file)))


def test_errors_come_back():
    def fails() -> None:
        raise CorruptFile("it is")

    answers = together.run([fails, lambda: 7])
    assert isinstance(answers[0], CorruptFile) and answers[1] == 7


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    if picture.dtype == np.uint16:
        picture = picture[:, :, 0]
    Image.fromarray(picture.squeeze(2) if picture.shape[-1] == 1 else picture).save(buffer, "PNG")
    return buffer.getvalue()
