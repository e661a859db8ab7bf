"""What bits are spent for: the weights where none are named, and how they are shared out.

Weights that were trained for eyes share bits out as eyes see by themselves. Of others a map of
quality does so (eyes.py).
"""

from __future__ import annotations

import os
from typing import Any

from lictor.codec.errors import InvalidOption
from lictor.models import zoo

TUNES = tuple(zoo.TUNED)


def check(tune: str | None) -> None:
    """Raises InvalidOption."""
    if tune is not None and tune not in TUNES:
        raise InvalidOption(f"tune is {tune!r}; give one of {', '.join(TUNES)}")


def weights(
    model: str | os.PathLike[str] | None = None,
    tune: str | None = None,
    *,
    roi: Any = None,
    aim: str = "",
) -> str | os.PathLike[str]:
    """The weights to take: those that are named, or those of what bits are spent for.

    Args:
        model: a name or path; None: none is given.
        tune: one of TUNES; None: eyes, but PSNR where that is the target, or where no person looks.
        roi: a region of interest, as `lictor.codec.encode` takes it; text names a task.
        aim: the kind of the target, "" if there is none.
    """
    if model is not None:
        return model
    if tune is None:
        tune = "psnr" if aim == "psnr" or isinstance(roi, str) else TUNES[0]
    return zoo.TUNED[tune]


def by_map(tune: str | None, loss: str) -> bool:
    """Whether a map of quality has to do what was asked for.

    loss: what the weights were trained for.
    """
    return tune == "eyes" and loss != zoo.VISIBLE
