"""What a person sees of a run: a line of progress, log.csv, rd.csv, pictures, TensorBoard."""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from lictor.training import validation
from lictor.training.losses import Criterion
from lictor.training.processes import Team
from lictor.training.state import State

EVERY = 20
"""Steps that a line of log.csv is the mean of."""

COLUMNS = (
    "step",
    "minutes",
    "loss",
    "bpp",
    "mse",
    "learning_rate",
    "skipped",
    "images_per_s",
    "waiting",
)


class Watch:
    """Collects and reports; all processes call it, the leading one writes.

    log.csv: means of EVERY steps; `waiting` is the share of time in which the loop waited for
    pictures. rd.csv: the curve on the validation pictures at each validation; rd.png shows it,
    samples.png the pictures.
    """

    def __init__(self, run: Path, team: Team, criterion: Criterion, progress: float) -> None:
        self.run, self.team, self.criterion = run, team, criterion
        self.pictures = validation.kept(run) if team.leads else []
        self.curves: list[list[validation.Point]] = []
        self._validated = -1
        self._bar = tqdm(
            total=100,
            initial=round(100 * progress, 3),
            bar_format="{percentage:3.0f}% |{bar:20}| {elapsed}<{remaining}{postfix}",
            disable=not (team.leads and sys.stderr.isatty()),
        )
        self._board = _board(run) if team.leads else None
        self._reset()

    def _reset(self) -> None:
        self._sums: Any = 0.0
        self._steps, self._images = 0, 0
        self._waited, self._since = 0.0, time.perf_counter()

    def waited(self, seconds: float) -> None:
        """The loop waited so long for a batch."""
        self._waited += seconds

    def step(
        self, state: State, noted: Tensor, images: int, rate: float, progress: float
    ) -> float | None:
        """After a step: noted holds its loss, bpp and mean squared error, of this process.

        Returns the mean squared error since the last line of log.csv, if this step is due for one.
        """
        self._sums = self._sums + noted
        self._steps, self._images = self._steps + 1, self._images + images
        self._bar.update(round(100 * progress, 3) - self._bar.n)
        return self.log(state, rate, progress) if self._steps == EVERY else None

    def log(self, state: State, rate: float, progress: float) -> float | None:
        """A line of log.csv about the steps since the last one; returns their squared error."""
        if not self._steps:
            return None
        loss, bpp, mse = self.team.mean(self._sums / self._steps).tolist()
        taken = time.perf_counter() - self._since
        speed, waiting = self._images / taken, self._waited / taken
        self._reset()
        if not self.team.leads:
            return mse
        values = (state.step, state.spent, loss, bpp, mse, rate, state.skipped, speed, waiting)
        _append(self.run / "log.csv", COLUMNS, [values])
        self._bar.set_postfix_str(
            f"step {state.step}, loss {loss:.4f}, {bpp:.3f} bpp, {_psnr(mse):.2f} dB,"
            f" {speed:.0f} images/s, {waiting:.0%} waiting"
        )
        if self._board:
            for name, value in zip(COLUMNS[2:], values[2:], strict=True):
                self._board.add_scalar(f"train/{name}", value, state.step)
            self._board.add_scalar("train/psnr", _psnr(mse), state.step)
        return mse

    def validate(self, state: State) -> None:
        """Curve and pictures of the averaged weights, by the leading process, once at a step."""
        if self._validated == state.step:
            return
        self._validated = state.step
        began = time.perf_counter()
        if self.team.leads and self.pictures:
            device = self.team.device
            points = validation.curve(state.average, self.pictures, self.criterion, device)
            self.curves.append(points)
            sheet = validation.sheet(state.average, self.pictures, device)
            self._show(state, points, sheet)
        # Neither training nor waiting for data.
        self._since += time.perf_counter() - began

    def _show(self, state: State, points: Sequence[validation.Point], sheet: Any) -> None:
        rows = [(state.step, state.spent, p.quality, p.loss, p.bpp, p.psnr) for p in points]
        _append(self.run / "rd.csv", ("step", "minutes", "quality", "loss", "bpp", "psnr"), rows)
        plot = validation.plot(self.curves)
        plot.save(self.run / "rd.png")
        sheet.save(self.run / "samples.png")
        curve = ", ".join(f"{p.bpp:.3f} bpp {p.psnr:.2f} dB" for p in points)
        mean = fmean(p.loss for p in points)
        self.say(f"step {state.step}, {state.spent:.1f} min: loss {mean:.4f}; {curve}")
        if self._board:
            self._board.add_image("rd", np.asarray(plot), state.step, dataformats="HWC")
            self._board.add_image("samples", np.asarray(sheet), state.step, dataformats="HWC")
            self._board.add_scalar("validation/loss", mean, state.step)
            for p in points:
                self._board.add_scalar(f"validation/bpp_{p.quality:g}", p.bpp, state.step)
                self._board.add_scalar(f"validation/psnr_{p.quality:g}", p.psnr, state.step)

    def say(self, line: str) -> None:
        """A line for people, above the bar, from the leading process."""
        if self.team.leads:
            self._bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """Nothing more comes."""
        if len(self.curves) > 1:
            first, last = (fmean(p.loss for p in self.curves[i]) for i in (0, -1))
            self.say(f"loss on validation pictures: {first:.4f} at first, {last:.4f} now")
        self._bar.close()
        if self._board:
            self._board.close()


def _psnr(mse: float) -> float:
    return 10 * math.log10(255**2 / mse) if mse > 0 else math.inf


def _append(path: Path, columns: Sequence[str], rows: Sequence[Sequence[float]]) -> None:
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not file.tell():
            writer.writerow(columns)
        writer.writerows([f"{value:.6g}" for value in row] for row in rows)


def _board(run: Path) -> Any:
    """TensorBoard's writer where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print("no TensorBoard logs; pip install 'lictor[train]' for them", file=sys.stderr)
        return None
    return SummaryWriter(str(run))
