"""Arrays as planes: every shape there and back, each place in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor.codec.arrays import planes as feature_planes
from lictor.codec.arrays.planes import Layout, likely_axis


@given(st.lists(st.integers(1, 7), min_size=0, max_size=5), st.integers(1, 9), st.data())
def test_there_and_back(shape: list[int], width: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-1, len(shape) - 1))
    x = np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape)
    layout = Layout(tuple(shape), axis, width)
    frames = layout.pack(x)
    count, rows, columns = layout.planes
    assert frames.shape == (count, width, rows, columns)
    np.testing.assert_array_equal(layout.unpack(frames), x)
    assert np.count_nonzero(frames) == x.size  # what is added is 0
    per_channel = layout.spread_out(np.arange(layout.channels))
    assert np.broadcast_shapes(per_channel.shape, x.shape) == x.shape


def test_channels_keep_their_places() -> None:
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(Layout(x.shape, 1, 3).pack(x), x)
    tokens = np.arange(8 * 3).reshape(8, 3)
    np.testing.assert_array_equal(Layout(tokens.shape, 1, 3).pack(tokens)[0, :, 1, 2], tokens[6])


@pytest.mark.parametrize("shape", [(3, 2, 300, 5), (1, 2, 7, 600), (40, 2, 100, 90), (2, 70000)])
def test_pieces_cover_every_place_once(shape: tuple[int, ...]) -> None:
    layout = Layout(shape, 1 if len(shape) == 4 else 0, 2)
    seen = np.zeros((layout.planes[0], 1, *layout.planes[1:]), int)
    for piece in layout.pieces():
        seen[piece.place] += 1
        assert piece.count * np.prod(piece.shape) <= feature_planes.PLACES
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 64, 7, 7), 1),
        ((2, 7, 7, 64), 3),
        ((9, 64), 1),
        ((64, 64), 1),
        ((64,), 0),
        ((9, 40), 1),  # holds more than half of them
        ((9, 20), -1),
        ((2, 20, 7, 7), -1),
        ((), -1),
    ],
)
def test_the_axis_shows_in_the_shape(shape: tuple[int, ...], axis: int) -> None:
    assert likely_axis(shape, 64) == axis
