"""Encoder-side search: latents fitted to one picture, rate and distortion both.

The analysis gives latents that are good for pictures in general. Here y and z of this picture are
improved step by step with the weights as they are; what comes out is coded as any latents are.

Like stochastic Gumbel annealing (Yang, Bamler, Mandt, NeurIPS 2020), the search holds each symbol
between two integers at a temperature that falls. It descends otherwise, in proximal steps on the
expected latents instead of gradient steps on noisy samples (docs/effort.md compares them):

* What a symbol itself costs enters exactly, as the difference of bits between the two integers. No
  rounding, and no narrow Gaussian, has to be differentiated by it.
* All else that depends on it, the picture and the bits of symbols coded later, enters by its
  gradient, and the picture by its curvature along the channel, too. Both are in bits: that gives
  the length of a step, at every quality and in every channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lictor.entropy import Encoder
from lictor.models.box import Box
from lictor.models.coding import gaussian
from lictor.models.coding.quadtree import Code, Quarter, from_cells, group_of_phase, to_cells
from lictor.models.coding.quality import condition, finer
from lictor.models.coding.quality_ladder import quality_to_lambda
from lictor.models.picture.visibility import Visible
from lictor.models.quality import PLACE, Quality
from lictor.models.zoo import VISIBLE

if TYPE_CHECKING:
    from lictor.models.base import Output
    from lictor.models.progress import Progress

_HOTTEST, _COLDEST, _COOLING = 2.0, 0.1, 4.0
"""In bits, at the first and at the last iteration; over so many iterations, where that is more."""

_SEEN_TEMPERATURE = 5.0, 0.5
"""In bits, of what eyes see."""

_STIFFNESS, _FURTHEST = (0.64, 0.96), 1.0
"""Curvature assumed, first and last, over that measured; how many symbols far a step may go."""

_SEEN_STIFFNESS, _SEEN_FURTHEST = (0.9, 1.3), 0.7
"""Of what eyes see, less quadratic; over the curvature of one symbol alone."""

_DAMPING = 0.5
"""Part of the way that y goes in an iteration."""

_SEEN_DAMPING, _SEEN_DAMPING_IF_FEW, _FEW = 0.2, 0.3, 20
"""The same of what eyes see, and in one of few."""

_UNEVEN = (0.02, 50.0)
"""Least and most curvature of a place, over the mean of all."""

_STIFF = (0.75, 10.0)
"""Least and most curvature along the steps of a channel, over that of one symbol."""

_STIFF_FIRST = 1.1, 2.0, 0.6
"""The same before anything was measured: with many bits, how much more with none, and at how many
bits a pixel an e-th of that is left. Fitted to what the first steps on four Kodak pictures met."""

_STIFF_NEWS, _STIFF_TRUST = 0.5, 0.02
"""Part of a new measurement in it; how much of the mean of all channels is mixed into each."""

_RATE_PULL = 1.5
"""Largest gradient, in bits, of the rate of later symbols: narrow Gaussians know no bound."""

_SIDE_STEP, _SIDE_BITS, _SIDE_REST = 0.2, 5.0, 0.75
"""Largest step of z at the start, the gradient that takes half of it, and when z comes to rest."""

_SIDE_NEWS = 0.2
"""Part of a new gradient in the running mean that z follows."""

_SLOPE_SPAN = 4.0
_SLOPE_RATIO = (0.7, 2.0)
"""Qualities between which a picture's own slope is taken; how far from lambda it may lie."""


