"""Fits grids and networks to a picture: the schedule of an overfitted encode.

Networks start where photos left them, or some starts are tried and the best is kept; then grids and
networks move together while soft rounding hardens and noise falls; then grids are rounded, symbols
are changed where it pays, only networks learn, and symbols are changed once more. Source of the
phases: Cool-Chic 5 (Ladune et al., ICCV 2023, and later versions), but for the changes. Networks
that start from shared ones are held near to them by what the differences will cost, and are rounded
as the file has them while there is still time for all else to get used to it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.models.overfit import parameters as coded
from lictor.models.overfit import starts
from lictor.models.overfit.fitting import ROUNDED, Fit, Loss, Noise, Weights
from lictor.models.overfit.parameters import Quantised
from lictor.models.overfit.refining import refined
from lictor.models.overfit.sizes import Size
from lictor.models.overfit.soap import Soap

LEVELS_OF_255 = 255.0**2
"""Lambda weighs errors of samples 0…255; here samples are 0…1."""
CHECK_EVERY = 100
"""Iterations from one look at what rounding gives to the next; the best is kept."""
RATE = 1e-2
LAST_RATE = 1e-5
TUNING_RATE = 1e-3
CLIP = 0.1
GAIN, GAIN_POWER = 4.0, -0.15
"""Symbols move so many times as far as networks: 8 times where a bit weighs 1e-2 of the error of a
pixel, 14 times at 2e-4. On crops of photos two thirds of Cool-Chic's rates were best."""
_WARM_TEMPERATURE = 0.35
_TEMPERATURES = 0.35, 0.08
_DEVIATIONS = 0.22, 0.15
ITERATIONS_A_ROUND, MOST_ROUNDS = 125, 16
"""Symbols are changed in so many rounds, each of which takes about 15 iterations' time. The first 4
save most; 16 save 0.3 % of bits more."""
ROUNDED_FROM = 0.75
"""Of the main phase: from then on networks are rounded, and gradients are those of what they are
rounded to (straight through)."""

Progress = Callable[[int, float, float], None]
"""Called with the iteration, and bits and PSNR of what rounding gave when it was last looked at."""
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Result:
    """A fitted picture.

    networks: in the steps that the file has. grids: int8, of `sizes.grid_shapes`. bits: of the
    grids, estimated; networks come on top. mse: of samples 0…1 held within.
    """

    networks: Quantised
    grids: list[NDArray[np.int8]]
    bits: float
    mse: float

    @property
    def parameters(self) -> NDArray[np.float32]:
        """Of `size.shapes`."""
        return self.networks.values

    @property
    def psnr(self) -> float:
        """In dB."""
        return psnr(self.mse)


@dataclass(frozen=True)
class Plan:
    """How many iterations each phase takes, of all."""

    starts: int
    warm: int
    main: int
    tuning: int

    @property
    def joint(self) -> int:
        """Iterations of main phase and tuning, which can be interrupted."""
        return self.main + self.tuning


