"""Colour spaces with primaries and one curve: what signalling means, an ICC profile of it, to sRGB.

Pillow's ImageCms makes no such profiles. PQ and HLG are not among them: no matrix and curve say
what a screen should do with those.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.format.colour import SRGB_CHROMATICITIES, SRGB_GAMMA, Signalling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

_ALPHA, _BETA = 1.09929682680944, 0.018053968510807
_BT709 = (1 / 0.45, 1 / _ALPHA, 1 - 1 / _ALPHA, 1 / 4.5, 4.5 * _BETA)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_SMPTE240 = (1 / 0.45, 1 / 1.1115721959, 1 - 1 / 1.1115721959, 0.25, 4 * 0.0228215855)
_CURVES = {code: _BT709 for code in (1, 6, 11, 12, 14, 15)} | {
    4: (2.2, 1.0, 0.0, 0.0, 0.0),
    5: (2.8, 1.0, 0.0, 0.0, 0.0),
    7: _SMPTE240,
    8: (1.0, 1.0, 0.0, 0.0, 0.0),
    13: _SRGB_CURVE,
}
"""Curves of H.273's numbers, as Space has them: the inverse of what a camera does, as in H.273, not
what a television makes of it (BT.1886)."""

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_PRIMARIES = {
    1: (_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    4: (_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: (_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
"""White, red, green and blue of H.273's numbers, in CIE x and y."""
_UNSPECIFIED = 2
_CURVES[_UNSPECIFIED], _PRIMARIES[_UNSPECIFIED] = _CURVES[13], _PRIMARIES[1]
"""As in files that say nothing: sRGB."""

_D50 = np.array([0x0000F6D6, 0x00010000, 0x0000D32D]) / 65536
"""The white of ICC profiles, X, Y and Z."""
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_CLOSE = 0.001
"""Chromaticities that are one within the precision of files."""
_ROWS = 2**20
"""Samples that are converted at a time."""


