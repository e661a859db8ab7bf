"""Codecs by name. A name says all settings; aliases stand for usual ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lictor.codec.bench import learned, peers, programs
from lictor.codec.bench.contender import Codec, Missing
from lictor.codec.errors import ModelUnavailable, UnknownCodec

ALIASES = {
    "jpeg": "jpeg-420-prog",
    "jpeg-420": "jpeg-420-prog",
    "jpeg-444": "jpeg-444-prog",
    "webp": "webp-m6",
    "jpeg2000": "jpeg2000-rate",
    "avif": "avif-aom-s6-444",
    "avif-444": "avif-aom-s6-444",
    "avif-444-psnr": "avif-aom-s6-444-psnr",
    "avif-420": "avif-aom-s6-420",
    "avif-420-psnr": "avif-aom-s6-420-psnr",
    "jxl": "jxl-e7",
    "heic": "heic-x265-420",
    "heic-psnr": "heic-x265-420-psnr",
    "heic-444": "heic-x265-444",
    "heic-444-psnr": "heic-x265-444-psnr",
    "vvc": "vvenc-fast-420",
    "vtm": "vtm-444",
    "overfit": "overfit-m",
}
"""The short names that people write, and what they stand for."""


@dataclass(frozen=True)
class Family:
    """Codecs whose names follow a pattern; its groups, then the threads, are what `make` takes."""

    form: str
    pattern: str
    example: str
    make: Callable[..., Codec]


FAMILIES = (
    Family(
        "jpeg-{420,422,444}-{prog,opt}",
        r"jpeg-(420|422|444)-(prog|opt)",
        "jpeg-420-prog",
        peers.jpeg,
    ),
    Family("webp-m{0-6}", r"webp-m([0-6])", "webp-m6", peers.webp),
    Family("jpeg2000-{rate,db}", r"jpeg2000-(rate|db)", "jpeg2000-rate", peers.jpeg2000),
    Family(
        "avif-aom-s{0-10}-{420,422,444}[-{psnr,ssim,iq}]",
        r"avif-aom-s(\d|10)-(420|422|444)(?:-(psnr|ssim|iq))?",
        "avif-aom-s6-444",
        peers.avif,
    ),
    Family("jxl-e{1-9}", r"jxl-e([1-9])", "jxl-e7", peers.jxl),
    Family(
        "heic-x265-{420,422,444}[-{psnr,ssim}]",
        r"heic-x265-(420|422|444)(?:-(psnr|ssim))?",
        "heic-x265-420",
        peers.heic,
    ),
    Family(
        "vvenc-{faster,fast,medium,slow,slower}-420",
        r"vvenc-(faster|fast|medium|slow|slower)-420",
        "vvenc-fast-420",
        programs.vvenc,
    ),
    Family("vtm-{420,444}", r"vtm-(420|444)", "vtm-444", programs.vtm),
    Family("lictor-{auto,linear}", r"lictor-(auto|linear)", "lictor-auto", learned.method),
    Family(
        "overfit-{s,m,l}[-e{0-9}]",
        r"overfit-([sml])(?:-e([0-9]))?",
        "overfit-m",
        learned.overfitted,
    ),
)


def find(name: str, effort: int = 0, threads: int = 1) -> Codec:
    """The codec of a name or alias, of a model's name, or of the path of a weights file.

    Args:
        name: of a model, "-e5" at its end asks for that effort.
        effort: of models whose name has none.
        threads: what codecs may use that can be told.

    Raises:
        Missing: its library, program or weights are not here.
        UnknownCodec: there is no such codec.
        ModelUnavailable: weights that cannot be used.
    """
    for family in FAMILIES:
        match = re.fullmatch(family.pattern, ALIASES.get(name, name))
        if match:
            return family.make(*match.groups(), threads)
    if name in learned.COMPRESSAI:
        return learned.compressai(name, threads)
    return _model(name, effort, threads)


def _model(name: str, effort: int, threads: int) -> Codec:
    ending = re.fullmatch(r"(.+)-e([0-9])", name)
    try:
        return learned.model(name, effort, threads)
    except ModelUnavailable as e:
        if ending:
            return learned.model(ending[1], int(ending[2]), threads)
        if name.endswith((".safetensors", ".lictor")):
            raise
        raise UnknownCodec(f"unknown codec {name!r}; {_advice(name)}") from e


def _advice(name: str) -> str:
    near = get_close_matches(name, [*ALIASES, *_examples(), *_models()], n=1, cutoff=0.5)
    asked = f"did you mean {near[0]}? " if near else ""
    return f"{asked}`lictor bench --list-codecs` names all"


def _examples() -> list[str]:
    return [family.example for family in FAMILIES]


def _models() -> list[str]:
    from lictor import models
    from lictor.models import zoo

    own = [path.stem for path in zoo.own_files()]
    return [*models.index(), *learned.COMPRESSAI, *own]


def rows() -> Iterator[dict[str, Any]]:
    """What `lictor bench --list-codecs` shows: name, what is here, aliases, quality, points."""
    for family in FAMILIES:
        short = [alias for alias, name in ALIASES.items() if re.fullmatch(family.pattern, name)]
        yield _row(family.form, family.example, short)
    for name in _models():
        yield _row(name, name, [])


def _row(form: str, example: str, short: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": form, "aliases": short, "missing": None}
    try:
        codec = find(example)
    except (Missing, ModelUnavailable) as e:
        return row | {"missing": str(e)}
    return row | {
        "version": codec.version,
        "quality": codec.scale.text,
        "qualities": list(codec.qualities),
    }
