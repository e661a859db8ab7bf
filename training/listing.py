"""The list of weights of a folder: index.json."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

INDEX = "index.json"


def entry(name: str, file: Path, training: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What is told of weights that have no number, licence and measurements yet, but for `more`."""
    told = {
        "name": name,
        "id": 0,
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "licence": "",
        "summary": "",
        "loss": "" if training.get("task") else training.get("loss", ""),
        "training": training,
        "measured": {},
    }
    return told | more


def write(path: Path, entries: list[dict[str, Any]], **rest: Any) -> None:
    """Write a list."""
    path.write_text(
        json.dumps({"checkpoints": entries} | rest, indent=2, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """What the list of a folder tells of weights, by their names; {} without a list."""
    path = folder / INDEX
    entries = json.loads(path.read_text(encoding="utf-8"))["checkpoints"] if path.is_file() else []
    return {entry["name"]: entry for entry in entries}


def add(entry: dict[str, Any], weights: Path, folder: Path) -> int:
    """Weights into a folder and its list, under a number that was never used there, which returns.

    Licence and summary of weights of the same name are kept, their number is not: files that were
    written with them could not be decoded with these. The list goes on knowing which they were.
    """
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    entries, retired = index["checkpoints"], index.get("retired", [])
    number: int = max((other["id"] for other in [*entries, *retired]), default=0) + 1
    same: dict[str, Any] = next((other for other in entries if other["name"] == entry["name"]), {})
    kept = {key: same[key] for key in ("licence", "summary") if key in same}
    if same:
        known = {key: same[key] for key in ("id", "name", "sha256")}
        retired = [*retired, known | {"last": metadata.version("lictor")}]
        if same.get("file", weights.name) != weights.name:
            (folder / same["file"]).unlink(missing_ok=True)
    if weights.resolve() != (folder / weights.name).resolve():
        shutil.copyfile(weights, folder / weights.name)
    new = entry | {"id": number} | kept
    places = [new if other is same else other for other in entries]
    write(folder / INDEX, places if same else [*places, new], retired=retired)
    return number
