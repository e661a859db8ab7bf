"""Averaged weights and logs in small pieces, written as a training goes on.

For machines that are there for minutes and send back no large files: what the last minute but one
had is kept whatever happens.

    python train.py recipe.toml data=photos/ parcels=OUT          # there
    python -m lictor.training.parcels OUT NAME.safetensors        # here: joins the pieces
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from lictor.models import checkpoint
from lictor.models.base import Network
from lictor.training.state import State

PIECE = 16 * 2**20
"""Bytes of a piece at most."""
EVERY = 1.0
"""Minutes between two parcels."""
LOGS = ("log.csv", "rd.csv", "settings.toml")


def send(model: Network, name: str, training: dict[str, Any], run: Path, folder: Path) -> None:
    """Write NAME.safetensors.0, .1, … of the weights of a model, and the run's logs, into folder.

    Each file is whole at any time; pieces of two parcels may meet where a machine is lost between
    them, which `join` tells from the length that the first one states.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f".{name}.safetensors"
    checkpoint.save(model, whole, name, training)
    data = whole.read_bytes()
    whole.unlink()
    for number, start in enumerate(range(0, len(data), PIECE)):
        piece = folder / f"{name}.safetensors.{number}"
        temporary = folder / f".{piece.name}"
        temporary.write_bytes(data[start : start + PIECE])
        temporary.replace(piece)
    for log in LOGS:
        if (run / log).exists():
            shutil.copyfile(run / log, folder / log)


def join(folder: Path, target: Path) -> None:
    """Put the pieces of a folder together. Raises FileNotFoundError, BadCheckpoint."""
    pieces = sorted(folder.glob("*.safetensors.[0-9]"))
    if not pieces:
        raise FileNotFoundError(f"{folder}: holds no pieces of weights")
    data = b"".join(piece.read_bytes() for piece in pieces)
    checkpoint.build(target, data)
    target.write_bytes(data)


class Parcels:
    """Sends one each minute of a training, if a folder is given."""

    def __init__(self, folder: str, run: Path, name: str) -> None:
        self.folder, self.run, self.name = folder, run, name
        self.sent = 0.0

    def due(self, state: State) -> bool:
        """Whether a minute has passed."""
        return bool(self.folder) and state.spent - self.sent >= EVERY

    def send(self, state: State) -> None:
        """Weights and logs as they are."""
        if self.folder:
            self.sent = state.spent
            told = {"steps": state.step, "crops": state.position, "minutes": state.spent}
            send(state.average, self.name, told, self.run, Path(self.folder))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    join(Path(sys.argv[1]), Path(sys.argv[2]))