def plan(iterations: int, warm: bool = True) -> Plan:
    """Share iterations. warm: whether starts are tried.

    One of `starts` is tried for `warm` iterations each; the better two for as many again.
    """
    rounds = 50 if iterations < 4000 else 100 if iterations < 9000 else 200
    starts = min(5, iterations // 4 // rounds - 2) if warm else 0
    rounds, starts = (rounds, starts) if starts > 1 else (0, 1)
    left = iterations - rounds * (starts + 2 if rounds else 0)
    tuning = min(300, left // 6)
    return Plan(starts, rounds, left - tuning, tuning)


@dataclass
class _State:
    """What an interrupted run needs to go on."""

    latents: NDArray[np.float32]
    parameters: NDArray[np.float32]
    optimiser: Soap
    mean: NDArray[np.float32] = field(init=False)
    square: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.square = np.zeros_like(self.latents), np.zeros_like(self.latents)

    def copy(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.latents.copy(), self.parameters.copy()


class Training:
    """One picture's training, which can be saved and go on.

    Args:
        x: (3, H, W) float32, 0…1.
        weight: lambda of `quality_ladder`: of the squared error of 0…255 against bits per pixel.
        size: of `sizes.SIZES`.
        iterations: of all phases together.
        threads: results do not depend on how many.
        start: parameters to start from. None: those of `starts`.
        shared: whether those of `starts` are taken, else some of chance are tried.
        seed: of first values and of noise. The same gives the same on one machine.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        weight: float,
        size: Size,
        iterations: int,
        threads: int = 1,
        start: NDArray[np.float32] | None = None,
        shared: bool = True,
        seed: int = 0,
    ) -> None:
        self.start = starts.nearest(size, weight) if shared and start is None else 0
        """The number of the shared start that differences are taken to; 0: none are."""
        if self.start:
            start = starts.parameters(size, self.start)
        self.fit = Fit(x, size, threads)
        self.size, self.seed, self.iterations = size, seed, iterations
        self.bit = 1 / (weight * LEVELS_OF_255)  # of a bit per pixel against an error of 1
        self.weights = Weights(self.bit / self.fit.pixels, 1 / (3 * self.fit.pixels))
        self.plan = plan(iterations, warm=start is None)
        self.gain = GAIN * self.bit**GAIN_POWER
        self.step = 0
        """Iterations of main phase and tuning that are done."""
        self.draws = 0
        self._first = start
        self._state: _State | None = None
        self._exponents: tuple[int, ...] | None = None  # once networks are rounded
        self.best: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self.best_loss = Loss(math.inf, math.inf)
        self._least = math.inf

    @property
    def done(self) -> bool:
        """Whether all iterations are done."""
        return self._state is not None and self.step >= self.plan.joint

    def run(self, progress: Progress | None = None, stop: Stop | None = None) -> None:
        """Go on until the end, or until `stop` says so; it is asked every 10 iterations."""
        stop = stop or (lambda: False)
        if self._state is None:
            self._state = self._warm_up(stop)
            if self._state is None:
                return
            self._look(self._state)
        while not self.done:
            if self.step % 10 == 0 and stop():
                self._look(self._state)
                return
            self._iterate(self._state)
            if self.step % CHECK_EVERY == 0 or self.step in (self.plan.main, self.plan.joint):
                self._look(self._state)
                if progress:
                    done = self.iterations - self.plan.joint + self.step
                    progress(done, self.best_loss.bits, psnr(self.best_loss.mse))

    def result(self) -> Result:
        """The best so far."""
        if self.best is None:
            state = self._state or self._begin(0)
            self._look(state)
        assert self.best
        latents, parameters = self.best
        networks = self._rounded(parameters) or self._chosen(latents, parameters)
        symbols = self._refined(latents, networks.values)
        loss = self.fit.loss(symbols, networks.values)
        return Result(networks, self.fit.grids(symbols), loss.bits, loss.mse)

    def save(self, path: Path) -> None:
        """Write what going on needs."""
        state = self._state
        if state is None or self.best is None:
            return
        soap = state.optimiser
        arrays: dict[str, NDArray[Any]] = {
            "latents": state.latents,
            "parameters": state.parameters,
            "mean": state.mean,
            "square": state.square,
            "soap_mean": soap.mean,
            "soap_square": soap.square,
            "best_latents": self.best[0],
            "best_parameters": self.best[1],
            "best_loss": np.array([self.best_loss.bits, self.best_loss.mse, self._least]),
            "exponents": np.array(self._exponents or ()),
            "bit": np.array(self.bit),
            "counts": np.array(
                [self.iterations, self.step, self.draws, soap.count, self.seed, self.start]
            ),
        }
        for number, (c, basis) in enumerate(zip(soap.correlations, soap.bases, strict=True)):
            arrays |= {f"correlation_{number}": c, f"basis_{number}": basis}
        held = io.BytesIO()
        np.savez(held, **arrays)
        part = path.with_name(path.name + ".part")
        part.write_bytes(held.getvalue())
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on where `save` was called, of the same picture and arguments.

        Raises:
            ValueError: it is another training's.
        """
        with np.load(path, allow_pickle=False) as held:
            counts = [int(count) for count in held["counts"]]
            state = self._begin(0)
            mine = self.iterations, self.seed, self.start, self.bit
            same = (counts[0], counts[4], counts[5], float(held["bit"])) == mine
            shapes = [held[name].shape for name in ("latents", "parameters")]
            if not same or shapes != [state.latents.shape, state.parameters.shape]:
                raise ValueError(f"{path} is of another picture, or of other arguments")
            state.latents, state.parameters = held["latents"], held["parameters"]
            state.mean, state.square = held["mean"], held["square"]
            soap = state.optimiser
            soap.mean, soap.square = held["soap_mean"], held["soap_square"]
            many = range(len(soap.bases))
            soap.correlations = [held[f"correlation_{number}"] for number in many]
            soap.bases = [held[f"basis_{number}"] for number in many]
            self.best = held["best_latents"], held["best_parameters"]
            bits, mse, self._least = (float(value) for value in held["best_loss"])
            self.best_loss = Loss(bits, mse)
            self._exponents = tuple(int(e) for e in held["exponents"]) or None
        self.step, self.draws, soap.count = counts[1:4]
        self._state = state

    def cost(self, loss: Loss) -> float:
        """What is made small."""
        return loss.mse + self.weights.bit * loss.bits

    def _begin(self, number: int) -> _State:
        """Grids of nothing, and networks of start number `number`."""
        parameters = self._first
        if parameters is None:
            parameters = first_parameters(self.size, self.seed + 1000 * number)
        latents = np.zeros(self.fit.symbols, np.float32)
        return _State(latents, parameters.copy(), Soap([*self.size.shapes.values()]))

    def _warm_up(self, stop: Stop) -> _State | None:
        """The best of some starts, with new moments; None where it was to stop."""
        states = [self._begin(number) for number in range(self.plan.starts)]
        deviation = (0.747 - 0.432 * math.log10(self.bit)) / 10
        for _ in range(2 if self.plan.warm else 0):
            for state in states:
                for step in range(self.plan.warm):
                    if step % 10 == 0 and stop():
                        return None
                    self._move(state, _WARM_TEMPERATURE, deviation, RATE)
            costs = [self.cost(self.fit.loss(s.latents, s.parameters)) for s in states]
            states = [states[i] for i in np.argsort(costs, kind="stable")[:2]]
        best = states[0]
        fresh = self._begin(0)
        fresh.latents, fresh.parameters = best.copy()
        return fresh

    def _iterate(self, state: _State) -> None:
        """One iteration of main phase or tuning."""
        if self.step < self.plan.main:
            part = self.step / self.plan.main
            if self.start and self._exponents is None and part >= ROUNDED_FROM:
                self._round(state)
            rate = LAST_RATE + (RATE - LAST_RATE) * (1 + math.cos(math.pi * part)) / 2
            temperature = _between(_TEMPERATURES, part)
            self._move(state, temperature, _between(_DEVIATIONS, part), rate)
        else:
            if self.step == self.plan.main:
                assert self.best
                latents, parameters = self.best
                state.parameters = parameters.copy()
                values = self._values(parameters)
                state.latents = self._refined(latents, values)
                state.optimiser = Soap([*self.size.shapes.values()])
                self._look(state)
            part = (self.step - self.plan.main) / self.plan.tuning
            self._learn(state, ROUNDED, TUNING_RATE * (1 + math.cos(math.pi * part)) / 2)
        self.step += 1

    def _move(self, state: _State, temperature: float, deviation: float, rate: float) -> None:
        """A step of networks and grids."""
        self.draws += 1
        noise = Noise(temperature, deviation, (self.seed * 0x9E3779B1 + self.draws) & 0xFFFFFFFF)
        self._learn(state, noise, rate)
        moments, count = (state.mean, state.square), state.optimiser.count
        self.fit.step(state.latents, *moments, rate * self.gain, count, self.weights)

    def _learn(self, state: _State, noise: Noise, rate: float) -> None:
        """A step of the networks."""
        values = self._values(state.parameters)
        _, gradient = self.fit.gradient(state.latents, values, noise, self.weights)
        if self.start:
            slope = coded.slope(self.size, state.parameters, self.start, self._exponents)
            gradient += self.weights.bit * slope
        norm = float(np.linalg.norm(gradient))
        if norm > CLIP:
            gradient *= CLIP / norm
        state.optimiser.step(state.parameters, gradient, rate)

    def _look(self, state: _State) -> None:
        """Keep what rounding gives, where it is the best so far."""
        networks = self._rounded(state.parameters)
        values = state.parameters if networks is None else networks.values
        found = self.fit.loss(state.latents, values)
        cost = self.cost(found)
        if networks is not None:
            cost += self.weights.bit * networks.spreads()[1]
        if self.best is None or cost < self._least:
            self.best, self.best_loss, self._least = state.copy(), found, cost

    def _round(self, state: _State) -> None:
        """From now on networks are in steps. What was the best without them counts no more."""
        self._exponents = self._chosen(state.latents, state.parameters).exponents
        self._least = math.inf

    def _refined(
        self, latents: NDArray[np.float32], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Whole symbols, those changed that pay."""
        rounds = min(self.iterations // ITERATIONS_A_ROUND, MOST_ROUNDS)
        return refined(self.fit, np.rint(latents), values, self.weights, max(rounds, 1))

    def _values(self, parameters: NDArray[np.float32]) -> NDArray[np.float32]:
        """Parameters as they are used: rounded, once steps are chosen."""
        networks = self._rounded(parameters)
        return parameters if networks is None else networks.values

    def _rounded(self, parameters: NDArray[np.float32]) -> Quantised | None:
        """Parameters in steps, once these are chosen."""
        if self._exponents is None:
            return None
        return coded.quantised(self.size, parameters, self._exponents, self.start)

    def _chosen(self, latents: NDArray[np.float32], parameters: NDArray[np.float32]) -> Quantised:
        """Parameters in the steps that cost least with some grids."""

        def bits(networks: Quantised) -> float:
            return self.fit.loss(latents, networks.values).bits

        def error(networks: Quantised) -> float:
            return self.fit.loss(latents, networks.values).mse / self.weights.bit

        return coded.chosen(self.size, parameters, bits, error, self.start)


def train(
    x: NDArray[np.float32],
    weight: float,
    size: Size,
    iterations: int,
    progress: Progress | None = None,
    threads: int = 1,
    start: NDArray[np.float32] | None = None,
    shared: bool = True,
    stop: Stop | None = None,
    seed: int = 0,
) -> Result:
    """Fit a picture: `Training` from first to last. Where `stop` says so, the best so far."""
    training = Training(x, weight, size, iterations, threads, start, shared, seed)
    training.run(progress, stop)
    return training.result()


def first_parameters(size: Size, seed: int) -> NDArray[np.float32]:
    """Where networks start: contexts say nothing, the picture is gray."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, shape in size.shapes.items():
        values = np.zeros(shape)
        fan = shape[-1]
        if name == "context_3.weight":
            values = rng.normal(0, fan**-0.5 / 4, shape)
        elif name.endswith(".weight") and name.startswith(("features", "synthesis")):
            values = rng.uniform(-(fan**-0.5), fan**-0.5, shape)
        elif name == "up.weight":
            values[:] = -0.03515625, -0.10546875, 0.26171875, 0.87890625  # bicubic
        elif name == "synthesis_2.bias":
            values[:] = 0.5
        parts.append(values.ravel())
    return np.concatenate(parts).astype(np.float32)


def psnr(mse: float) -> float:
    """In dB, of samples 0…1."""
    return -10 * math.log10(mse) if mse > 0 else math.inf


def _between(ends: tuple[float, float], part: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * part
