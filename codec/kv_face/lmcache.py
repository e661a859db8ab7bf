"""Lictor as a serde of LMCache: what it writes to disk or over a network, in few bits.

    import lictor.kv.lmcache
    lictor.kv.lmcache.register()

and in the adapter's configuration `"serde": {"type": "lictor", "calibration": "model.lkc"}`, with
whatever else `lictor.kv.encode` takes. Without options caches come back bit by bit. Keys of an
object are coded as they are turned, since LMCache does not say at which position it starts: use a
calibration without `rope`. Made for LMCache 0.5.6.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from lmcache.v1.distributed.serde import (
    AsyncSerdeProcessor,
    Deserializer,
    Serializer,
    register_serde_factory,
)
from lmcache.v1.memory_management import MemoryFormat

from lictor.codec.errors import CorruptFile, InvalidOption, InvalidTarget, UnsupportedArray
from lictor.codec.kv import api
from lictor.codec.kv.calibration import Calibration

NAME = "lictor"
_LENGTH = 8
"""Bytes before a stream that say how long it is: buffers are longer."""
_FIXED, _EACH = 256, 32
"""Bytes that a stream takes at most beside its values: in all and for each chunk, and for each
layer of a chunk."""


def register(name: str = NAME) -> None:
    """Tell LMCache of the serde.

    Args:
        name: the type that configurations name it by.

    Raises:
        ValueError: LMCache knows one of that name.
    """
    register_serde_factory(name, processor)


def processor(options: dict[str, Any]) -> Any:
    """What LMCache runs.

    Args:
        options: of `lictor.kv.encode`, the calibration as a path; max_workers for threads.

    Returns:
        An `AsyncSerdeProcessor`.

    Raises:
        CodecError: the calibration cannot be read, or has a rope.
    """
    own = dict(options)
    threads = int(own.pop("max_workers", 1))
    given = own.pop("calibration", None)
    calibration = None if given is None else Calibration.load(given)
    return AsyncSerdeProcessor(
        LictorSerializer(calibration, **own), LictorDeserializer(calibration), max_workers=threads
    )


class LictorSerializer(Serializer):
    """Caches to bytes.

    Args:
        calibration: of the model, without a rope; None for none.
        options: of `lictor.kv.encode`; a cache that cannot reach a target is coded without loss.

    Raises:
        InvalidOption: the calibration has a rope.
    """

    def __init__(self, calibration: Calibration | None = None, **options: Any) -> None:
        if calibration is not None and calibration.rope is not None:
            raise InvalidOption(
                "the calibration turns keys back by position, which LMCache does not tell; make "
                "one without rope"
            )
        self._calibration, self._options = calibration, options

    def serialize(self, src: Any, dst: Any, key: Any) -> int:
        """Write the cache of `src` into the bytes of `dst`; how many they are."""
        layers = _pairs(src.tensor, src.meta.fmt)
        try:
            data = api.encode(layers, calibration=self._calibration, **self._options)
        except InvalidTarget:  # which this cache cannot reach: nobody is there to be asked
            data = api.encode(layers, calibration=self._calibration, lossless=True)
        data = len(data).to_bytes(_LENGTH, "little") + data
        room = dst.tensor.view(torch.uint8).flatten()
        if room.numel() < len(data):
            raise ValueError(f"{len(data)} bytes do not fit a buffer of {room.numel()}")
        room[: len(data)].copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        return len(data)

    def estimate_serialized_size(self, layout_desc: Any) -> int:
        """Bytes that no cache of a layout goes beyond."""
        chunk = self._options.get("chunk", api.CHUNK)
        most = 0
        for shape, dtype in zip(layout_desc.shapes, layout_desc.dtypes, strict=True):
            layers = math.prod(shape) // (shape[-1] * max(shape[-2], 1))
            chunks = -(-max(shape) // chunk)
            most += math.prod(shape) * dtype.itemsize + (chunks + 1) * (_FIXED + layers * _EACH)
        return int(most + _LENGTH)


class LictorDeserializer(Deserializer):
    """Bytes to caches.

    Args:
        calibration: that they were made with; None for none.
    """

    def __init__(self, calibration: Calibration | None = None) -> None:
        self._calibration = calibration

    def deserialize(self, src: Any, dst: Any, key: Any) -> None:
        """Fill the cache of `dst` from the bytes of `src`. Raises CodecError."""
        data = src.tensor.view(torch.uint8).flatten().cpu().numpy()
        length = int.from_bytes(data[:_LENGTH].tobytes(), "little")
        if length > data.size - _LENGTH:
            raise CorruptFile(f"a stream of {length} bytes in a buffer of {data.size}")
        cache = api.decode(data[_LENGTH : _LENGTH + length], calibration=self._calibration)
        pairs = _pairs(dst.tensor, dst.meta.fmt)
        found = [tuple(m[0].transpose(0, 1).flatten(1) for m in pair) for pair in cache.tensors()]
        if [[m.shape for m in pair] for pair in pairs] != [[m.shape for m in p] for p in found]:
            raise CorruptFile("the stream is of a cache of another shape")
        for pair, own in zip(pairs, found, strict=True):
            for to, matrix in zip(pair, own, strict=True):
                to.copy_(matrix.to(to.dtype))


def _pairs(tensor: Any, layout: Any) -> list[tuple[Any, Any]]:
    """Views of the keys and values of each layer, (tokens, channels). Raises UnsupportedArray."""
    if layout == MemoryFormat.KV_2LTD and tensor.dim() == 4:
        return [(tensor[0, layer], tensor[1, layer]) for layer in range(tensor.shape[1])]
    if layout == MemoryFormat.KV_T2D and tensor.dim() == 3:
        return [(tensor[:, 0], tensor[:, 1])]
    if layout == MemoryFormat.KV_2TD and tensor.dim() == 3:
        return [(tensor[0], tensor[1])]
    raise UnsupportedArray(
        f"a cache of layout {layout} and shape {tuple(tensor.shape)} is not coded; KV_2LTD, KV_2TD "
        "and KV_T2D are"
    )
