"""Whole collections of pictures through the codec: `python tests/codec/collection.py FOLDER…`.

Each file is read, encoded and decoded; what of it should have come through is found out without
our code, by Pillow and from the bytes. A file may be refused by a CodecError of one line, and what
is lost must be said in a note. How well a picture looks is not judged here.

Test collections are in packages' sources: `pip download --no-deps --no-binary pillow pillow` has
some 1200 files.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from lictor.codec import api
from lictor.codec.errors import CodecError, DamagedImage
from lictor.codec.image import pillow as image
from lictor.codec.image.pillow import Picture
from lictor.codec.inputs import PICTURES

CONVERTED = {"CMYK": "CMYK", "YCbCr": "YCbCr", "HSV": "HSV", "LAB": "CIELAB"}
UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""What Image.transpose does to a picture, by its EXIF orientation."""
ALSO = frozenset((".eps", ".ps", ".wmf", ".emf", ".fits", ".ftu", ".blp", ".im", ".rgb", ".heic"))


@dataclass
class Result:
    """What became of a file: a word for the table, and what is wrong with that."""

    outcome: str
    wrong: list[str] = field(default_factory=list)


def attempt(path: str, model: str, most_pixels: int) -> Result:
    """One file through everything."""
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            result = _attempt(path, model, most_pixels)
        result.wrong += [f"warning: {w.message}" for w in told]
    except CodecError as e:
        lines = str(e).splitlines()
        result = Result(type(e).__name__, [] if len(lines) == 1 else [f"{len(lines)} lines"])
        return _salvage(path, result) if isinstance(e, DamagedImage) else result
    except Exception as e:
        return Result("untyped", [_place(e)])
    return result


def _salvage(path: str, refused: Result) -> Result:
    """What there is of a damaged file, which must say what is missing."""
    try:
        picture = image.read(path, salvage=True)
    except CodecError:
        return refused
    except Exception as e:
        return Result("untyped", [_place(e)])
    wrong = [] if picture.lost else ["salvaged, but not said"]
    return Result(f"{refused.outcome}, salvaged", refused.wrong + wrong)