class Searchable(Protocol):
    """What a model has whose latents can be searched for; `Lictor` says what each is."""

    cell: int
    is_deep: bool
    loss: str

    @property
    def h_s(self) -> Callable[..., Any]:
        """The prior of y from z."""

    def requantised(self, y: Tensor, z: Tensor, quality: Tensor, other: Tensor) -> Output:
        """Latents of one quality, coded at another near it."""

    def push(self, y: Tensor, z: Tensor, quality: Quality, encoder: Encoder) -> Tensor:
        """Code latents; returns y_hat (1, M, h, w)."""

    def synthesise(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """The picture of y_hat, about 0…1."""

    def side_scale(self, z: Tensor, quality: Tensor) -> Tensor:
        """The scales of z."""

    def walk(self, shape: tuple[int, ...], p: Tensor, quality: Tensor, code: Code) -> Tensor:
        """The four steps of the quadtree, each with its means and scales."""


def iterations(effort: int) -> int:
    """How many iterations an effort of 1…9 buys: 4 and, four efforts on, eight times as many."""
    return round(4 * 2 ** (0.75 * (effort - 1)))


def refine(
    model: Searchable, picture: Picture, plain: State, effort: int, progress: Progress | None = None
) -> tuple[Tensor, Tensor, float]:
    """Latents that cost less than the plain ones, and the bits that the float model expects.

    The price of latents is their bits and, at lambda a unit, their error, squared or what eyes see
    of it, as the weights were trained for. lambda is the slope of
    this picture's own curve: what a search saves at that price no other quality would have saved.
    The plain latents come back unless the others are better at this price and at the lambda of
    training, in real bytes and on the decoded picture.
    """
    with torch.inference_mode(False), torch.enable_grad():
        visible = Visible().to(picture.padded.device) if model.loss == VISIBLE else None
        picture = replace(
            picture,
            # In the order in memory of what synthesis gives.
            padded=picture.padded.clone(memory_format=torch.channels_last),
            around=picture.around.float().clone(),
            worth=worth(picture.quality),
            visible=visible,
        )
        start = State(plain.y.float().clone(), plain.z.float().clone())
        trained = float(quality_to_lambda(torch.tensor(float(picture.quality))))
        # What eyes see bends too much between two qualities to tell a slope.
        slope, bits = trained, None
        if not visible:
            slope, bits = _slope(model, picture.alone(model.cell), start, trained)
        search = Search(model, picture, slope, start.y, bits)
        found, bits = search.run(start, iterations(effort), progress)
    before, after = (_measure(model, picture, state) for state in (plain, found))
    if all(_better(after, before, price) for price in (slope, trained)):
        return found.y, found.z, bits
    return plain.y, plain.z, search.bits(plain)


def _better(one: tuple[float, float], other: tuple[float, float], price: float) -> bool:
    return one[0] + price * one[1] < other[0] + price * other[1]


@torch.no_grad()
def _slope(
    model: Searchable, picture: Picture, plain: State, trained: float
) -> tuple[float, float]:
    """Bits that the plain codec pays for a unit of error near this quality, and all its bits."""
    bits, errors = [], []
    for shift in (-_SLOPE_SPAN, _SLOPE_SPAN):
        quality = picture.condition.add(shift).clamp(0, 100)
        output = model.requantised(plain.y, plain.z, picture.condition, quality)
        bits.append(float(output.bits))
        errors.append(float(picture.error(output.x_hat)))
    slope = (bits[1] - bits[0]) / max(errors[0] - errors[1], 1e-9)
    slope = min(max(slope, _SLOPE_RATIO[0] * trained), _SLOPE_RATIO[1] * trained)
    return slope, sum(bits) / 2


@torch.inference_mode()
def _measure(model: Searchable, picture: Picture, state: State) -> tuple[float, float]:
    """Bits of the real stream, and error of the decoded picture."""
    encoder = Encoder(checksum=False)
    y_hat = model.push(state.y, state.z, picture.own_quality, encoder)
    x_hat = picture.synthesised(model, y_hat.permute(0, 2, 3, 1))
    most = 65535 if model.is_deep else 255
    return 8.0 * len(encoder.finish()), float(picture.error(x_hat.mul(most).round().div(most)))


@dataclass(frozen=True)
class Picture:
    """A picture to fit, or a tile of one with what lies around it and stays as it is.

    padded: pixels of all, (1, 3, H, W) in 0…1.
    shape: rows and columns of `padded` that are not padding.
    quality: of all.
    around: y of all, (1, h, w, M).
    place: of the tile in `around`.
    worth: what an error counts at each pixel, (1, 1, H, W) in 0…1; None if the same everywhere.
    visible: what eyes see of errors; None if squared errors count.
    """

    padded: Tensor
    shape: tuple[int, ...]
    quality: Quality
    around: Tensor
    place: Box
    worth: Tensor | None = None
    visible: Visible | None = None

    def alone(self, cell: int) -> Picture:
        """The tile without what is around it."""
        pixels = Box(*(cell * side for side in self.place))
        rows, columns = pixels.place
        inner = Box(0, 0, *self.place[2:])
        shape = pixels.within(Box(0, 0, *self.shape))[2:]
        y = self.around[:, self.place.place[0], self.place.place[1]]
        own = None if self.worth is None else self.worth[:, :, rows, columns]
        padded = self.padded[:, :, rows, columns]
        return Picture(padded, shape, self.own_quality, y, inner, own, self.visible)

    def synthesised(self, model: Searchable, y_hat: Tensor) -> Tensor:
        """All of it, as it comes out with y_hat (1, h, w, M) in the place of the tile."""
        if y_hat.shape != self.around.shape:
            rows, columns = self.place.place
            whole = self.around.clone()
            whole[:, rows, columns] = y_hat
            y_hat = whole
        return model.synthesise(y_hat.permute(0, 3, 1, 2), self.condition)

    @property
    def condition(self) -> Tensor:
        """The quality as networks take it."""
        return condition(self.quality, self.padded)

    @property
    def own_quality(self) -> Quality:
        """That of the tile."""
        return self.quality.part(self.place)

    def error(self, x_hat: Tensor) -> Tensor:
        """Mean error, squared on 0…255 or as seen, times pixels: what lambda prices in bits."""
        h, w = self.shape
        # Beyond the edge nobody looks: there, symbols need only be cheap.
        if self.visible is not None:
            shown = self.padded.clone()
            shown[:, :, :h, :w] = x_hat[:, :, :h, :w].clamp(0, 1)
            return self.visible(shown, self.padded, self.worth).sum() * shown[0, 0].numel()
        difference = (x_hat.clamp(0, 1) - self.padded)[:, :, :h, :w].square()
        if self.worth is not None:
            difference = difference * self.worth[:, :, :h, :w]
        return difference.sum() * (255**2 / 3)


def worth(quality: Quality) -> Tensor | None:
    """Lambda at each pixel over that of the highest quality, (1, 1, H, W); None without a map."""
    if quality.map is None:
        return None
    prices = quality_to_lambda(condition(quality, torch.empty(0)))
    shares = finer(prices / prices.max(), PLACE)
    return shares[:, None]


@dataclass
class State:
    """Where the search is: targets of y (1, h, w, M) and z (1, h/4, w/4, Z), before rounding."""

    y: Tensor
    z: Tensor


class Search:
    """The search of one picture.

    weight: bits for a unit of `Picture.error`. y: the plain ones. bits: of these, where squared
    errors count.
    """

    def __init__(
        self, model: Searchable, picture: Picture, weight: float, y: Tensor, bits: float | None
    ) -> None:
        self.model, self.picture, self.weight = model, picture, weight
        seen = picture.visible is not None
        self.furthest = _SEEN_FURTHEST if seen else _FURTHEST
        self.stiffness = _SEEN_STIFFNESS if seen else _STIFFNESS
        self.curvature = _evened(self._seen_curvature(y) if seen else self._curvature(y))
        pixels = y[0, :, :, 0].numel() * model.cell**2
        self.steps = None if bits is None else Steps(self.curvature, bits / pixels)

    def _curvature(self, y: Tensor) -> Tensor:
        """Second derivative of the squared error's price along each value of y, (1, h, w, M).

        For random signs v, the square of J'v is in expectation the diagonal of J'J (Hutchinson).
        """
        y = y.detach().requires_grad_()
        x_hat = self.picture.synthesised(self.model, y)
        signs = _signs(x_hat, torch.Generator().manual_seed(0))
        if self.picture.worth is not None:
            signs = signs * self.picture.worth.sqrt()
        (seen,) = torch.autograd.grad(x_hat, y, signs)
        return seen.square() * (2 * self.weight * 255**2 / 3)

    def _seen_curvature(self, y: Tensor) -> Tensor:
        """The same of what eyes see."""
        picture = self.picture
        assert picture.visible is not None
        y = y.round().requires_grad_()
        x_hat = picture.synthesised(self.model, y)
        generator = torch.Generator().manual_seed(0)
        signed = picture.visible.signed(
            x_hat, picture.padded, lambda like: _signs(like, generator), picture.worth
        )
        (seen,) = torch.autograd.grad(signed, y)
        return seen.square() * (2 * self.weight * picture.padded[0, 0].numel())

    def _by_error(self, y_hat: Tensor) -> Tensor:
        """The gradient of the distortion's price."""
        y_hat = y_hat.detach().requires_grad_()
        x_hat = self.picture.synthesised(self.model, y_hat)
        (found,) = torch.autograd.grad(self.weight * self.picture.error(x_hat), y_hat)
        if self.steps is not None:
            self.steps.follow(y_hat.detach(), found)
        return found

    def run(self, state: State, count: int, progress: Progress | None) -> tuple[State, float]:
        """The state after `count` iterations, with y on the symbols it stands for; its bits."""
        mean = torch.zeros_like(state.z)
        for i in range(count):
            done = i / max(count - 1, 1)
            curvature = self._stiff(done)
            y_hat, pull, side = self._gradients(
                state, _between(self._temperature(count), done), curvature
            )
            step = (pull / curvature).clamp(-self.furthest, self.furthest)
            state.y = torch.lerp(state.y, y_hat - step, self._damping(count))
            side_step = _SIDE_STEP * max(0.0, 1 - done / _SIDE_REST)
            mean = torch.lerp(mean, side, _SIDE_NEWS)
            state.z = state.z - side_step * mean / (mean.abs() + _SIDE_BITS)
            if progress is not None:
                progress(i + 1, count)
        with torch.no_grad():
            y_hat, bits, _ = self._quantise(state, 0.0, self._stiff(1.0))
        return State(y_hat, state.z.round()), float(bits)

    def _temperature(self, count: int) -> tuple[float, float]:
        """At the first and at the last of so many iterations."""
        if self.picture.visible is None:
            return _HOTTEST, max(_COLDEST, _COOLING / count)
        return _SEEN_TEMPERATURE

    def _damping(self, count: int) -> float:
        """Part of the way that y goes in one of so many iterations."""
        if self.picture.visible is None:
            return _DAMPING
        return _SEEN_DAMPING if count > _FEW else _SEEN_DAMPING_IF_FEW

    def _stiff(self, done: float) -> Tensor:
        """The curvature that steps go by."""
        measured = 1.0 if self.steps is None else self.steps.stiffness
        return self.curvature * (_between(self.stiffness, done) * measured)

    @torch.inference_mode()
    def bits(self, state: State) -> float:
        """Bits that the float model expects for the rounded latents."""
        nearest = torch.full_like(self.curvature, torch.inf)
        return float(self._quantise(state, 0.0, nearest)[1])

    def _gradients(
        self, state: State, temperature: float, curvature: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The expected y_hat; the price of all but own rates by it; the bits by z."""
        y_hat, bits, (z, *quarters) = self._quantise(state, temperature, curvature)
        *by_quarter, by_z = torch.autograd.grad(bits, [*quarters[:-1], z])
        # No symbol is coded after the last quarter.
        by_rate = self._gather([*by_quarter, torch.zeros_like(quarters[-1])])
        by_error = self._by_error(y_hat)
        return y_hat.detach(), by_error + by_rate.clamp(-_RATE_PULL, _RATE_PULL), by_z

    def _gather(self, quarters: list[Tensor]) -> Tensor:
        """Values of the four steps in the places of y."""
        cells = torch.empty((4, *quarters[0].shape), device=quarters[0].device)
        phases = torch.arange(4, device=cells.device)
        for k, quarter in enumerate(quarters):
            cells[phases, group_of_phase(k, cells.device)] = quarter
        return from_cells(cells)

    def _quantise(
        self, state: State, temperature: float, curvature: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Expected y_hat, its bits, and the leaves that gradients are wanted for: z, quarters."""
        model, quality = self.model, condition(self.picture.own_quality, state.y)
        of_cells = to_cells(curvature.expand(state.y.shape))
        leaves = [state.z.round().requires_grad_(torch.is_grad_enabled())]

        targets, bits = to_cells(state.y), torch.zeros((), device=state.y.device)

        def code(here: Quarter, mean: Tensor, scale: Tensor) -> Tensor:
            nonlocal bits
            with torch.no_grad():
                target, stiffness = targets[here] - mean, of_cells[here]
                y_hat = _expected(target, scale, stiffness, temperature) + mean
            leaves.append(y_hat.requires_grad_(torch.is_grad_enabled()))
            bits = bits + gaussian.bits(y_hat.detach() - mean, scale).sum()
            return y_hat

        z = leaves[0]
        side_bits = gaussian.bits(z, model.side_scale(z, quality)).sum()
        cells = model.walk(state.y.shape, model.h_s(z, quality), quality, code)
        return from_cells(cells), side_bits + bits, leaves


class Steps:
    """How much more curvature there is along the steps that y took than along single values.

    Many values move at once, and what they do to a pixel adds up: twice to thrice where there are
    few bits, hardly where there are many. The gradients before and after a step tell (a secant, as
    Barzilai and Borwein, 1988, take it for the length of steps), in each channel.
    """

    def __init__(self, curvature: Tensor, density: float) -> None:
        """density: bits a pixel of the plain latents."""
        self.curvature, self.last = curvature, None
        self.rise = self.run = torch.zeros_like(curvature[0, 0, 0])
        many, more, few = _STIFF_FIRST
        self.stiffness: Tensor | float = many + more * math.exp(-density / few)

    last: tuple[Tensor, Tensor] | None

    def follow(self, y_hat: Tensor, gradient: Tensor) -> None:
        """A step led to y_hat, where the price has this gradient."""
        if self.last is not None:
            step, change = y_hat - self.last[0], gradient - self.last[1]
            rise = (step * change).sum((0, 1, 2))
            run = (step.square() * self.curvature).sum((0, 1, 2))
            self.rise = self.rise * (1 - _STIFF_NEWS) + rise
            self.run = self.run * (1 - _STIFF_NEWS) + run
            little = _STIFF_TRUST * self.run.mean() + 1e-9
            of_all = self.rise.sum() / (self.run.sum() + 1e-9)
            found = (self.rise + little * of_all) / (self.run + little)
            self.stiffness = found.clamp(*_STIFF)
        self.last = y_hat, gradient


def _evened(found: Tensor) -> Tensor:
    """Curvatures (1, h, w, M), each of which is random, as what channels and places have.

    A channel's share is taken to be the same everywhere, as a place's for all channels.
    """
    of_channels = found.mean(dim=(0, 1, 2))
    of_channels = of_channels.clamp(min=1e-3 * float(of_channels.max()))
    of_places = F.avg_pool2d(found.sum(3) / of_channels.sum(), 3, 1, 1, count_include_pad=False)
    return of_places.clamp(*_UNEVEN)[..., None] * of_channels


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random, -1 and 1, of the shape of a tensor."""
    return torch.randint(0, 2, like.shape, generator=generator).to(like) * 2 - 1


def _between(ends: tuple[float, float], done: float) -> float:
    """From the first to the second, evenly in the logarithm."""
    return ends[0] * (ends[1] / ends[0]) ** done


def _expected(target: Tensor, scale: Tensor, curvature: Tensor, temperature: float) -> Tensor:
    """Mean of the two integers around the target, weighed by bits + curvature/2 * distance².

    The weights are a Boltzmann distribution's; at temperature 0 the cheaper integer.
    """
    low = target.floor()
    bits = gaussian.bits(low + 1, scale) - gaussian.bits(low, scale)
    price = bits + curvature * (low + 0.5 - target)
    if not temperature:
        return low + (price < 0)
    return low + torch.sigmoid(price / -temperature)
