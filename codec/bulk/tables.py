"""Tables: Parquet files with a column of bytes, read by groups of rows and written as they were.

A column is bytes, or, as Hugging Face has pictures, a struct of bytes and path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any

from lictor.codec.bulk import storage
from lictor.codec.bulk.samples import ALL, DamagedShard, Member, Piece, Sample, Wanted
from lictor.codec.errors import MissingPackage
from lictor.codec.inputs import UsageError, show

SUFFIX = ".parquet"


def cut(piece: Piece, items: int, size: int) -> list[Piece]:
    """A table as pieces of at most so many rows and bytes, but a group of rows at least.

    Raises DamagedShard, MissingPackage.
    """
    with storage.of(piece.path).open(piece.path) as file:
        about = _opened(file, piece.path).metadata
    pieces: list[Piece] = []
    start = rows = taken = 0
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        if rows and (rows + group.num_rows > items or taken + group.total_byte_size > size):
            pieces.append(_groups(piece, start, number, rows, taken))
            start, rows, taken = number, 0, 0
        rows, taken = rows + group.num_rows, taken + group.total_byte_size
    return [*pieces, _groups(piece, start, about.num_row_groups, rows, taken)]


def _groups(piece: Piece, start: int, stop: int, rows: int, size: int) -> Piece:
    return Piece("table", piece.path, start=start, stop=stop, items=rows, size=size)


def read(piece: Piece, wanted: Wanted) -> Iterator[Sample]:
    """Its rows, a sample each, of one member. Raises DamagedShard, UsageError, MissingPackage."""
    with storage.of(piece.path).open(piece.path) as file:
        table = _opened(file, piece.path)
        stop = table.num_row_groups if piece.stop == ALL else piece.stop
        before = (table.metadata.row_group(n).num_rows for n in range(piece.start))
        number = sum(before)
        for group in range(piece.start, stop):
            rows = _group(table, group, piece.path)
            column = column_of(rows.schema, wanted.column, piece.path)
            for at, value in enumerate(rows.column(column)):
                label = f"{piece.path}: row {number}"
                yield Sample(label, [_member(value.as_py(), number)], row=(rows, at))
                number += 1


def _member(value: Any, number: int) -> Member:
    name = f"{number}"
    if isinstance(value, dict):
        name, value = os.path.basename(value.get("path") or name), value.get("bytes")
    if value is None:
        return Member(name, b"", True, wrong="has no bytes in its row; left out")
    return Member(name, value, True)


def column_of(schema: Any, name: str, path: str) -> str:
    """The column that holds bytes. Raises UsageError if there is none, or several."""
    found = [field.name for field in schema if _holds_bytes(field.type)]
    if name in found or (len(found) == 1 and not name):
        return name or found[0]
    has = f"has {', '.join(found)}" if found else "has none"
    raise UsageError(f"{show(path)}: which column holds the bytes? it {has}; say --column NAME")


def _holds_bytes(type: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(type):
        names = [type.field(i).name for i in range(type.num_fields)]
        return "bytes" in names and _holds_bytes(type.field(names.index("bytes")).type)
    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type))


def _replaced(before: Any, name: str, data: bytes) -> dict[str, Any]:
    """A struct with new bytes, and a new path if it had one."""
    return {**before, "bytes": data} | ({"path": name} if before.get("path") else {})


def _opened(file: IO[bytes], path: str) -> Any:
    parquet = need()
    try:
        return parquet.ParquetFile(file)
    except Exception as e:
        raise _damaged(path, e) from e


def _group(table: Any, number: int, path: str) -> Any:
    try:
        return table.read_row_group(number)
    except Exception as e:
        raise _damaged(path, e) from e


def _damaged(path: str, error: Exception) -> DamagedShard:
    """As one error: of what is wrong with a file, pyarrow raises OSError, ValueError, its own."""
    if isinstance(error, storage.StoreFailed):
        raise error
    return DamagedShard(f"{show(path)}: cannot be read on: {' '.join(str(error).split())}")


def need() -> Any:
    """pyarrow.parquet. Raises MissingPackage."""
    try:
        import pyarrow.parquet
    except ImportError as e:
        raise MissingPackage("Parquet files need pyarrow; pip install 'lictor[ray]'") from e
    return pyarrow.parquet


class Writer:
    """A table like those that samples come from, with bytes of others in the column."""

    def __init__(self, file: IO[bytes], column: str) -> None:
        self._file, self._named = file, column
        self._parquet: Any = None
        self._rows: Any = None
        self._kept: list[tuple[int, str, bytes]] = []

    def add(self, row: tuple[Any, int], name: str, data: bytes) -> None:
        """A row, with its new bytes; name: of what they are, for columns that tell it."""
        rows, at = row
        if rows is not self._rows:
            self._flush()
            self._rows = rows
        self._kept.append((at, name, data))

    def close(self) -> None:
        """What is left, and the end of the file."""
        self._flush()
        if self._parquet is not None:
            self._parquet.close()

    def _flush(self) -> None:
        if not self._kept:
            return
        import pyarrow as pa

        rows = self._rows.take([at for at, _, _ in self._kept])
        number = rows.schema.get_field_index(column_of(rows.schema, self._named, "the table"))
        field = rows.schema.field(number)
        bare = not pa.types.is_struct(field.type)
        old = rows.column(number).to_pylist() if not bare else self._kept
        values = [
            data if bare else _replaced(before, name, data)
            for before, (_, name, data) in zip(old, self._kept, strict=True)
        ]
        rows = rows.set_column(number, field, pa.array(values, field.type))
        if self._parquet is None:
            self._parquet = need().ParquetWriter(self._file, rows.schema)
        self._parquet.write_table(rows)
        self._kept = []
