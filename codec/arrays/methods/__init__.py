"""The ways to code an array, a file each: syntax, encoder, decoder, description.

A new one is one more file and one more entry of the table.
"""

from __future__ import annotations

from lictor.codec.arrays.methods.exact import Exact
from lictor.codec.arrays.methods.learned import Learned
from lictor.codec.arrays.methods.mixed import Mixed
from lictor.codec.arrays.methods.predicted import Predicted, Shifted
from lictor.codec.format import arrays
from lictor.codec.format.arrays import Array, File
from lictor.codec.format.picture import Bytes

__all__ = ["METHODS", "Exact", "Learned", "Mixed", "Predicted", "Shifted", "read"]

METHODS: dict[int, type[Array]] = {
    method.code: method for method in (Exact, Predicted, Learned, Mixed, Shifted)
}
"""By their codes in the file, which are permanent."""


def read(data: Bytes) -> File:
    """Parse a whole file. Payloads are views into `data`. Raises FileError."""
    return arrays.read(data, METHODS)