@dataclass(frozen=True)
class Space:
    """A colour space of three primaries and one curve.

    chromaticities: CIE x and y of white, red, green and blue.
    curve: g, a, b, c, d, of which light = (a x + b)^g where x ≥ d, c x below; white is 1.
    """

    chromaticities: tuple[tuple[float, float], ...]
    curve: tuple[float, float, float, float, float]

    @property
    def is_srgb(self) -> bool:
        """Whether it is sRGB, as near as files say it."""
        off = np.subtract(self.chromaticities, SRGB.chromaticities)
        return self.curve == SRGB.curve and bool(np.abs(off).max() <= _CLOSE)

    def to_xyz(self) -> Matrix:
        """The matrix from linear samples to X, Y and Z, of which white's Y is 1; (3, 3).

        Raises LinAlgError if the primaries lie on a line.
        """
        columns: Matrix = np.array([(x, y, 1 - x - y) for x, y in self.chromaticities]).T
        white, primaries = columns[:, 0] / columns[1, 0], columns[:, 1:]
        if abs(np.linalg.det(primaries)) < 1e-6:
            raise np.linalg.LinAlgError("primaries on a line")
        return primaries * np.linalg.solve(primaries, white)

    def linear(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Light of samples in 0…1."""
        g, a, b, c, d = self.curve
        return np.where(samples >= d, np.maximum(a * samples + b, 0) ** g, c * samples)


SRGB = Space(_PRIMARIES[1], _SRGB_CURVE)


def of_signalling(signalling: Signalling) -> Space | None:
    """The space that signalling means; None if it says none, or one that is not of this kind."""
    if signalling.cicp:
        primaries, transfer, _, full = signalling.cicp
        if not full or primaries not in _PRIMARIES or transfer not in _CURVES:
            return None
        return Space(_PRIMARIES[primaries], _CURVES[transfer])
    if signalling.intent is not None:
        return SRGB
    if signalling.gamma is None and signalling.chromaticities is None:
        return None
    return _by_gamma(signalling)


def _by_gamma(signalling: Signalling) -> Space | None:
    gamma, values = signalling.gamma, signalling.chromaticities or SRGB_CHROMATICITIES
    points = tuple((x / 100000, y / 100000) for x, y in zip(values[::2], values[1::2], strict=True))
    curve = _SRGB_CURVE
    if gamma not in (None, SRGB_GAMMA) or not Space(points, curve).is_srgb:
        curve = (100000 / (gamma or SRGB_GAMMA), 1.0, 0.0, 0.0, 0.0)
    space = Space(points, curve)
    return space if _is_sound(space) else None


def _is_sound(space: Space) -> bool:
    """Whether a profile can say it: hostile numbers can be anything."""
    if not 0.1 <= space.curve[0] <= 10:
        return False
    if space.chromaticities[0][1] < 0.01:
        return False
    try:
        matrix = space.to_xyz()
    except np.linalg.LinAlgError:
        return False
    adaptation = _adaptation(matrix.sum(axis=1), _D50)
    largest = np.abs([adaptation, adaptation @ matrix]).max()
    return bool(largest < 10)  # and not NaN


def _adaptation(white: Matrix, other: Matrix) -> Matrix:
    """What makes one white the other, after Bradford."""
    scale = (_BRADFORD @ other) / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ (scale[:, None] * _BRADFORD)


def _adapted(space: Space, white: Matrix) -> Matrix:
    matrix = space.to_xyz()
    return _adaptation(matrix.sum(axis=1), white) @ matrix


# ---- to sRGB


def to_srgb(pixels: NDArray[Any], space: Space) -> NDArray[Any]:
    """Samples of a space as sRGB, of the same type; what sRGB does not hold becomes its nearest.

    pixels: uint8 or uint16 (H, W, 1 or 3); gray ones keep their place between black and white.
    """
    most = np.iinfo(pixels.dtype).max
    light = space.linear(np.arange(most + 1) / most).astype(np.float32)
    if pixels.shape[2] == 1:
        return _encoded(light, pixels.dtype)[pixels]
    white = SRGB.to_xyz().sum(axis=1)
    matrix = (np.linalg.inv(SRGB.to_xyz()) @ _adapted(space, white)).astype(np.float32)
    result = np.empty_like(pixels)
    rows = max(1, _ROWS // pixels[0].size)
    for top in range(0, len(pixels), rows):
        part = slice(top, top + rows)
        result[part] = _encoded(light[pixels[part]] @ matrix.T, pixels.dtype)
    return result


def _encoded(light: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    light = light.clip(0, 1)
    samples = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return np.rint(samples * np.iinfo(dtype).max).astype(dtype)


# ---- as an ICC profile


def icc_profile(space: Space, name: str, gray: bool = False) -> bytes:
    """An ICC profile of version 4 that says the same, of some 450 bytes.

    gray: for pictures of one channel.
    """
    matrix = _adapted(space, _D50)
    white = space.to_xyz().sum(axis=1)
    curve = b"para" + struct.pack(">4xHxx", 3) + _fixed(space.curve)
    tags = {
        b"desc": _text(name),
        b"cprt": _text("CC0"),
        b"wtpt": _xyz(_D50),
        b"chad": b"sf32" + bytes(4) + _fixed(_adaptation(white, _D50).ravel()),
    }
    if gray:
        tags[b"kTRC"] = curve
    else:
        for column, colour in enumerate((b"r", b"g", b"b")):
            tags[colour + b"XYZ"] = _xyz(matrix[:, column])
            tags[colour + b"TRC"] = curve
    return _profile(tags, b"GRAY" if gray else b"RGB ")


def _profile(tags: dict[bytes, bytes], kind: bytes) -> bytes:
    table, data = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        if content not in places:
            places[content] = start + len(data)
            data += content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", places[content], len(content))
    head = struct.pack(">I4xI4s4s4s", start + len(data), 0x04300000, b"mntr", kind, b"XYZ ")
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head += date + b"acsp" + bytes(28) + _fixed(_D50)
    return head.ljust(128, b"\0") + table + data


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII4sII", 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(values: Matrix) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: Any) -> bytes:
    """Numbers of 16 bits before and 16 after the point."""
    return struct.pack(f">{len(values)}i", *(round(float(v) * 65536) for v in values))
