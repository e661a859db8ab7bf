"""What `lictor encode --network --data` does to a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from lictor.codec.errors import InvalidOption
from lictor.codec.weights.source import Source
from lictor.models.progress import Progress
from lictor.training import networks
from lictor.training.calibrated import answers, examples, promises
from lictor.training.calibrated.answers import Distance
from lictor.training.calibrated.examples import Examples, Shown
from lictor.training.calibrated.promises import Reached, Task

DIVERGENCE, OTHERS, MISTAKES = "KL", "other first answers", "loss of accuracy"


@dataclass(frozen=True)
class Calibrated:
    """Codes a file's tensors by what data say of their network.

    network: MODULE:NAME of what makes it. data: pictures, or MODULE:NAME of what gives batches.
    shown: how pictures are shown. kl, max_drop: what answers may lose; None for a quality, or bits.
    """

    network: str
    data: str
    shown: str = "224"
    kl: float | None = None
    max_drop: float | None = None

    def __call__(
        self, source: Source, options: Mapping[str, Any], progress: Progress | None
    ) -> tuple[bytes, dict[str, Any], str]:
        """The weight file; what its row says more; and a line of what was measured.

        options: quality, bits, threads. Raises CodecError, OSError.
        """
        from safetensors.torch import load

        data = bytes(source.data)
        network = networks.made(self.network)
        networks.load(network, load(data), "the file")
        shown = self._shown()
        task = Task(data, network, shown, threads=options.get("threads", 1))
        task.measures |= _measures(shown, task.wanted)
        found = self._found(task, options, progress)
        return found.data, _row(found), _line(found)

    def _shown(self) -> Examples:
        try:
            return examples.of(self.data, Shown.of(self.shown))
        except ValueError as error:
            raise InvalidOption(str(error)) from error

    def _found(self, task: Task, options: Mapping[str, Any], progress: Progress | None) -> Reached:
        if self.kl is not None:
            return promises.promised(task, DIVERGENCE, self.kl, progress)
        if self.max_drop is not None:
            measure = MISTAKES if MISTAKES in task.measures else OTHERS
            return promises.promised(task, measure, self.max_drop, progress)
        if options.get("bits") is not None:
            return promises.within(task, options["bits"], progress)
        return task.at(options["quality"])


def _measures(shown: Examples, wanted: Tensor) -> dict[str, Distance]:
    """Accuracy, too, where there are as many subfolders as classes."""
    found: dict[str, Distance] = {DIVERGENCE: answers.divergence, OTHERS: answers.disagreement}
    if wanted.ndim == 2 and shown.classes == wanted.shape[-1]:
        found[MISTAKES] = answers.mistakes(shown.labels)
    return found


def _row(found: Reached) -> dict[str, Any]:
    return {"quality": found.quality, "lost": {k: asdict(v) for k, v in found.lost.items()}}


def _line(found: Reached) -> str:
    told = ", ".join(f"{name} {figure}" for name, figure in found.lost.items())
    count = max(figure.examples for figure in found.lost.values())
    return f"measured on {count} examples that did not calibrate: {told}; quality {found.quality:g}"
