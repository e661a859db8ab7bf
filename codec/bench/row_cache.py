"""What was measured already: one line of JSON for each finished row, so that a run can go on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lictor.codec.bench.contender import Codec
from lictor.codec.bench.measure import Options
from lictor.codec.bench.rows import Row
from lictor.codec.inputs import CannotWrite


def key(image: str, codec: Codec, quality: float, options: Options, machine: str) -> str:
    """Of everything that a row's figures depend on.

    image: SHA-256 of the pixels. machine: what times depend on.
    """
    parts = {
        "image": image,
        "codec": codec.identity(),
        "quality": quality,
        "metrics": options.metrics,
        "classifier": options.classifier,
        "timed": [options.repeat, options.threads, machine] if options.timed else None,
    }
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Journal:
    """rows.jsonl of a folder; without one, nothing is remembered."""

    def __init__(self, folder: str | None) -> None:
        self._folder = Path(folder) if folder else None
        self._rows: dict[str, Row] = {}
        if self._folder and self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    @property
    def _path(self) -> Path:
        assert self._folder
        return self._folder / "rows.jsonl"

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self._rows[entry["key"]] = Row(**entry["row"])
        except (ValueError, TypeError, KeyError):
            pass  # cut off by an interruption, or written by another version

    def get(self, key: str, name: str) -> Row | None:
        """The row of a key, under the picture's present name, if its file is still there."""
        row = self._rows.get(key)
        if row is None or self._folder is None or row.file is None or row.image != name:
            return None
        file = self._folder / row.file
        return row if file.is_file() and file.stat().st_size == row.bytes else None

    def add(self, key: str, row: Row) -> None:
        """Remember a row, also on disk."""
        self._rows[key] = row
        if self._folder is None:
            return
        line = json.dumps({"key": key, "row": asdict(row)}) + "\n"
        try:
            with self._path.open("a+b") as file:
                # A line that was cut off must not swallow this one.
                if file.tell() and not _ends_line(file):
                    line = "\n" + line
                file.write(line.encode())
        except OSError as e:
            raise CannotWrite(f"cannot write {self._path}: {e.strerror or e}") from e


def _ends_line(file: Any) -> bool:
    file.seek(-1, 2)
    return bool(file.read(1) == b"\n")
