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
        decode,
        decode_picture,
        encode,
        estimate,
        info,
        latents,
        verify,
    )
    from lictor.codec.arrays.api import decode_features, encode_features, feature_info
    from lictor.codec.errors import CodecError, PictureWarning

__all__ = [
    "Answer",
    "CodecError",
    "Info",
    "Latents",
    "PictureWarning",
    "Store",
    "VerifyReport",
    "classify",
    "decode",
    "decode_features",
    "decode_picture",
    "encode",
    "encode_features",
    "estimate",
    "feature_info",
    "info",
    "latents",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    errors = ("CodecError", "PictureWarning")
    home = "errors" if name in errors else "arrays.api" if "feature" in name else "api"
    return getattr(import_module(f"lictor.codec.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
