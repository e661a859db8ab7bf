"""The ways to code an array, a file each: syntax, encoder, decoder, description.

A new one is one more file and one more entry of the table.
"""

from __future__ import annotations

from lictor.codec.arrays.methods.chunked import Chunked
from lictor.codec.arrays.methods.exact import Exact
from lictor.codec.arrays.methods.learned import Learned
from lictor.codec.arrays.methods.mixed import Mixed
from lictor.codec.arrays.methods.predicted import Differenced, Predicted, Shifted
from lictor.codec.format import arrays
from lictor.codec.format.arrays import Array, File
from lictor.codec.format.picture import Bytes

__all__ = [
    "METHODS",
    "Chunked",
    "Differenced",
    "Exact",
    "Learned",
    "Mixed",
    "Predicted",
    "Shifted",
    "read",
]

METHODS: dict[int, type[Array]] = {
    method.code: method
    for method in (Exact, Predicted, Learned, Mixed, Shifted, Chunked, Differenced)
}
"""By their codes in the file, which are permanent."""
Chunked.inner = {method.code: method for method in (Exact, Predicted, Mixed, Shifted, Differenced)}


def read(data: Bytes, verify: bool = True) -> File:
    """Parse a whole file. Payloads are views into `data`; verify: and see all their checks.

    Raises FileError.
    """
    return arrays.read(data, METHODS, verify)