def _place(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"


def _attempt(path: str, model: str, most_pixels: int) -> Result:
    picture = image.read(path)
    outcome = "with a note" if picture.notes else "whole"
    wrong = silent(path, picture)
    height, width, _ = picture.pixels.shape
    if height * width > most_pixels:
        return Result(f"{outcome}, not encoded", wrong)
    again = api.decode_picture(api.encode(picture, quality=5, model=model))
    if again.pixels.shape != picture.pixels.shape or again.depth != picture.depth:
        wrong.append(f"decoded to {again.pixels.shape} {again.pixels.dtype}")
    elif picture.alpha is not None and not np.array_equal(picture.alpha, again.alpha):
        wrong.append("decoded to another alpha")
    if (again.icc, again.exif) != (picture.icc, picture.exif):
        wrong.append("decoded to other metadata")
    file = io.BytesIO()
    notes = image.write(again, file, "PNG")
    if not notes and not np.array_equal(image.read(file.getvalue()).pixels, again.pixels):
        wrong.append("written to another PNG")
    return Result(outcome, wrong)


# ---- what should have come through


def silent(path: str, picture: Picture) -> list[str]:
    """What a picture lacks of its file and no note says."""
    notes = " ".join(picture.notes)
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(path)
        except Exception:  # tifffile read it
            return []
        with opened:
            wrong += _frames(opened, notes)
            wrong += _metadata(opened, picture, notes)
            wrong += _depth(path, opened, picture, notes)
            colour = CONVERTED.get(opened.mode)
            if colour and colour not in notes:
                wrong.append(f"{colour} was converted")
            # A JPEG without its end is loaded by us, not by Pillow.
            if opened.mode not in ("I", "F") and not colour and "end mark" not in notes:
                wrong += _pixels(path, opened, picture)
    return wrong


def _frames(opened: Image.Image, notes: str) -> Iterator[str]:
    if opened.format == "MPO":
        return
    if opened.format == "PSD":
        count = 1
        with suppress(Exception):  # damaged
            count += len(opened.layers)
    else:
        count = max(getattr(opened, "n_frames", 1), len(opened.info.get("sizes", ())))
    if count > 1 and "kept" not in notes:
        yield f"{count} frames, layers or sizes"


def _metadata(opened: Image.Image, picture: Picture, notes: str) -> Iterator[str]:
    inks = opened.mode in ("CMYK", "LAB")
    if opened.info.get("icc_profile") and not picture.icc and not inks and "profile" not in notes:
        yield "ICC profile"
    if opened.format == "TIFF":  # its tags are no EXIF unless they describe a photo
        return
    try:
        exif = {tag for tag in opened.getexif() if tag != 0x0112}
    except Exception:  # damaged
        return
    if exif and not picture.exif and "metadata" not in notes:
        yield "EXIF"


def _depth(path: str, opened: Image.Image, picture: Picture, notes: str) -> Iterator[str]:
    with open(path, "rb") as file:
        head = file.read(64)
    depth = 8
    if opened.format == "PNG":
        depth = head[24]
    elif opened.format == "TIFF":
        depth = max(np.ravel(opened.tag_v2.get(258, 1)))
    elif head[:2] in (b"P2", b"P3", b"P5", b"P6"):
        tile = opened.tile[0][3]
        depth = (
            16 if isinstance(tile, tuple) and isinstance(tile[-1], int) and tile[-1] > 255 else 8
        )
    elif opened.format == "JPEG2000":
        with open(path, "rb") as file:
            data = file.read()
        depth = (data[data.index(b"\xff\x4f\xff\x51") + 42] & 127) + 1
    if depth > 8 and picture.depth == 8 and not any(w in notes for w in ("bits", "numbers")):
        yield f"{depth} bits"


def _pixels(path: str, opened: Image.Image, picture: Picture) -> Iterator[str]:
    """Size, alpha and colours, where Pillow has all of them: 8 bits."""
    key = _transparent_gray(path, opened)
    try:
        opened.load()  # turns a TIFF upright
    except OSError:  # tifffile read it
        return
    orientation = 1
    with suppress(Exception):  # damaged
        orientation = opened.getexif().get(0x0112, 1)
    rgba = opened.convert("LA").convert("RGBA") if opened.mode == "La" else opened.convert("RGBA")
    if orientation in UPRIGHT:
        rgba = rgba.transpose(Image.Transpose(UPRIGHT[orientation]))
    expected = np.asarray(rgba).copy()
    if key is not None:
        expected[:, :, 3] = 255 * (expected[:, :, 0] != key)
    if expected.shape[:2] != picture.pixels.shape[:2]:
        yield f"size {expected.shape[1::-1]}"
        return
    alpha = expected[:, :, 3]
    if picture.depth == 16:  # of Pillow's, only the high byte is to be trusted
        if picture.alpha is None and alpha.min() < 255 and opened.mode != "I;16":
            yield "alpha"
        return
    own = np.full_like(alpha, 255) if picture.alpha is None else picture.alpha
    if not np.array_equal(own, alpha):
        yield "alpha"
    if not (picture.colours == expected[:, :, :3])[alpha > 0].all():
        yield "colours"


def _transparent_gray(path: str, opened: Image.Image) -> int | None:
    """tRNS of a gray PNG, as a level of 255; Pillow does not scale it."""
    if opened.format != "PNG" or opened.mode not in ("1", "L"):
        return None
    with open(path, "rb") as file:
        data = file.read()
    at = data[: data.index(b"IDAT")].find(b"\0\0\0\2tRNS")
    depth = data[24]
    most = 2**depth - 1
    key = int.from_bytes(data[at + 8 : at + 10], "big") & most
    return None if at < 0 else key * 255 // most


# ---- collections


def pictures(folder: str) -> list[str]:
    """All files that are pictures by their names."""
    found = []
    for root, _, names in os.walk(folder):
        found += [os.path.join(root, name) for name in names if _is_picture(name)]
    return sorted(found)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURES | ALSO


def run(paths: list[str], model: str, most_pixels: int, most_bytes: int) -> tuple[Counter, list]:
    """Outcomes and their numbers, and a line on all that is wrong."""
    outcomes: Counter = Counter()
    wrong = []
    for path in paths:
        if os.path.getsize(path) > most_bytes:
            outcomes["skipped: too large"] += 1
            continue
        start = time.perf_counter()
        result = attempt(path, model, most_pixels)
        outcomes[result.outcome] += 1
        wrong += [f"{path}: {line}" for line in result.wrong]
        if os.environ.get("VERBOSE"):
            print(f"{time.perf_counter() - start:.1f} s {result.outcome} {path}", flush=True)
    return outcomes, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--model", default="lictor-s.mse")
    parser.add_argument("--most-pixels", type=int, default=300_000, help="of what is encoded")
    parser.add_argument("--most-bytes", type=int, default=20_000_000, help="of what is read")
    options = parser.parse_args()
    failed = 0
    for folder in options.folders:
        paths = pictures(folder)
        outcomes, wrong = run(paths, options.model, options.most_pixels, options.most_bytes)
        counts = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
        print(f"{folder}: {len(paths)} files: {counts}; {len(wrong)} wrong", flush=True)
        print("\n".join(f"  {line}" for line in wrong))
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
