"""Colour signalling between Pillow's images, pictures, and the files that are written of them.

Where a format cannot say it, an ICC profile that means the same goes into the file, or a note says
so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lictor.codec.format.colour import Signalling
from lictor.codec.image import heif, png_chunks
from lictor.codec.image.colour_space import Space, icc_profile, of_signalling

if TYPE_CHECKING:
    from PIL import Image

_HOLD_PROFILES = frozenset(("JPEG", "MPO", "TIFF", "WEBP", "AVIF", "HEIF", "JXL"))
"""Formats into which Pillow or its plugins write ICC profiles, PNG aside."""

_INFO = {"cicp": "cicp", "srgb": "intent", "gamma": "gamma", "chromaticity": "chromaticities"} | {
    "mdcv": "mastering",
    "clli": "light",
}
"""Keys of an image's `info` and parts of a Signalling; the first three but one are Pillow's."""
SAID = frozenset((*_INFO, "icc_profile"))
"""Keys of an image's `info` that tell its colours."""
_FRACTIONS = ("gamma", "chromaticity")
"""What Pillow gives as numbers of about 1, PNG in 1/100000."""


def read(image: Image.Image, notes: list[str]) -> Signalling:
    """What is said of the colours of an image, which all is only known before it is loaded."""
    if image.mode == "CMYK":
        return Signalling()
    parts: dict[str, Any] = {}
    if image.format == "PNG" and image.tile and image.fp:  # type: ignore[attr-defined]
        parts, wrong = png_chunks.read(image.fp)  # type: ignore[attr-defined]
    elif image.format in ("AVIF", "HEIF"):
        parts, wrong = heif.signalling(image), []
    else:
        wrong = []
    for key, part in _INFO.items():
        if key in image.info and part not in parts:
            try:
                value = _of_info(key, image.info[key])
                Signalling(**{part: value})
                parts[part] = value
            except (ValueError, TypeError, OverflowError):
                wrong.append(key)
    notes += [f"its colour signalling {name} is damaged and left out" for name in wrong]
    return _without_overruled(parts, image)


def _of_info(key: str, value: Any) -> Any:
    scale = 100_000 if key in _FRACTIONS else 1
    if isinstance(value, (tuple, list)):
        return tuple(round(v * scale) for v in value)
    return round(value * scale)


def _without_overruled(parts: dict[str, Any], image: Image.Image) -> Signalling:
    """A profile is not beside sRGB in a PNG; in AVIF and HEIF it counts, and nclx is for the coder.

    There nclx is kept where it says HDR, which profiles mostly cannot.
    """
    if image.info.get("icc_profile"):
        parts.pop("intent", None)
        if image.format in ("AVIF", "HEIF") and not Signalling(**parts).is_hdr:
            parts.pop("cicp", None)
    return Signalling(**parts)


def foreign(icc: bytes, signalling: Signalling) -> bytes:
    """A profile, but nothing if it is the one that we make of the signalling."""
    space = of_signalling(signalling) if icc else None
    made = {_profile(space, signalling, gray) for gray in (False, True)} if space else set()
    return b"" if icc in made else icc


def meant(icc: bytes, signalling: Signalling) -> Signalling:
    """What of the signalling counts beside a profile: all, or none."""
    tells = signalling.cicp and signalling.cicp[:2] != (2, 2)  # unspecified
    return signalling if tells or not icc else Signalling()


def info(icc: bytes, signalling: Signalling, gray: bool) -> dict[str, Any]:
    """What to put into a Pillow image's `info`: what Pillow would have read, and cicp, mdcv, clli.

    With a profile of the same meaning where there is one, for that is what Pillow saves.
    """
    said: dict[str, Any] = {}
    for key, part in _INFO.items():
        value = getattr(signalling, part)
        if value is not None and key in _FRACTIONS:
            value = value / 1e5 if isinstance(value, int) else tuple(v / 1e5 for v in value)
        if value is not None:
            said[key] = value
    icc = icc or _profile(of_signalling(signalling), signalling, gray)
    return {**said, "icc_profile": icc} if icc else said


def for_format(
    icc: bytes, signalling: Signalling, format: str, gray: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The profile for a file of a format other than PNG, and what such a file does not tell."""
    notes = []
    counts = meant(icc, signalling)
    space = of_signalling(counts)
    if space:
        # WebP has no gray pictures.
        icc = _profile(space, counts, gray and format != "WEBP")
    elif counts.name:
        what = f"{format} cannot say that its colours are {counts.name}"
        notes.append(f"{what}, so that they look wrong; use .png")
    if icc and format not in _HOLD_PROFILES:
        name = f" ({counts.name})" if counts.name else ""
        notes.append(f"{format} holds no colour profile; its colours{name} may look different")
    if signalling.mastering or signalling.light:
        notes.append(f"{format} does not hold the luminances of HDR (mDCV, cLLI)")
    return icc, tuple(notes)


def _profile(space: Space | None, signalling: Signalling, gray: bool) -> bytes:
    """Nothing for sRGB, which is what is meant by files that say nothing."""
    return b"" if space is None or space.is_srgb else icc_profile(space, signalling.name, gray)
