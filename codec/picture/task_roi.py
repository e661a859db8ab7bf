"""Where a task needs quality: what `--roi-task` finds.

It follows from a few gradients of the network that does the task, and no search is needed:
models/task/sensitivity.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lictor.codec.errors import TaskUnavailable
from lictor.codec.format.picture import BLOCK
from lictor.codec.picture import classifier_view
from lictor.models.quality import PLACE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.codec.image.picture import Picture

TASKS = ("classify",)


def weights(picture: Picture, task: str, drop: float) -> NDArray[np.floating[Any]]:
    """How much each place of a picture is wanted, 0…1, (rows, columns). Raises TaskUnavailable."""
    if task not in TASKS:
        raise TaskUnavailable(f"unknown task {task!r}; give {', '.join(TASKS)}, boxes or a map")
    pixels = classifier_view.rgb(picture.colours)
    height, width = pixels.shape[:2]
    network = classifier_view.network()

    from lictor.models.task import sensitivity

    square = classifier_view.place(width, height)
    rows, columns = (BLOCK // PLACE * -(-n // BLOCK) for n in (height, width))
    view = classifier_view.view(pixels)
    return sensitivity.wanted(network, view, square, (rows, columns), drop)
