"""The codec: file format, Python interface and command line.

    from lictor.codec import encode, decode, info
    data = encode(picture, quality=50.0)
    picture = decode(data)

Importing this package imports neither numpy nor torch: each is loaded when it is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lictor.codec.api import (
        Answer,
        Info,
        Latents,
        Store,
        VerifyReport,
        classify,
        decode_picture,
        encode,
        estimate,
        latents,
        verify,
    )
    from lictor.codec.arrays.api import decode_features, encode_features
    from lictor.codec.arrays.info import FeatureInfo, feature_info
    from lictor.codec.arrays.opened import OpenArray, open_array
    from lictor.codec.errors import CodecError, PictureWarning
    from lictor.codec.kinds import decode, info
    from lictor.codec.weights.api import decode_weights, encode_weights
    from lictor.codec.weights.info import WeightsInfo, weights_info
    from lictor.codec.weights.opened import OpenWeights, open_weights

__all__ = [
    "Answer",
    "CodecError",
    "FeatureInfo",
    "Info",
    "Latents",
    "OpenArray",
    "OpenWeights",
    "PictureWarning",
    "Store",
    "VerifyReport",
    "WeightsInfo",
    "classify",
    "decode",
    "decode_features",
    "decode_picture",
    "decode_weights",
    "encode",
    "encode_features",
    "encode_weights",
    "estimate",
    "feature_info",
    "info",
    "latents",
    "open_array",
    "open_weights",
    "verify",
    "weights_info",
]
_HOMES = {
    **dict.fromkeys(("decode", "info"), "kinds"),
    **dict.fromkeys(("CodecError", "PictureWarning"), "errors"),
    **dict.fromkeys(("decode_features", "encode_features"), "arrays.api"),
    **dict.fromkeys(("OpenArray", "open_array"), "arrays.opened"),
    **dict.fromkeys(("decode_weights", "encode_weights"), "weights.api"),
    **dict.fromkeys(("OpenWeights", "open_weights"), "weights.opened"),
    **dict.fromkeys(("WeightsInfo", "weights_info"), "weights.info"),
    **dict.fromkeys(("FeatureInfo", "feature_info"), "arrays.info"),
}
"""Where each name is, if not in api.py."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = _HOMES.get(name, "api")
    return getattr(import_module(f"lictor.codec.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
