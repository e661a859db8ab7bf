"""The overfitted codec in floating point, with gradients: an oracle of trainer and decoder.

It computes what OVERFIT.md computes in integers, but for rounding. Nothing that encodes or decodes
needs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lictor.models.overfit import sizes
from lictor.models.overfit.sizes import Size

FLOOR = 2.0**-21
"""No probability is less: that of the least interval (laplace.h)."""
_CUBIC = -0.75
_GRAY = 0.5


class Taps(nn.Module):
    """The different taps of a symmetric filter for each doubling, outermost first."""

    def __init__(self, taps: Sequence[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([list(taps)] * (sizes.LEVELS - 1)))


class Twin(nn.Module):
    """The networks of a picture.

    Args:
        size: of `sizes.SIZES`.

    Its parameters, in the order of `size.shapes`, are those that are coded.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        d = size.inputs
        self.context_1 = nn.Linear(d, d)
        self.context_2 = nn.Linear(d, d)
        self.context_3 = nn.Linear(d, 2)
        self.context_linear = nn.Linear(d, 2, bias=False)
        for level in range(sizes.GUIDED_LEVELS):
            layer = nn.Linear(sizes.guides(level), size.features)
            self.add_module(f"features_{level}", layer)
        # Level l's taps double grids from level l + 1 to l, and are before grid l.
        self.up = Taps([_cubic(distance) for distance in (1.75, 1.25, 0.75, 0.25)])
        self.pre = Taps([0.0, 0.0, 0.0, 0.0])
        self.synthesis_1 = nn.Linear(sizes.LEVELS, size.hidden)
        self.synthesis_2 = nn.Linear(size.hidden, 3)
        for number in range(size.filters):
            self.add_module(f"filter_{number}", nn.Conv2d(3, 3, 3))
        self.synthesis_linear = nn.Linear(sizes.LEVELS, 3, bias=False)
        self._start()

    def _start(self) -> None:
        """Residual layers start at nothing, the picture at gray."""
        filters = [self._filter(number) for number in range(self.size.filters)]
        for layer in (self.context_1, self.context_2, self.context_3, *filters):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        nn.init.zeros_(self.context_linear.weight)
        nn.init.normal_(self.context_3.weight, std=self.size.inputs**-0.5 / 4)
        nn.init.constant_(self.synthesis_2.bias, _GRAY)

    def _filter(self, number: int) -> nn.Conv2d:
        layer = getattr(self, f"filter_{number}")
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(
        self, grids: Sequence[Tensor], shape: tuple[int, int], tile: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """What grids decode to, and their bits.

        Args:
            grids: (h, w) each, of `sizes.grid_shapes`, in units of symbols.
            shape: height and width of the picture.
            tile: of `sizes.tile_sides`.

        Returns:
            (3, H, W) of about 0…1, not held within; and the bits of each grid, (10,).
        """
        bits = [self.bits(grids, index, tile).sum() for index in range(len(grids))]
        return self.synthesis(self.upsampled(grids, shape)), torch.stack(bits)

    def bits(self, grids: Sequence[Tensor], index: int, tile: tuple[int, int]) -> Tensor:
        """Of each symbol of a grid, of its shape."""
        mu, scale = self.laplace(grids, index, tile)
        below, above = (_cdf((grids[index] + side - mu) / scale) for side in (-0.5, 0.5))
        return -torch.log2((above - below).clamp(min=FLOOR))

    def laplace(
        self, grids: Sequence[Tensor], index: int, tile: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Mean and scale of each symbol of a grid, of its shape."""
        size, level = self.size, sizes.GRID_LEVELS[index]
        sides = tile[0] >> level, tile[1] >> level
        offsets = sizes.NEIGHBOURS[: size.neighbours]
        inputs = [neighbour(grids[index], offset, sides) for offset in offsets]
        if index < sizes.GUIDED_LEVELS:
            inputs += [*self.guide(grids, level)]
        else:
            inputs += [torch.zeros_like(grids[index])] * size.features
        x = torch.stack(inputs, dim=-1)
        hidden = F.relu(x + self.context_1(x))
        hidden = F.relu(hidden + self.context_2(hidden))
        mu, s = (self.context_3(hidden) + self.context_linear(x)).unbind(-1)
        limit = sizes.LOG_SCALE_LIMIT
        return mu, torch.exp((s - sizes.LOG_SCALE_SHIFT).clamp(-limit, limit))

    def guide(self, grids: Sequence[Tensor], level: int) -> Tensor:
        """Features (F, h, w) of one of the finest grids, each for 2x2 symbols."""
        found = []
        height, width = grids[level + 1].shape
        for index in (*range(level + 1, sizes.LEVELS), *range(sizes.LEVELS, len(grids))):
            times = 1 << (sizes.GRID_LEVELS[index] - level - 1)
            found.append(repeated(grids[index], times)[:height, :width])
        features = getattr(self, f"features_{level}")(torch.stack(found, dim=-1)).movedim(-1, 0)
        height, width = grids[level].shape
        return repeated(features, 2)[:, :height, :width]

    def upsampled(self, grids: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
        """Grids 1/1 … 1/64 at the picture's size, (7, H, W)."""
        planes = grids[sizes.LEVELS - 1][None]
        for level in reversed(range(sizes.LEVELS - 1)):
            height, width = sizes.grid_shape(*shape, level)
            planes = doubled(planes, self.up.weight[level])[:, :height, :width]
            finer = grids[level][None]
            planes = torch.cat([smoothed(finer, self.pre.weight[level]), planes])
        return planes

    def synthesis(self, planes: Tensor) -> Tensor:
        """(3, H, W) of (7, H, W)."""
        x = planes.movedim(0, -1)
        out = self.synthesis_2(F.relu(self.synthesis_1(x))).movedim(-1, 0)
        for number in range(self.size.filters):
            if number:
                out = F.relu(out)
            padded = F.pad(out[None], (1, 1, 1, 1), mode="replicate")
            out = out + self._filter(number)(padded)[0]
        return out + self.synthesis_linear(x).movedim(-1, 0)


def flat(twin: Twin) -> NDArray[np.float32]:
    """All parameters, one after another."""
    return np.concatenate([p.detach().numpy().ravel() for p in twin.parameters()])


def load(twin: Twin, values: NDArray[np.float32]) -> None:
    """Take parameters that `flat` gave."""
    at = 0
    with torch.no_grad():
        for parameter in twin.parameters():
            part = torch.from_numpy(values[at : at + parameter.numel()].copy())
            parameter.copy_(part.view_as(parameter))
            at += parameter.numel()


def neighbour(grid: Tensor, offset: tuple[int, int], tile: tuple[int, int]) -> Tensor:
    """For each place what lies so many rows and columns away; 0 outside of the place's tile."""
    (height, width), (down, right) = grid.shape, offset
    around = max(map(abs, offset))
    padded = F.pad(grid, (around,) * 4)
    top, left = around + down, around + right
    moved = padded[top : top + height, left : left + width]
    rows, columns = torch.arange(height), torch.arange(width)
    same_rows = torch.div(rows + down, tile[0], rounding_mode="floor") == rows // tile[0]
    same_columns = torch.div(columns + right, tile[1], rounding_mode="floor") == columns // tile[1]
    return moved * (same_rows[:, None] & same_columns)


def repeated(planes: Tensor, times: int) -> Tensor:
    """Each value times x times."""
    return planes.repeat_interleave(times, -1).repeat_interleave(times, -2)


def doubled(planes: Tensor, taps: Tensor) -> Tensor:
    """Planes (C, h, w) at twice their size: 8 taps, symmetric, down and across.

    The value 2i lies 1/4 before value i of the planes, 2i + 1 as far behind it.
    """
    a, b, c, d = taps  # at distances of 7/4, 5/4, 3/4, 1/4
    even, odd = torch.stack([a, c, d, b]), torch.stack([b, d, c, a])
    for axis in (-2, -1):
        padded = _replicated(planes, 2, axis)
        count = planes.shape[axis]
        parts = [padded.narrow(axis, i, count) for i in range(5)]
        first = torch.stack([w * p for w, p in zip(even, parts[:4], strict=True)]).sum(0)
        second = torch.stack([w * p for w, p in zip(odd, parts[1:], strict=True)]).sum(0)
        shape = list(planes.shape)
        shape[axis] *= 2
        planes = torch.stack([first, second], dim=axis).reshape(shape)
    return planes


def smoothed(planes: Tensor, taps: Tensor) -> Tensor:
    """With what 7 taps give, symmetric, added; down, and then across. taps: outermost first."""
    weights = torch.cat([taps, taps[:3].flip(0)])
    for axis in (-2, -1):
        padded, count = _replicated(planes, 3, axis), planes.shape[axis]
        parts = [w * padded.narrow(axis, i, count) for i, w in enumerate(weights)]
        planes = planes + torch.stack(parts).sum(0)
    return planes


def soft_round(x: Tensor, temperature: float) -> Tensor:
    """A step that is softer the higher the temperature. Source: Agustsson and Theis 2020, eq. 4."""
    whole = torch.floor(x)
    steep = torch.tanh((x - whole - 0.5) / temperature)
    return whole + 0.5 + 0.5 * steep / math.tanh(0.5 / temperature)


def noisy(x: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """What stands for rounding in training. Source: C3 (Kim et al., CVPR 2024), section 3.2."""
    return soft_round(soft_round(x, temperature) + noise, temperature)


def _replicated(planes: Tensor, count: int, axis: int) -> Tensor:
    """With the first and last value repeated so many times along an axis."""
    size = planes.shape[axis]
    places = torch.arange(-count, size + count).clamp(0, size - 1)
    return planes.index_select(axis, places)


def _cdf(x: Tensor) -> Tensor:
    """Of the Laplace distribution of scale 1."""
    tail = 0.5 * torch.exp(-x.abs())
    return torch.where(x < 0, tail, 1 - tail)


def _cubic(x: float) -> float:
    """The cubic kernel (Keys 1981) at a distance of 0 to 2."""
    a = _CUBIC
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return a * (((x - 5) * x + 8) * x - 4)
