"""What a file says of its colours beside an ICC profile: PNG's cICP, sRGB, gAMA, cHRM, mDCV, cLLI.

AVIF and HEIF say the first as `nclx`. All of it is kept as it was said; what it means follows PNG's
precedence: cICP, then an ICC profile, then sRGB, then gAMA and cHRM. The section is in FORMAT.md.
Nothing here needs numpy, for `info` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from lictor.codec.format.elements import Bytes, Reader, Writer

SRGB_GAMMA = 45455
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""How gAMA and cHRM say sRGB, for readers that know no sRGB chunk."""

MAX_INT = 2**31 - 1
"""The largest of PNG's integers of four bytes."""

_PRIMARIES = {1: "BT.709", 4: "BT.470 M", 5: "BT.601 625", 6: "BT.601", 7: "SMPTE 240M"} | {
    8: "film",
    9: "BT.2020",
    10: "XYZ",
    11: "DCI-P3",
    12: "P3 D65",
    22: "EBU 3213",
}
_TRANSFERS = {1: "BT.709", 4: "gamma 2.2", 5: "gamma 2.8", 6: "BT.601", 7: "SMPTE 240M"} | {
    8: "linear",
    9: "log 100",
    10: "log 316",
    11: "xvYCC",
    12: "BT.1361",
    13: "sRGB",
    14: "BT.2020 10 bits",
    15: "BT.2020 12 bits",
    16: "PQ",
    17: "SMPTE 428",
    18: "HLG",
}
_OWN_NAMES = {(1, 13): "sRGB", (12, 13): "Display P3"}
_HDR = (16, 18)
"""Transfer functions whose white is not the brightest that there is."""

_FORMS = {
    "cicp": (4, 255),
    "intent": (1, 3),
    "gamma": (1, MAX_INT),
    "chromaticities": (8, MAX_INT),
    "mastering": (10, 2**32 - 1),
    "light": (2, 2**32 - 1),
}
"""How many numbers each has, and the largest there can be."""


@dataclass(frozen=True)
class Signalling:
    """Colour signalling; None is what is not said. Raises ValueError where a value cannot be.

    cicp: ITU-T H.273's numbers of primaries, transfer function and matrix, and whether the range
        is full. The matrix is 0, RGB.
    intent: rendering intent 0…3 of a picture in sRGB.
    gamma: of the encoding, in 1/100000: 45455 is 1/2.2.
    chromaticities: x and y of white, red, green and blue, in 1/100000.
    mastering: of the screen it was made on, as in PNG's mDCV: x and y of red, green, blue and white
        in 0.00002, the highest and the lowest luminance in 0.0001 cd/m².
    light: highest and mean luminance of the picture in 0.0001 cd/m², as in PNG's cLLI.
    """

    cicp: tuple[int, int, int, int] | None = None
    intent: int | None = None
    gamma: int | None = None
    chromaticities: tuple[int, ...] | None = None
    mastering: tuple[int, ...] | None = None
    light: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, (count, most) in _FORMS.items():
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            right = len(values) == count and all(type(v) is int and 0 <= v <= most for v in values)
            if value is not None and not right:
                raise ValueError(f"{name} is {value}, not {count} whole numbers of 0…{most}")
        if self.cicp and (self.cicp[2] != 0 or self.cicp[3] > 1):
            raise ValueError("cicp is not of RGB samples")
        if self.gamma == 0 or (self.chromaticities and 0 in self.chromaticities[:2]):
            raise ValueError("a gamma or a white of 0 says nothing")
        if self.mastering and max(self.mastering[:8]) > 65535:
            raise ValueError("mastering has coordinates above 65535")

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    @property
    def is_hdr(self) -> bool:
        """Whether it says PQ or HLG."""
        return self.cicp is not None and self.cicp[1] in _HDR

    @property
    def name(self) -> str:
        """What counts of it, for people; "" if nothing tells the colours."""
        if self.cicp:
            primaries, transfer = self.cicp[:2]
            own = f"{_called(_PRIMARIES, primaries)}, {_called(_TRANSFERS, transfer)}"
            narrow = "" if self.cicp[3] else ", narrow range"
            return _OWN_NAMES.get((primaries, transfer), own) + narrow
        if self.intent is not None:
            return "sRGB"
        gamma = [] if self.gamma is None else [f"gamma {self.gamma / 100000:g}"]
        own_primaries = self.chromaticities not in (None, SRGB_CHROMATICITIES)
        return ", ".join([*gamma, *["primaries of its own"] * own_primaries])

    def as_dict(self) -> dict[str, Any]:
        """What is said, by name, and a `name` for all of it; empty if nothing is."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        said = {name: value for name, value in parts.items() if value is not None}
        return {"name": self.name, **said} if said else {}


NONE = Signalling()


def _called(names: dict[int, str], number: int) -> str:
    return names.get(number, "unspecified" if number == 2 else f"no. {number}")


def pack(signalling: Signalling) -> bytes:
    """The payload of a section."""
    io = Writer()
    _syntax(io, signalling)
    return bytes(io.data)


def unpack(payload: Bytes) -> Signalling:
    """What `pack` got. Raises CorruptFile."""
    io = Reader(payload)
    try:
        signalling = _syntax(io, Signalling(intent=0))  # replaced by what is read
    except ValueError as e:
        raise io.complaint(f"the colour signalling is wrong ({e})") from e
    if io.position != len(payload):
        raise io.complaint("bytes follow the colour signalling")
    return signalling


def _syntax(io: Reader | Writer, s: Signalling) -> Signalling:
    """A byte that says which there are, and these in order."""
    parts = [getattr(s, name) for name in _FORMS]
    present = sum(1 << bit for bit, part in enumerate(parts) if part is not None)
    present = io.uint("kinds of colour signalling", present, 1, 2 ** len(parts) - 1)
    elements = (_cicp, _intent, _gamma, _chromaticities, _mastering, _light)
    return Signalling(
        *(
            element(io, part) if present >> bit & 1 else None
            for bit, (element, part) in enumerate(zip(elements, parts, strict=True))
        )
    )


def _cicp(io: Reader | Writer, value: Any) -> Any:
    primaries, transfer, _, full = value or (0, 0, 0, 0)
    primaries = io.uint("colour primaries", primaries)
    transfer = io.uint("transfer function", transfer)
    return primaries, transfer, 0, io.uint("full range", full, 0, 1)


def _intent(io: Reader | Writer, value: Any) -> Any:
    return io.uint("rendering intent", value or 0, 0, 3)


def _gamma(io: Reader | Writer, value: Any) -> Any:
    short = 0 if value == SRGB_GAMMA else value or 0
    return io.varint("gamma", short, 0, MAX_INT) or SRGB_GAMMA


def _chromaticities(io: Reader | Writer, value: Any) -> Any:
    values = (0,) if value == SRGB_CHROMATICITIES else value or (0,) * 8
    first = io.varint("chromaticity", values[0], 0, MAX_INT)
    if first == 0:
        return SRGB_CHROMATICITIES
    return (first, *(io.varint("chromaticity", v, 0, MAX_INT) for v in (*values[1:], *[0] * 7)[:7]))


def _mastering(io: Reader | Writer, value: Any) -> Any:
    sizes = (2,) * 8 + (4,) * 2
    values = zip(value or (0,) * 10, sizes, strict=True)
    return tuple(io.uint("mastering display", v, size=size) for v, size in values)


def _light(io: Reader | Writer, value: Any) -> Any:
    return tuple(io.uint("content light level", v, size=4) for v in value or (0, 0))
