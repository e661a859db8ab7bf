"""The smallest file of a network that keeps a promise about its answers: `reach`.

What is measured is what a decoder will give, on examples that calibrated nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from lictor.codec import decode_weights
from lictor.codec.errors import InvalidOption, InvalidTarget
from lictor.codec.weights import source as sources
from lictor.codec.weights.curvature import Calibration
from lictor.models.progress import Progress, Telling
from lictor.training.calibrated import answers
from lictor.training.calibrated.answers import Distance, Figure
from lictor.training.calibrated.compress import compress
from lictor.training.calibrated.examples import Examples, split
from lictor.training.calibrated.moments import Forward, calibrate
from lictor.training.calibrated.search import LOSS_SLOPE, TRIES, Search
from lictor.training.calibrated.steps import measured_steps, squares

START = 40.0
_NOTHING = 1e-12
_NEAR_BITS, _NEAR_LOSS = 0.02, 0.1
"""Bits, and octaves of what is lost, that a search stays below a promise at most."""


@dataclass(frozen=True)
class Reached:
    """A file, and what it was measured to lose.

    bits: a value of the file, all bytes counted. lost: by the promise's measure, what of answers.
    """

    data: bytes
    quality: float
    bits: float
    lost: dict[str, Figure]


@dataclass
class Task:
    """A network, its file, and what it is shown.

    source: the .safetensors file, as bytes. network: has its weights, in eval mode.
    measures: of answers, by their names. classes: whether answers are logits.
    """

    source: Any
    network: nn.Module
    examples: Examples
    measures: dict[str, Distance] = field(default_factory=dict)
    forward: Forward | None = None
    classes: bool = True
    name: Callable[[str], str] = str
    threads: int = 1

    def __post_init__(self) -> None:
        tensors = sources.opened(self.source).header.tensors
        self._values = sum(t.values for t in tensors)
        self.wanted = _answers(self.network, self.examples.measuring, self.forward)
        self._judge = deepcopy(self.network)
        found = calibrate(
            self.network, self.examples.calibrating, forward=self.forward, classes=self.classes
        )
        known = {t.name: found.layers.get(self.name(t.name)) for t in tensors}
        self._calibration = Calibration({k: layer for k, layer in known.items() if layer})
        self._steps = measured_steps(
            self.source,
            self.network,
            self.examples.calibrating,
            calibration=self._calibration,
            distance=answers.divergence if self.classes else squares,
            forward=self.forward,
            name=self.name,
        )

    def at(self, quality: float) -> Reached:
        """The file of a quality, and what its answers are found to be."""
        from safetensors.torch import load

        data = compress(
            self.source,
            self.network,
            self.examples.calibrating,
            quality=quality,
            calibration=self._calibration,
            steps=self._steps,
            tune=answers.divergence if self.classes else squares,
            forward=self.forward,
            name=self.name,
            threads=self.threads,
        )
        state = {self.name(key): value for key, value in load(decode_weights(data)).items()}
        self._judge.load_state_dict(self._judge.state_dict() | state)
        found = answers.of(self._judge, self.examples.measuring, self.forward)
        lost = {
            name: answers.figure(measure(found, self.wanted))
            for name, measure in self.measures.items()
        }
        return Reached(data, quality, 8 * len(data) / max(self._values, 1), lost)


def _answers(network: nn.Module, batches: Sequence[Any], forward: Forward | None) -> Tensor:
    """Raises InvalidOption where a network cannot be shown what is there."""
    try:
        found = answers.of(network, batches, forward)
    except (RuntimeError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise InvalidOption(f"the network cannot be shown the examples: {text}") from error
    if found.ndim < 2:
        raise InvalidOption("the network gives no answers of several numbers for each example")
    return found


def reach(
    source: Any,
    network: nn.Module,
    examples: Iterable[Any] | Examples,
    *,
    most: float,
    distance: Distance = answers.divergence,
    forward: Forward | None = None,
    classes: bool = True,
    name: Callable[[str], str] = str,
    progress: Progress | None = None,
) -> Reached:
    """Encode a network's file, as coarsely as its answers may change.

    Args:
        source: the bytes of the .safetensors file.
        network: with these weights, in eval mode.
        examples: batches as `forward` takes them, best of one example each. Half calibrate,
            the others measure; or `Examples`, which are split already.
        most: how far answers may be from their own, on the mean of what measures.
        distance: of answers found from those wanted, (examples, ...), to (examples,).
        forward: what makes answers of a batch; None for network(batch).
        classes: whether answers are logits of classes, for the calibration.
        name: from names in the file to names in the network.
        progress: called with tries done and how many there are at most.

    Returns:
        The file, and under "distance" what it was measured to lose.

    Raises:
        InvalidTarget: the finest grid loses more than that.
        InvalidOption: there are too few examples.
    """
    shown = examples if isinstance(examples, Examples) else split(examples)
    measures = {"distance": distance}
    task = Task(source, network, shown, measures, forward, classes, name)
    return promised(task, "distance", most, progress)


def promised(task: Task, measure: str, most: float, progress: Progress | None = None) -> Reached:
    """The smallest file found of which a measure is at most so much. Raises as `reach`."""
    if not most >= 0:
        raise InvalidOption(f"{most:g} is nothing to lose at most; give a number from 0 on")

    def attempt(quality: float) -> tuple[Reached, float]:
        found = task.at(quality)
        mean = found.lost[measure].mean
        _tell(progress, found, f"{measure} {mean:.4g}")
        octaves = math.log2(max(mean, most / 16, _NOTHING) / max(most, _NOTHING))
        return found, max(octaves, _NOTHING) if mean > most else octaves

    search = Search(attempt, _NEAR_LOSS)
    best = search.run(START, LOSS_SLOPE, _counted(progress))
    if best is None:
        assert search.nearest is not None
        raise InvalidTarget(
            f"{measure} is {search.nearest.lost[measure]} at quality {search.nearest.quality:g}, "
            f"and {most:g} was asked for; ask for more, or leave the target out: exact"
        )
    return best


def within(task: Task, bits: float, progress: Progress | None = None) -> Reached:
    """The best file found of at most so many bits a value. Raises InvalidTarget, InvalidOption."""
    if not bits > 0:
        raise InvalidOption(f"bits is {bits:g}; give a number above 0")

    def attempt(coarseness: float) -> tuple[Reached, float]:
        found = task.at(100 - coarseness)
        _tell(progress, found, "")
        return found, found.bits - bits

    search = Search(attempt, _NEAR_BITS)
    best = search.run(100 - 12.5 * bits, -1 / 12.5, _counted(progress))
    if best is None:
        assert search.nearest is not None
        raise InvalidTarget(f"takes {search.nearest.bits:.3f} bits a value; {bits:g} are too few")
    return best


def _tell(progress: Progress | None, found: Reached, more: str) -> None:
    if isinstance(progress, Telling):
        lost = f", {more}" if more else ""
        progress.say(f"quality {found.quality:.1f}: {found.bits:.3f} bits a value{lost}")


def _counted(progress: Progress | None) -> Callable[[int], None]:
    def told(done: int) -> None:
        if progress:
            progress(done, TRIES)

    return told
