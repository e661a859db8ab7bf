"""A picture coded by ONNX graphs: onnxruntime computes networks, lictor.entropy codes symbols.

    lictor export-onnx lictor-s.mse --into graphs
    python examples/onnx_codec.py graphs photo.png back.png --quality 40

What an app of one's own has to do, in whatever language; docs/onnx.md explains it. The stream is
that of a .bin file, without its header.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from lictor.entropy import Decoder, Encoder, Pull, Push, SymbolIo

UNIT = 4096.0
"""What is 1 in the integers of the exact graphs."""
ORDER = (0, 3, 1, 2)
MOST = 2**20
"""Symbols are held within it."""
SIDE = 64
"""Pictures are padded to multiples of it."""


class Graphs:
    """The graphs of a model, in a folder that `lictor export-onnx` wrote."""

    def __init__(self, folder: str) -> None:
        self.sessions = {
            path.suffixes[-2][1:]: onnxruntime.InferenceSession(str(path))
            for path in Path(folder).glob("*.onnx")
        }

    def __call__(self, name: str, **inputs: Any) -> Any:
        """What a graph gives: an array, or several; inputs that it does not have are left out."""
        session = self.sessions[name]
        own = {i.name: inputs[i.name] for i in session.get_inputs()}
        found = session.run(None, own)
        return found[0] if len(found) == 1 else found


def places(k: int, channels: int) -> Iterator[tuple[Any, ...]]:
    """Where the four phases of a step's values are in y_hat (1, h, w, channels)."""
    group = channels // 4
    for phase in range(4):
        first = (phase ^ ORDER[k]) * group
        yield 0, slice(phase // 2, None, 2), slice(phase % 2, None, 2), slice(first, first + group)


def code(graphs: Graphs, io: SymbolIo, step: Any, shape: tuple[int, int], y: Any, z: Any) -> Any:
    """All symbols of a picture, one way or the other; y, z: of an encoder. Returns y_hat."""
    rows, columns = shape
    table = graphs("side-tables", step=step)
    index = np.ascontiguousarray(np.broadcast_to(table, (rows, columns, table.shape[1])))
    coded = io.code(None if z is None else symbols(z).ravel(), index.ravel())
    side = coded.clip(-MOST, MOST).reshape(1, *index.shape)
    prior = graphs("hyper-synthesis", z=side, step=step)
    known = None
    for k in range(4):
        mean, index = graphs(f"context-{k}", prior=prior, known=known, step=step)
        channels = 4 * mean.shape[3]
        if known is None:
            known = np.zeros((1, 4 * rows, 4 * columns, channels))
        own = None
        if y is not None:
            target = np.stack([y[place] for place in places(k, channels)])
            own = symbols(target - mean / UNIT).ravel()
        coded = io.code(own, index.ravel()).clip(-MOST, MOST).reshape(index.shape)
        for phase, place in enumerate(places(k, channels)):
            known[place] = coded[phase] * UNIT + mean[phase]
    return known


def symbols(values: Any) -> Any:
    """Rounded, halves up."""
    return np.floor(values + 0.5).clip(-MOST, MOST).astype(np.int32)


def encode(graphs: Graphs, pixels: Any, quality: float) -> bytes:
    """The stream of uint8 (H, W, 3)."""
    below, right = (-side % SIDE for side in pixels.shape[:2])
    wide = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
    picture = (wide.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
    y = graphs("analysis", picture=picture, quality=np.array([quality], np.float32))
    z = graphs("hyper-analysis", y=y)
    encoder, step = Encoder(), np.array([round(4 * quality)])
    y, z = (part.transpose(0, 2, 3, 1).astype(np.float64) for part in (y, z))
    code(graphs, Push(encoder), step, z.shape[1:3], y, z[0])
    return encoder.finish()


def decode(graphs: Graphs, stream: bytes, shape: tuple[int, int], quality: float) -> Any:
    """The pixels of a stream, uint8 (H, W, 3)."""
    height, width = shape
    decoder, step = Decoder(stream), np.array([round(4 * quality)])
    cells = -(-height // SIDE), -(-width // SIDE)
    known = code(graphs, Pull(decoder), step, cells, None, None)
    decoder.close()
    y_hat = (known / UNIT).astype(np.float32).transpose(0, 3, 1, 2)
    q = np.array([quality], np.float32)
    picture = graphs("synthesis", y_hat=np.ascontiguousarray(y_hat), quality=q)
    return np.rint(picture[0].transpose(1, 2, 0)[:height, :width] * 255).astype(np.uint8)


def main() -> None:
    """Encode and decode a picture, and say what came of it."""
    parser = argparse.ArgumentParser(description="A picture coded by ONNX graphs.")
    parser.add_argument("graphs", help="the folder that `lictor export-onnx` wrote")
    parser.add_argument("picture")
    parser.add_argument("out", help="the decoded picture")
    parser.add_argument("--quality", type=float, default=50.0)
    given = parser.parse_args()
    pixels = np.asarray(Image.open(given.picture).convert("RGB"))
    graphs = Graphs(given.graphs)
    stream = encode(graphs, pixels, given.quality)
    back = decode(graphs, stream, pixels.shape[:2], given.quality)
    Image.fromarray(back).save(given.out)
    error = np.square(back.astype(float) - pixels).mean()
    print(f"{len(stream)} bytes, {10 * np.log10(255**2 / error):.2f} dB")


if __name__ == "__main__":
    main()
