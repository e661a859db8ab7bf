"""Which method codes which blocks of a picture: the one of the least bits + lambda · error.

What is drawn is cheapest without loss. What is left goes to the network, or, where that is dearer
or cannot hold it (noise, stripes, halftones), to a linear transform. What will be decoded is held
against a bound: no block of 64x64 pixels has a mean squared error above BOUND times the water level
of its quality (models/coding/slope.py), whatever the picture; by weights trained for eyes, as many
times more as its texture hides (eyes.py). And no file is larger than the one without loss.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.errors import PictureWarning
from lictor.codec.format.picture import BLOCK, LATENTS, LINEAR, LOSSLESS, OVERFIT
from lictor.codec.picture import arguments, blocks, eyes
from lictor.codec.picture.assemble import file_of
from lictor.codec.picture.methods import METHODS
from lictor.codec.picture.methods.method import Coded, Wanted
from lictor.codec.picture.tiles import Grid
from lictor.models import lossless, zoo
from lictor.models.coding.slope import BOUND, slope, water_level
from lictor.models.linear import coder
from lictor.models.pixels import block_count, inside, sums
from lictor.models.quality import PLACE, STEPS, Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.image.picture import Picture
    from lictor.codec.runtime.runtime import PictureNetwork
    from lictor.models.overfit.sizes import Size
    from lictor.models.progress import Progress, Stop

    Mask = NDArray[np.bool_]

_FEW = 1 / 8
"""Share of blocks up to which a network is not worth its side information, nor its time."""
_CLEARLY = 0.9
"""A block leaves the network only if it costs less than this share of what it did: what a block of
the network costs is an estimate, and a seam needs a reason."""
_WORTH = 0.9
"""The network runs again, without blocks that others code, only if all costs less than this."""
_BETTER = 0.98
"""All of a picture leaves the network only if it costs less than this."""
_FINER = 50
"""Steps of quality that a block which breaks the bound gets: the step of its quantiser is 2^(-1/2)
of what it was."""
_FINEST = 6 * _FINER
"""Beyond this it is coded without loss."""
_FAR_LARGER = 0.5
"""A lossless file is tried if the lossy one has more than this share of what it seems to need."""
_CELLS = BLOCK // PLACE


@dataclass(frozen=True)
class Task:
    """A picture to be coded.

    codec: the network; None: there is none to choose.
    overfit: the size of networks of the picture's own, if it is to be coded by these.
    stop: for their training.
    """

    picture: Picture
    quality: Quality
    codec: PictureNetwork | None
    effort: int = 0
    progress: Progress | None = None
    overfit: Size | None = None
    stop: Stop | None = None

    @cached_property
    def colours(self) -> NDArray[Any]:
        """(H, W, 1 or 3)."""
        return self.picture.colours

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return block_count(*self.colours.shape[:2])

    @cached_property
    def seen(self) -> Mask | None:
        """The pixels that alpha does not hide."""
        alpha = self.picture.alpha
        return None if alpha is None else alpha > 0

    @cached_property
    def steps(self) -> NDArray[np.int16]:
        """Quality of each place."""
        rows, columns = (side * _CELLS for side in self.shape)
        return np.broadcast_to(np.asarray(self.quality.steps, np.int16), (rows, columns))

    @cached_property
    def slope(self) -> NDArray[np.float64]:
        """Lambda of each block, in bits for each squared error of a pixel."""
        return self._mean(slope)

    @property
    def for_eyes(self) -> bool:
        """Whether the network was trained for what eyes see."""
        return self.codec is not None and self.codec.loss == zoo.VISIBLE

    @cached_property
    def bound(self) -> NDArray[np.float64]:
        """Squared error that each block may have."""
        visible = np.ones(self.colours.shape[:2], np.bool_) if self.seen is None else self.seen
        hidden = eyes.hidden(self.colours) if self.for_eyes else 1.0
        return BOUND * self._mean(water_level, hidden) * sums(visible)

    def _mean(
        self, of_quality: Callable[[float], float], times: NDArray[np.float32] | float = 1.0
    ) -> NDArray[np.float64]:
        """Over the places of each block, each counting so many times."""
        rows, columns = self.shape
        places = (times * _of_steps(of_quality)[self.steps]).reshape(rows, _CELLS, columns, _CELLS)
        return places.mean(axis=(1, 3))

    def errors(self, samples: NDArray[Any]) -> NDArray[np.float64]:
        """Of each block, as `blocks.squared_errors`."""
        return blocks.squared_errors(self.colours, samples, self.seen)

    def distortion(self, samples: NDArray[Any], errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """What lambda prices: squared errors, or what the network was trained for instead."""
        if not self.for_eyes:
            return errors
        return blocks.seen_errors(samples, self.colours, self.seen, errors)


@cache
def _of_steps(of_quality: Callable[[float], float]) -> NDArray[np.float64]:
    """What each step of quality has."""
    return np.array([of_quality(step * 100 / STEPS) for step in range(STEPS + 1)])


class Tried:
    """What a method makes of some blocks: bits, squared errors, and what they cost together.

    price: of the errors, in bits.
    """

    def __init__(self, task: Task, coded: Coded, mask: Mask) -> None:
        assert coded.bits is not None and coded.samples is not None
        # Samples, as large as the picture, are not kept.
        self.coded, self.mask, self.bits = replace(coded, samples=None), mask, coded.bits
        self.errors = task.errors(coded.samples)
        coded_errors = np.where(mask, self.errors, 0.0)
        self.price = task.slope * task.distortion(coded.samples, coded_errors)
        self.cost = self.bits + self.price


def _here() -> bool:
    """Whether the C extensions are, which these methods have no twins of."""
    return coder.available() and lossless.available()


@dataclass(frozen=True)
class Plan:
    """What codes which blocks.

    shown: blocks that the network is shown; None: there is none. linear: those of the linear
    method; in a plan to be kept, also those that broke the bound. exact: what was coded without
    loss, whatever the quality.
    """

    shown: Mask | None
    linear: Mask
    exact: Tried | None


def encode(task: Task, method: str, plan: Plan | None = None) -> tuple[list[Coded], Plan | None]:
    """What the methods that were taken made, all of the picture between them.

    Args:
        task: what to code; with a network for "network" and for "auto".
        method: "auto" to choose, or the name of the one to take.
        plan: of the same picture, to be kept, so that little changes where the quality does.

    Returns:
        The parts, and the plan if there was a choice.

    Raises:
        CodecError: MissingPackage, of what was installed without a C compiler; OutOfMemory.
    """
    if task.overfit is not None and method == arguments.AUTO:
        return _overfitted(task), None
    choice = task.codec is None or task.codec.on_ladder
    if method == arguments.AUTO and choice and not _here():
        warnings.warn(
            "the picture is coded by the network alone, whatever it is, for the C extensions are "
            "missing; install a C compiler and then Lictor again",
            PictureWarning,
            stacklevel=2,
        )
    alone = task.codec is not None and not (choice and _here())
    if method == "network" or (method == arguments.AUTO and alone):
        wanted = Wanted(task.picture, task.quality, task.codec, task.effort, task.progress)
        return [METHODS[LATENTS].encode(wanted)], None
    everything = np.ones(task.shape, np.bool_)
    if method == "lossless":
        return [METHODS[LOSSLESS].encode(Wanted(task.picture, task.quality))], None
    if method == "linear":
        return _held(task, None, Plan(None, everything, None))[0], None
    linear = None
    if plan is None:
        linear = _linear(task, everything)
        network, plan = _chosen(task, everything, linear)
    else:
        network = None if plan.shown is None else _network(task, plan.shown)
    parts, leaving = _held(task, network, plan, linear)
    whole = _lossless_file(task, parts)
    return parts if whole is None else [whole], replace(plan, linear=leaving)


def _overfitted(task: Task) -> list[Coded]:
    """By networks of the picture's own, but for blocks that break the bound."""
    wanted = Wanted(
        task.picture,
        task.quality,
        effort=task.effort,
        progress=task.progress,
        measured=True,
        overfit=task.overfit,
        stop=task.stop,
    )
    own = Tried(task, METHODS[OVERFIT].encode(wanted), np.ones(task.shape, np.bool_))
    parts, _ = _held(task, own, Plan(own.mask, own.errors > task.bound, None))
    whole = _lossless_file(task, parts)
    return parts if whole is None else [whole]


