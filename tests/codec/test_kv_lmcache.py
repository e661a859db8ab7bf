"""The serde for LMCache, against the package itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from lictor.kv import Calibration, Rope, calibrate

pytest.importorskip("lmcache", reason="LMCache is not installed", exc_type=ImportError)
memory = pytest.importorskip(
    "lmcache.v1.memory_management", reason="LMCache lacks packages", exc_type=ImportError
)
serde = pytest.importorskip("lmcache.v1.distributed.serde")
api = pytest.importorskip("lmcache.v1.distributed.api")

SHAPE = (2, 3, 64, 32)


def _object(tensor: torch.Tensor, layout: Any) -> Any:
    raw = tensor.reshape(-1).view(torch.uint8)
    said = memory.MemoryObjMetadata(
        shape=tensor.shape,
        dtype=tensor.dtype,
        address=0,
        phy_size=raw.numel(),
        ref_count=1,
        fmt=layout,
    )
    return memory.TensorMemoryObj(raw, said, None)


def _cache(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return (drawn * torch.linspace(0.2, 3, shape[-1])).bfloat16()


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate([_cache(5).transpose(0, 1)])


@pytest.mark.parametrize("options", [{}, {"bits": 6.0}, {"max_error": 0.01}, {"lossless": True}])
def test_there_and_back(options: dict[str, Any], calibration: Calibration):
    from lictor.kv.lmcache import LictorDeserializer, LictorSerializer

    own = calibration if "max_error" not in options else None
    own = own if options else None
    layout = memory.MemoryFormat.KV_2LTD
    cache = _cache()
    serializer = LictorSerializer(own, **options)
    described = api.MemoryLayoutDesc([cache.shape], [cache.dtype])
    room = serializer.estimate_serialized_size(described)
    noise = torch.randint(0, 2**16, SHAPE).to(torch.int32).to(torch.int16).view(torch.bfloat16)
    buffer = torch.zeros(room, dtype=torch.uint8)
    stored = _object(buffer, memory.MemoryFormat.BINARY_BUFFER)
    assert serializer.serialize(_object(noise, layout), stored, None) <= room  # what fits nothing
    size = serializer.serialize(_object(cache, layout), stored, None)
    assert size < cache.numel() * 2 or not options  # so small a cache pays for no tables
    back = torch.zeros_like(cache)
    LictorDeserializer(own).deserialize(stored, _object(back, layout), None)
    error = (back.float() - cache.float()).abs().max()
    assert error <= {"bits": 0.3, "max_error": 0.01}.get(next(iter(options), ""), 0)


@pytest.mark.parametrize(("name", "shape"), [("KV_2TD", (2, 40, 8)), ("KV_T2D", (40, 2, 8))])
def test_other_layouts(name: str, shape: tuple[int, ...]):
    from lictor.kv.lmcache import LictorDeserializer, LictorSerializer

    layout = getattr(memory.MemoryFormat, name)
    cache = _cache(1, shape)
    stored = _object(torch.zeros(9000, dtype=torch.uint8), memory.MemoryFormat.BINARY_BUFFER)
    LictorSerializer().serialize(_object(cache, layout), stored, None)
    back = torch.zeros_like(cache)
    LictorDeserializer().deserialize(stored, _object(back, layout), None)
    assert torch.equal(back, cache)


def test_lmcache_finds_it_by_name_and_runs_it():
    import lictor.kv.lmcache

    lictor.kv.lmcache.register("lictor-test")
    made = serde.create_serde_processor(serde.SerdeConfig("lictor-test", {"max_error": 0.05}))
    cache, layout = _cache(), memory.MemoryFormat.KV_2LTD
    stored = _object(torch.zeros(90_000, dtype=torch.uint8), memory.MemoryFormat.BINARY_BUFFER)
    back = torch.zeros_like(cache)
    waiting = threading.Event()
    key = api.ObjectKey(b"0" * 32, "model", 0)
    task = made.submit_serialize([_object(cache, layout)], [stored], [key])
    while (done := made.query_serialize_result(task)) is None:
        waiting.wait(0.01)
    assert done
    task = made.submit_deserialize([stored], [_object(back, layout)], [key])
    while (done := made.query_deserialize_result(task)) is None:
        waiting.wait(0.01)
    assert done and 0 < (back.float() - cache.float()).abs().max() <= 0.05
    made.close()


def test_a_calibration_by_position_is_refused():
    from lictor.codec.errors import InvalidOption
    from lictor.kv.lmcache import LictorSerializer

    turned = calibrate([_cache(5).transpose(0, 1)], rope=Rope((1.0, 0.1)))
    with pytest.raises(InvalidOption, match="rope"):
        LictorSerializer(turned)
