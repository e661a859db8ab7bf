"""train.py with a model small enough for tests, `lictor-tiny`; also a script for torchrun."""

import runpy
import sys
from pathlib import Path

from lictor.models import registry
from lictor.models.picture.lictor import Lictor

SCRIPT = Path(__file__).parents[2] / "train.py"
NAME = "lictor-tiny"

if NAME not in registry.architectures():
    registry.register(NAME, channels=16, latent=32, side=16, prior=32, depth=1)(Lictor)

if __name__ == "__main__":
    sys.argv[0] = str(SCRIPT)
    runpy.run_path(str(SCRIPT), run_name="__main__")