def _chosen(task: Task, everything: Mask, linear: Tried) -> tuple[Tried | None, Plan]:
    """The plan, and the network's part if it has one. linear: of everything."""
    exact = _drawn(task, linear)
    rest = everything if exact is None else ~exact.mask
    network, leaving = None, rest
    if rest.mean() > _FEW or (rest.any() and not _weighs(task)):
        network, leaving = _with_network(task, linear, rest)
    return network, Plan(None if network is None else network.mask, leaving, exact)


def _linear(task: Task, mask: Mask, finer: NDArray[np.int16] | None = None) -> Tried:
    """By the linear method; finer: steps of quality that each block gets beyond what was asked."""
    quality = task.quality
    if finer is not None and finer.any():
        quality = Quality((task.steps + finer.repeat(_CELLS, 0).repeat(_CELLS, 1)).astype(np.int16))
    wanted = Wanted(task.picture, quality, blocks=mask, measured=True)
    return Tried(task, METHODS[LINEAR].encode(wanted), mask)


def _lossless(task: Task, mask: Mask) -> Tried:
    wanted = Wanted(task.picture, task.quality, blocks=mask, measured=True)
    return Tried(task, METHODS[LOSSLESS].encode(wanted), mask)


def _drawn(task: Task, linear: Tried) -> Tried | None:
    """Blocks that look drawn and cost less without loss than by the linear method."""
    looks = blocks.drawn(task.colours)
    if not looks.any():
        return None
    exact = _lossless(task, looks)
    # What is drawn is no texture that hides errors.
    price = np.maximum(linear.price, task.slope * linear.errors)
    better = looks & (exact.bits <= linear.bits + price)
    if not better.any():
        return None
    return exact if (better == looks).all() else _lossless(task, better)


