"""The kinds of payload in one table: pictures, arrays, weights.

A new kind is one more entry: commands find, encode, decode and tell of its files, and `decode` and
`info` serve it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import InvalidOption, UnwritableImage
from lictor.codec.kinds.arrays import Arrays
from lictor.codec.kinds.caches import Caches
from lictor.codec.kinds.embeddings import Embeddings
from lictor.codec.kinds.payload import Kind, Row
from lictor.codec.kinds.pictures import Pictures
from lictor.codec.kinds.weights import Weights
from lictor.codec.runtime.store import DEFAULT as DEFAULT_STORE
from lictor.codec.runtime.store import Store

if TYPE_CHECKING:
    from lictor.codec.api import Info
    from lictor.codec.arrays.info import FeatureInfo
    from lictor.codec.embeddings.api import EmbeddingInfo
    from lictor.codec.kv.api import KvInfo
    from lictor.codec.weights.info import WeightsInfo

PICTURES, ARRAYS, WEIGHTS = Pictures(), Arrays(), Weights()
KINDS: tuple[Kind, ...] = (PICTURES, ARRAYS, WEIGHTS)
PRESETS: dict[str, Kind] = {"kv": Caches(), "embedding": Embeddings()}
"""Kinds whose inputs are files of arrays that do not say what they hold: `--preset` does."""
ALL = (*KINDS, *PRESETS.values())
SUFFIXES = frozenset[str]().union(*(kind.suffixes for kind in KINDS))
"""Those of all that can be encoded."""
MAGICS = tuple(kind.magic for kind in ALL)
START = 16
"""Bytes from the beginning of a file, by which it is known."""
_FLAGS = {"quality": "-q", "precision": "--bf16"}
_DEFAULTS: dict[str, Any] = {"salvage": False, "precision": "float32", "device": "cpu", "reduce": 1}
_LOSSY = frozenset(("max_error", "mse", "axis", "chunk"))
"""Options that say how arrays are to be coded, of those that weights do not take."""


# ---- which kind


def of_file(data: Any) -> Kind:
    """The kind of a .bin file by its first bytes.

    Pictures where it is of none: their reader says what is wrong with it.
    """
    try:
        start = bytes(memoryview(data).cast("B")[:START])
    except (TypeError, ValueError):
        start = b""
    return next((kind for kind in ALL if start.startswith(kind.magic)), PICTURES)


def of_input(name: str, start: bytes = b"", preset: str | None = None) -> Kind:
    """The kind of what is to be encoded by its name, else by its first bytes; pictures if of none.

    preset: of arrays that are something else, one of PRESETS.

    Likewise, Pillow says what is wrong with it.
    """
    others = (kind for kind in KINDS if kind is not PICTURES)
    found = next((kind for kind in others if kind.sniff(name, start)), PICTURES)
    return PRESETS[preset] if preset and found in (ARRAYS, WEIGHTS) else found


def for_encoding(
    name: str, start: bytes, given: Mapping[str, Any], forced: str, mixed: bool
) -> tuple[Kind, str]:
    """The kind that an input is encoded as, and what is to be said of that.

    Weights with a target of arrays are arrays. given: options of encoding; forced: the name of a
    kind, or ""; mixed: whether options may be another input's.
    """
    kind = next((kind for kind in KINDS if kind.name == forced), None)
    if kind:
        return kind, ""
    kind = of_input(name, start, given.get("preset"))
    lossy = _LOSSY if mixed else _LOSSY | {"model"}
    if kind is not WEIGHTS or not lossy & given.keys():
        return kind, ""
    option = next(option for option in given if option in lossy)
    return ARRAYS, f"coded as arrays, with loss, as {flag(option)} asks; exactly without it"


def named(name: str) -> Kind | None:
    """The kind that a file has by its name; None if that says nothing."""
    suffix = os.path.splitext(name)[1].lower()
    return next((kind for kind in KINDS if suffix in kind.suffixes), None)


def of_row(row: Row) -> Kind:
    """The kind that a row of a report tells of."""
    return next(kind for kind in ALL if kind.key in row)


def total(rows: list[Row]) -> str:
    """What files take together: as their kind counts it, or, of several kinds, in bytes."""
    found = {of_row(row) for row in rows}
    if len(found) == 1:
        return found.pop().total(rows)
    return f"{sum(row['bytes'] for row in rows)} bytes"


def names(kinds: Iterable[Kind] = KINDS, between: str = " and ") -> str:
    """Pictures and arrays."""
    return between.join(kind.name for kind in kinds)


# ---- what it does not take


def flag(name: str, value: Any = None) -> str:
    """An option as the command line has it."""
    if name == "target":
        return f"--{value.kind}"
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def not_taken(kind: Kind, given: Mapping[str, Any]) -> str:
    """Why a kind cannot be encoded with the options that were given; "" if it can."""
    wrong = given.keys() - kind.takes(given)
    for name, value in given.items():
        if name in wrong:
            return f"{flag(name, value)} is for {_takers(name, kind)}; {kind.advice}"
    return ""


def refuse(kind: Kind, given: Iterable[str], taken: frozenset[str], spelled: _Spelled) -> None:
    """Refuse options of a .bin file that its kind does not take: those not in `taken`.

    spelled: how the user has an option. Raises InvalidOption.
    """
    for name in given:
        if name not in taken:
            others = _takers(name, kind)
            raise InvalidOption(f"holds {kind.one}; {spelled(name)} is for {others}, leave it out")


_Spelled = Callable[[str], str]


def _takers(name: str, kind: Kind) -> str:
    """Those that take an option, when one kind does not."""
    others = [other for other in ALL if other is not kind]
    options = [other.options | other.decode_options | other.info_options for other in others]
    return names(o for o, taken in zip(others, options, strict=True) if name in taken)


def refuse_name(kind: Kind, target: str) -> None:
    """Refuse to decode a file into one that is named as another kind's. Raises UnwritableImage."""
    other = named(target)
    suffix = os.path.splitext(target)[1].lower()
    if other is not None and suffix not in (kind.writes or kind.suffixes):
        raise UnwritableImage(f"holds {kind.one}, not {other.one}; name the output {kind.output}")


