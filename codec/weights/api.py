"""Files of tensors to weight files and back: `encode_weights`, `decode_weights`."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import IO, Any

from lictor.codec.weights import file as files
from lictor.codec.weights import lossy, writer
from lictor.codec.weights import source as sources
from lictor.codec.weights.curvature import Calibration
from lictor.codec.weights.quantisers import Quantiser
from lictor.codec.weights.reader import Reader

Given = str | os.PathLike[str] | Any


def encode_weights(
    source: Given,
    *,
    base: Given | None = None,
    quality: float | None = None,
    bits: float | None = None,
    quantiser: str | Quantiser | None = None,
    calibration: Calibration | str | os.PathLike[str] | None = None,
    threads: int = 1,
    into: IO[bytes] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> bytes:
    """Encode a .safetensors file: so that it comes back to the byte, or, with a quality, with loss.

    Args:
        source: the path of the file, or its bytes.
        base: another such file, as the checkpoint before, that whoever decodes will have. Of
            tensors of the same name, type and shape only the difference is coded.
        quality: 0 to 100, of the values of tensors of floats with two axes or more: 12.5 more are
            about a bit a value more. What is decoded is a file of the same tensors and types.
        bits: in place of a quality, at most so many a value, all bytes counted, where that can be.
        quantiser: what makes whole numbers of values, by its name in
            `lictor.codec.weights.quantisers`, or a function as those are; None for the best.
        calibration: what data say of the network, as `lictor.training.calibrated.calibrate`
            measures it, or the path of its file.
        threads: that work on the chunks of a tensor. The bytes are the same.
        into: a file that takes the bytes as they are made, one tensor at a time in memory.
        progress: called with the tensors done and their number.

    Returns:
        The weight file; b"" if it went into a file.

    Raises:
        CodecError: NotSafetensors for what safetensors itself would refuse; InvalidOption.
        OSError: a file cannot be read.
    """
    buffer = into if into is not None else io.BytesIO()
    other = sources.opened(base) if base is not None else None
    own = sources.opened(source)
    options = {"quality": quality, "bits": bits, "quantiser": quantiser, "calibration": calibration}
    how = lossy.asked(own, options, base is not None)
    writer.write(own, buffer, other, threads, progress, how)
    return buffer.getvalue() if isinstance(buffer, io.BytesIO) and into is None else b""


def decode_weights(
    data: Given,
    *,
    base: Given | None = None,
    layers: int | None = None,
    threads: int = 1,
    into: IO[bytes] | None = None,
) -> bytes:
    """Decode what `encode_weights` made.

    Args:
        data: the path of the weight file, or its bytes.
        base: the file that it was encoded with, if it was with one.
        layers: of a file that was encoded in layers, as with quantiser="nested", only so many of
            them, from the coarsest on.
        threads: that work on the chunks of a tensor.
        into: a file that takes the bytes as they are decoded.

    Returns:
        The .safetensors file, as it was; b"" if it went into a file.

    Raises:
        CodecError: a FileError for what is not such a file, or damaged, which names the tensor;
            ModelUnavailable for a base that is missing or another one; InvalidOption for layers
            that the file has not.
    """
    buffer = into if into is not None else io.BytesIO()
    opened = files.read(sources.mapped(data))
    other = sources.opened(base) if base is not None else None
    with writer.mapping(threads) as mapped:
        Reader(opened, other, mapped, layers).write(buffer)
    return buffer.getvalue() if isinstance(buffer, io.BytesIO) and into is None else b""