def _with_network(task: Task, linear: Tried, rest: Mask) -> tuple[Tried | None, Mask]:
    """The network for the rest, or for none; and the blocks that it leaves to the linear method."""
    network = _network(task, rest)
    breaking = rest & (network.errors > task.bound)
    better = (linear.bits <= network.bits) & (linear.errors <= network.errors)
    if _weighs(task):
        better |= linear.cost < _CLEARLY * network.cost
    leaving = breaking | (rest & better)
    kept = _sum(network.cost, rest) + _sum(linear.cost - network.price, breaking)
    moved = _sum(network.cost, rest & ~leaving) + _sum(linear.cost, leaving)
    alone = _sum(linear.cost, rest)
    if leaving[rest].all() or (_weighs(task) and alone < min(_BETTER * kept, moved / _BETTER)):
        return None, rest
    if moved < _WORTH * kept:
        stays = rest & ~leaving
        again = _network(task, stays)
        if again.bits.sum() + _sum(again.price, stays) + _sum(linear.cost, leaving) < kept:
            return again, leaving
    return network, breaking


def _weighs(task: Task) -> bool:
    """Whether what lambda prices, of 8 bits, is what the network was trained for.

    If not, it loses only blocks that another method has better in every respect, or that break the
    bound: there are other losses than this, and smooth pictures of 16 bits are finer than lambda
    asks for (models/picture/high_bit_depth.py).
    """
    assert task.codec is not None
    return task.codec.loss in (zoo.SQUARED, zoo.VISIBLE) and task.picture.depth == 8


def _network(task: Task, mask: Mask) -> Tried:
    """Of all of the picture, with a smooth continuation in blocks that it need not code."""
    picture = task.picture
    if not mask.all():
        from lictor.codec.image import hidden

        pixels = picture.pixels.copy()
        height, width, _ = pixels.shape
        hidden.fill(pixels[:, :, : task.colours.shape[2]], inside(mask, height, width))
        picture = replace(picture, pixels=pixels)
    wanted = Wanted(picture, task.quality, task.codec, task.effort, task.progress, measured=True)
    return Tried(task, METHODS[LATENTS].encode(wanted), mask)


def _sum(values: NDArray[np.float64], mask: Mask) -> float:
    return float(values[mask].sum())


# ---------------------------------------------------------------- what was promised


def _held(
    task: Task, network: Tried | None, plan: Plan, tried: Tried | None = None
) -> tuple[list[Coded], Mask]:
    """All methods' parts, with each block finer, or by another method, until the bound holds.

    tried: of the linear method, which is not run again for the same blocks.

    Returns:
        The parts, and which blocks the linear method has now.
    """
    leaving, exact = plan.linear, plan.exact
    finer = np.zeros(task.shape, np.int16)
    without_loss = np.zeros(task.shape, np.bool_) if exact is None else exact.mask
    linear = tried if tried is not None and (tried.mask == leaving).all() else None
    while True:
        if linear is None and leaving.any():
            linear = _linear(task, leaving, finer)
        errors = np.zeros(task.shape) if network is None else network.errors
        errors = errors if linear is None else np.where(leaving, linear.errors, errors)
        broken = ~without_loss & (errors > task.bound)
        if not broken.any():
            break
        finer += (_FINER * (broken & leaving)).astype(np.int16)
        hopeless = broken & (finer > _FINEST)
        leaving = (leaving | broken) & ~hopeless
        without_loss = without_loss | hopeless
        linear = None
    if without_loss.any() and (exact is None or (without_loss != exact.mask).any()):
        exact = _lossless(task, without_loss)
    return [part.coded for part in (network, linear, exact) if part is not None], leaving


def _lossless_file(task: Task, chosen: list[Coded]) -> Coded | None:
    """All of the picture without loss, if that is no larger."""
    size, picture = sum(len(part.payload) for part in chosen), task.picture
    if [part.kind for part in chosen] == [LOSSLESS] and picture.uncovered is None:
        return None
    if picture.uncovered is not None:  # what hides colours for networks may be dear without loss
        picture = replace(picture, pixels=picture.uncovered)
    height, width, _ = picture.pixels.shape
    grid = Grid.for_picture(width, height)
    tiles = (picture.colours[grid.tile(number).place] for number in range(len(grid)))
    if size < _FAR_LARGER * sum(lossless.estimate(tile) for tile in tiles):
        return None
    exact = METHODS[LOSSLESS].encode(Wanted(picture, task.quality))
    whole, parts = (len(file_of(task.picture, task.quality, made)) for made in ([exact], chosen))
    return exact if whole <= parts else None
