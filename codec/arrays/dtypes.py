"""Arrays of any maker to the types that a file has, and their values to float64 and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import FloatArray
from lictor.codec.errors import MissingPackage, UnsupportedArray
from lictor.codec.format import arrays as feature_format
from lictor.codec.format.arrays import DTYPES
from lictor.codec.runtime.runtime import NO_TORCH

if TYPE_CHECKING:
    from lictor.codec.runtime.tensors import Tensor

AnyArray: TypeAlias = "npt.NDArray[Any] | Tensor"


def bits_of(array: Any) -> tuple[str, npt.NDArray[Any]]:
    """The name of an array's type, and the array in native byte order; bfloat16 as uint16.

    Raises UnsupportedArray for what no file holds: objects, texts, complex numbers, float8; sparse,
    quantised and other tensors that are not just their values; arrays with masked values.
    """
    if type(array).__module__.partition(".")[0] == "torch" or hasattr(array, "is_quantized"):
        from lictor.codec.runtime import tensors

        return tensors.bits_of(array)
    if np.ma.is_masked(array):
        raise UnsupportedArray("an array with masked values is not coded; fill them first")
    try:
        array = np.asarray(array)
    except (ValueError, TypeError, OverflowError) as e:
        raise UnsupportedArray(f"is no array ({e}); give numpy arrays or torch tensors") from e
    name = array.dtype.name
    if name == "bfloat16" and array.dtype.itemsize == 2:  # of ml_dtypes
        array = array.view(np.uint16)
    elif name not in DTYPES or array.dtype.newbyteorder("=") != np.dtype(name):
        raise UnsupportedArray(f"an array of {name} is not coded; convert it to float32")
    if array.ndim > feature_format.MAX_DIMENSIONS:
        raise UnsupportedArray(f"{array.ndim} dimensions are too many; reshape it")
    return name, array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def is_big_endian(array: Any) -> bool:
    """Whether an array's numbers are stored the other way round than files have them."""
    kind = array.dtype if isinstance(array, np.ndarray | np.generic) else None
    return kind is not None and kind.itemsize > 1 and kind.newbyteorder(">") == kind


def as_array(dtype: str, raw: npt.NDArray[Any], big_endian: bool = False) -> Any:
    """The other way: numpy, but a torch tensor for bfloat16."""
    if dtype != "bfloat16":
        return raw.astype(raw.dtype.newbyteorder(">")) if big_endian else raw
    try:
        from lictor.codec.runtime import tensors
    except ModuleNotFoundError as e:
        if e.name != "torch":
            raise
        raise MissingPackage(f"bfloat16 is given back as PyTorch's tensor, so {NO_TORCH}") from e

    return tensors.of_bfloat16(raw)


def to_float64(dtype: str, raw: npt.NDArray[Any]) -> FloatArray:
    """Values of a type as float64, exact."""
    if dtype == "bfloat16":
        # Shifts of an array without dimensions give a scalar, of which numpy 1 makes 64 bits.
        raw = np.left_shift(raw.astype(np.uint32), 16, dtype=np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):  # of signalling NaN
        return raw.astype(np.float64)


def single(dtype: str, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers of 16 bits as float32, exactly; others as they are."""
    if dtype == "bfloat16":
        wide = raw.astype(np.uint32)
        return np.left_shift(wide, np.uint32(16), out=wide).view(np.float32)
    return raw.astype(np.float32) if dtype == "float16" else raw


def from_float64(dtype: str, values: FloatArray) -> npt.NDArray[Any]:
    """Values rounded to a type, to nearest and halves to even; bfloat16 through float32."""
    with np.errstate(over="ignore", under="ignore"):
        if dtype != "bfloat16":
            return values.astype(dtype)
        wide = values.astype(np.float32).view(np.uint32)
    return ((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype(np.uint16)


def rounded(dtype: str, values: FloatArray) -> FloatArray:
    """Values as a type has them, float64."""
    return to_float64(dtype, from_float64(dtype, values))