# ---- for all kinds


def decode(
    data: Any,
    *,
    region: Any = None,
    reduce: int = 1,
    salvage: bool = False,
    progress: Callable[[int, int], None] | None = None,
    precision: str = "float32",
    device: str = "cpu",
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
    calibration: Any = None,
    base: Any = None,
    layers: int | None = None,
) -> Any:
    """Decode a file of any kind.

    Args:
        data: the whole file, as bytes.
        region: of pictures, (x, y, width, height) in pixels: only this part. Its pixels are those
            that all of the picture would have there; of a large picture only the tiles it needs are
            decoded. Of a file with one array, what numpy would be indexed by, such as
            `(slice(100, 200), 3)`: of an array in chunks only those that it lies in are decoded.
        reduce: of pictures, 2, 4, 8 or 16: a preview of ⌈width / reduce⌉ x ⌈height / reduce⌉
            pixels, without the synthesis where the weights allow it. It is near to
            `Image.reduce(reduce)` of the whole, but not the same (docs/pillow.md). Of a region, x
            and y must be multiples of it.
        salvage: paint damaged tiles of a picture over with what is around them, and leave out what
            else is damaged, instead of raising an error. `decode_picture` tells what was lost. Of
            arrays nothing can be salvaged: their error is raised.
        progress: called with the tiles of a picture done and their number, if there are several.
        precision: of a picture's synthesis, "float32", or "bfloat16", which is faster on GPUs and
            some CPUs and rounds a little more. The latents are the same.
        device: where networks run that make pictures, as for `encode`. The latents are the same.
        models: where weights are looked for that are not shipped.
        runtime: what computes networks, "light" or "torch", as for `encode`.
        calibration: of a cache of keys and values, as for `lictor.kv.decode`.
        base: of weights that were encoded with one: the path of that file, or its bytes.
        layers: of weights that were encoded in layers: only so many, from the coarsest on.

    Returns:
        Of a picture, a Pillow image, mode L, LA, RGB or RGBA, or I;16 for gray of 16 bits. Pillow
        has no other 16-bit modes: `decode_picture` gives all bits. Its `info` has icc_profile and
        exif, and what else is said of the colours: gamma, chromaticity and srgb, as Pillow reads
        them from PNG, and cicp, mdcv and clli. Pillow saves none of these, so that icc_profile says
        the same where a profile can (Pillow saves it as PNG, TIFF and AVIF by itself, else if it is
        given). HDR is kept by `lictor.codec.image.pillow.write` of what `decode_picture` gives.

        Of arrays, what `decode_features` gives: an array, or a dict of arrays. So of a cache of
        keys and values (`lictor.kv`), as it was given. Of weights, a dict of arrays: numpy's, but
        PyTorch's of types that numpy has not.

    Raises:
        CodecError: a FileError, InvalidOption for what the kind does not take, InvalidRegion,
            InvalidPrecision, DeviceUnavailable, ModelUnavailable or OutOfMemory. With `salvage`, a
            FileError if nothing of a picture can be had.
    """
    kind = of_file(data)
    options: dict[str, Any] = {"region": region, "salvage": salvage, "progress": progress}
    options |= {"precision": precision, "device": device, "reduce": reduce}
    options |= {"calibration": calibration, "base": base, "layers": layers}
    given = {k: v for k, v in options.items() if v is not None and v != _DEFAULTS.get(k)}
    refuse(kind, given, kind.decode_options, str)
    return kind.decode(data, models=models.on(runtime), **given)


def info(data: Any) -> Info | FeatureInfo | WeightsInfo | KvInfo | EmbeddingInfo:
    """Read what a file of any kind says of itself, and that it is complete; runs no network.

    Args:
        data: the whole file, as bytes.

    Returns:
        `Info` of a picture, `FeatureInfo` of arrays, `WeightsInfo` of weights, `lictor.kv.KvInfo`
        of a cache, `lictor.codec.embeddings.EmbeddingInfo` of embeddings.

    Raises:
        FileError: not a file that this release could decode.
    """
    found: Info | FeatureInfo | WeightsInfo | KvInfo | EmbeddingInfo
    found = of_file(data).info(data)
    return found
