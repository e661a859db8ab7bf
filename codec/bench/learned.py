"""Lictor's models and CompressAI's as contestants."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lictor.codec import api
from lictor.codec.bench.contender import Codec, Missing, Scale
from lictor.codec.runtime import store
from lictor.codec.runtime.runtime import FORCED

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPRESSAI = ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "cheng2020-anchor")
_QUALITIES = (0, 15, 30, 50, 70, 85, 100)
_ONE_RATE = Scale("the number of the weights", 0, 1e6)


def model(name: str, effort: int, threads: int) -> Codec:
    """A checkpoint by name, or a weights file by path. Raises ModelUnavailable, Missing."""
    from lictor.codec.runtime.runtime import ArrayNetwork, TaskNetwork

    codec = store.load_any(name)
    if isinstance(codec, ArrayNetwork):
        raise Missing(
            f"{codec.name} codes features, not pictures; `lictor bench features --model` measures "
            "it"
        )
    if isinstance(codec, TaskNetwork):
        raise Missing(
            f"{codec.name} codes what a classifier needs, not pictures; "
            "examples/bytes_to_classify.py measures it"
        )
    own = Path(name).stem if Path(name).is_file() else codec.name
    if codec.name.partition(".")[0] in COMPRESSAI:
        return _fixed_rates(own, {_number(codec.name): name}, threads)

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        return api.encode(pixels, quality=quality, model=name, effort=effort, method="network")

    def estimate(pixels: NDArray[Any], quality: float) -> float:
        return api.estimate(pixels, quality=quality, model=name)

    return Codec(
        name=own + (f"-e{effort}" if effort else ""),
        label=own + (f", effort {effort}" if effort else ""),
        version=f"lictor {version('lictor')}",
        suffix=".bin",
        scale=Scale("0 to 100", 0, 100),
        qualities=_QUALITIES,
        encode=encode,
        decode=_decoder([name]),
        settings={"effort": effort, "threads": threads},
        weights=codec.digest.hex(),
        estimate=None if effort else estimate,
    )


def method(name: str, threads: int) -> Codec:
    """A method of pictures by itself, or "auto": the choice among all, with the default model."""

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        return api.encode(pixels, quality=quality, method=name)

    return _without_weights(f"lictor-{name}", f"method {name}", encode, {"threads": threads})


def overfitted(size: str, effort: str | None, threads: int) -> Codec:
    """Networks of a picture's own, "s", "m" or "l", trained at an effort."""
    name, chosen = f"overfit-{size}", int(effort or 0)

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        return api.encode(pixels, quality=quality, model=name, effort=chosen)

    return _without_weights(
        name + (f"-e{chosen}" if chosen else ""),
        f"overfitted {size}" + (f", effort {chosen}" if chosen else ""),
        encode,
        {"effort": chosen, "threads": threads},
    )


def _without_weights(
    name: str, way: str, encode: Callable[[NDArray[Any], float], bytes], settings: dict[str, Any]
) -> Codec:
    """What codes pictures at any quality, and is not measured as weights are."""
    return Codec(
        name=name,
        label=f"Lictor, {way}",
        version=f"lictor {version('lictor')}",
        suffix=".bin",
        scale=Scale("0 to 100", 0, 100),
        qualities=_QUALITIES,
        encode=encode,
        decode=_decoder([]),
        settings=settings,
    )


def compressai(architecture: str, threads: int) -> Codec:
    """All imported weights of an architecture, each a point of one curve."""
    from lictor.models import zoo

    files = [path for path in zoo.own_files() if path.stem.startswith(architecture + ".")]
    if not files:
        raise Missing(
            "no weights; `lictor import` them, and set LICTOR_CHECKPOINTS to the folder they are in"
        )
    return _fixed_rates(architecture, {_number(p.stem): str(p) for p in files}, threads)


def _fixed_rates(name: str, files: dict[float, str], threads: int) -> Codec:
    """A codec whose quality chooses the weights."""
    digests = [store.load(path).digest.hex() for path in files.values()]

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        return api.encode(pixels, model=files[quality])

    def estimate(pixels: NDArray[Any], quality: float) -> float:
        return api.estimate(pixels, model=files[quality])

    return Codec(
        name=name,
        label=f"{name} (CompressAI)",
        version=f"compressai {version('compressai')}, lictor {version('lictor')}",
        suffix=".bin",
        scale=_ONE_RATE,
        qualities=tuple(sorted(files)),
        encode=encode,
        decode=_decoder(list(files.values())),
        settings={"threads": threads},
        weights="+".join(digests),
        estimate=estimate,
    )


def _number(name: str) -> float:
    """The 4 of mbt2018-mean.q4; 0 if there is none."""
    found = re.search(r"(\d+)$", name.partition(".")[2])
    return float(found[1]) if found else 0.0


def _decoder(weights: list[str]) -> Callable[[bytes], NDArray[Any]]:
    """Decodes what was written with these, though they be files that nobody else knows."""
    files = [name for name in weights if Path(name).is_file()]

    def decode(data: bytes) -> NDArray[Any]:
        return api.decode_picture(data, models=store.DEFAULT.also(*files)).pixels

    return decode


def work(codec: Codec, pixels: NDArray[Any]) -> float | None:
    """Thousands of multiplications and additions a pixel of one encode and one decode.

    Counted by torch as a picture of 256x256 or less is coded: convolutions and matrix products.
    """
    if not codec.learned or codec.settings.get("effort"):
        return None
    from torch.utils.flop_counter import FlopCounterMode

    crop = pixels[:256, :256]
    with _by_torch(), FlopCounterMode(display=False) as counter:
        codec.decode(codec.encode(crop, codec.qualities[len(codec.qualities) // 2]))
    return counter.get_total_flops() / 2 / (crop.shape[0] * crop.shape[1]) / 1000


@contextmanager
def _by_torch() -> Iterator[None]:
    """In here PyTorch, which counts, computes the networks."""
    before = os.environ.get(FORCED)
    os.environ[FORCED] = "torch"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FORCED]
        else:
            os.environ[FORCED] = before
