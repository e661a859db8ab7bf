"""What a format did not keep of the picture that was written in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lictor.codec.image.picture import Picture

_LOSSY = frozenset(("AVIF", "JPEG2000"))
"""Formats that nobody expects to keep the colours exactly."""


def not_kept(picture: Picture, again: Picture, format: str) -> list[str]:
    """One line for each loss, but for a profile's, which colour.py tells.

    Both have 8 bits, and no alpha that is opaque everywhere.
    picture: what was written. again: what was read from the file.
    """
    size, left = (p.pixels.shape[1::-1] for p in (picture, again))
    if size != left:
        return [f"its size is not kept: {format} has {left[0]}x{left[1]} of its pixels"]
    notes = []
    alpha = picture.alpha
    if alpha is not None and again.alpha is None:
        notes.append(f"its alpha is not kept in {format}")
    elif alpha is not None and not np.array_equal(alpha, np.asarray(again.alpha)):
        notes.append(f"its alpha is kept only in part in {format}")
    if format not in _LOSSY and not _same_colours(picture, again):
        notes.append(f"its colours are not all kept in {format}")
    if picture.exif and not again.exif:
        notes.append(f"its EXIF is not kept in {format}")
    return notes


def _same_colours(picture: Picture, again: Picture) -> bool:
    """Where the picture can be seen; gray is compared with each of three channels."""
    seen = ... if picture.alpha is None else picture.alpha > 0
    return bool((picture.colours[seen] == again.colours[seen]).all())
