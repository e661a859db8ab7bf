"""The chunks of PNG that tell colours and that Pillow does not give, or does not write."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import IO, Any

from PIL import Image, PngImagePlugin

from lictor.codec.format.colour import Signalling

_LAYOUTS = {
    b"cICP": ("cicp", ">4B"),
    b"sRGB": ("intent", ">B"),
    b"gAMA": ("gamma", ">I"),
    b"cHRM": ("chromaticities", ">8I"),
    b"mDCV": ("mastering", ">8H2I"),
    b"cLLI": ("light", ">2I"),
}
"""Name and numbers of a Signalling's parts."""

_UNTOLD = (b"cICP", b"mDCV", b"cLLI")
_LONGEST = 24
"""Bytes of these; one more tells that there are too many."""

HEAD = 33
"""Bytes of the signature and IHDR, behind which these chunks may stand."""


def read(file: IO[bytes]) -> tuple[dict[str, Any], list[str]]:
    """Parts of a Signalling that Pillow does not tell, and the names of chunks that are wrong.

    Of a kind that is there twice the first counts. The file stands where it stood, after.
    """
    before = file.tell()
    parts: dict[str, Any] = {}
    wrong = []
    for kind, data in _chunks(file).items():
        part, layout = _LAYOUTS[kind]
        try:
            value: Any = struct.unpack(layout, data)
            Signalling(**{part: value})
            parts[part] = value
        except (struct.error, ValueError):
            wrong.append(kind.decode())
    file.seek(before)
    return parts, wrong


def _chunks(file: IO[bytes]) -> Mapping[bytes, bytes]:
    """Those before the pixels. Pillow has compared their checksums."""
    found: dict[bytes, bytes] = {}
    file.seek(HEAD)
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind in (b"IDAT", b"IEND"):
            break
        start = file.tell()
        if kind in _UNTOLD and kind not in found:
            found[kind] = file.read(min(length, _LONGEST + 1))
        file.seek(start + length + 4)
    return found


def write(file: IO[bytes], signalling: Signalling, with_profile: bool) -> None:
    """Writes the chunks; not sRGB beside an ICC profile, as PNG has it."""
    for kind, (part, layout) in _LAYOUTS.items():
        value = getattr(signalling, part)
        if value is not None and not (part == "intent" and with_profile):
            values = value if isinstance(value, tuple) else (value,)
            PngImagePlugin.putchunk(file, kind, struct.pack(layout, *values))


def save(image: Image.Image, file: IO[bytes], signalling: Signalling, **options: Any) -> None:
    """An image as Pillow saves it, with the chunks."""
    if not signalling:
        image.save(file, "PNG", **options)
        return
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    whole = buffer.getbuffer()
    file.write(whole[:HEAD])
    write(file, signalling, bool(options.get("icc_profile")))
    file.write(whole[HEAD:])
