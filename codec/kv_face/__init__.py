"""Keys and values of language models' caches, in few bits: the KV codec.

    import lictor.kv
    calibration = lictor.kv.calibrate([cache], rope=lictor.kv.Rope(frequencies))
    data = lictor.kv.encode(cache, calibration=calibration, bits=3)
    cache = lictor.kv.decode(data, calibration=calibration).dynamic_cache()

docs/kv.md has examples. In the wheel, and in an editable installation, this folder is the package
`lictor.kv`.
"""

from __future__ import annotations

from lictor.codec.errors import CalibrationUnavailable
from lictor.codec.kv.api import KvInfo, append, decode, encode, info
from lictor.codec.kv.cache import Cache
from lictor.codec.kv.calibrate import calibrate
from lictor.codec.kv.calibration import Calibration
from lictor.codec.kv.rope import Rope

__all__ = [
    "Cache",
    "Calibration",
    "CalibrationUnavailable",
    "KvInfo",
    "Rope",
    "append",
    "calibrate",
    "decode",
    "encode",
    "info",
]
