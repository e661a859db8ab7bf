"""The ways to code the samples of a picture, a file each: encoder, decoder, a word for `info`.

Each has a kind of section of its own (codec/format/picture.py, CODED). What several of them coded
lies one over another, in the order of the table: the network below, what is exact on top. A new one
is one more file, one more entry here, and its kind of section there.
"""

from __future__ import annotations

from lictor.codec.picture.methods.linear import Linear
from lictor.codec.picture.methods.lossless import Lossless
from lictor.codec.picture.methods.method import Method
from lictor.codec.picture.methods.network import Network
from lictor.codec.picture.methods.overfit import Overfit

METHODS: dict[int, Method] = {
    method.kind: method for method in (Network(), Overfit(), Linear(), Lossless())
}
"""By their kinds of section, which are permanent."""
