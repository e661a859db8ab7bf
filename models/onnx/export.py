"""The graphs of a model that codes pictures, as files; docs/onnx.md says what runs between them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lictor.models import weights, zoo
from lictor.models.coding.units import ORDER
from lictor.models.errors import BadCheckpoint
from lictor.models.light import load
from lictor.models.light.part import Part
from lictor.models.light.picture import Lictor
from lictor.models.onnx import exact, transforms
from lictor.models.onnx.graph import Graph


def graphs(name: str, places: zoo.Places | None = None) -> dict[str, bytes]:
    """The graphs of weights, as .onnx files, by what they do.

    Args:
        name: as for `lictor.models.load`.
        places: likewise.

    Returns:
        analysis, hyper-analysis, side-tables, hyper-synthesis, context-0 to context-3, synthesis.

    Raises:
        ModelError: as for `lictor.models.load`; BadCheckpoint for models without such graphs.
    """
    found = load.load(name, places)
    if not isinstance(found.model, Lictor):
        raise BadCheckpoint(f"{found.name} has no ONNX graphs; lictor-s and lictor-m have")
    part: Part = found.model.part
    octave = part("octave").astype(np.float64)
    latent, side, prior = octave.size, found.model.side, part["h_s"]["bias"]("rungs").shape[1]
    made = {what: Graph(f"{found.name} {what}") for what in _NAMES}
    transforms.analysis(made["analysis"], part, latent)
    transforms.hyper_analysis(made["hyper-analysis"], part, latent, side)
    exact.side_tables(made["side-tables"], part["z_scale"], side)
    exact.hyper_synthesis(made["hyper-synthesis"], part["h_s"], side, prior)
    for k in range(len(ORDER)):
        exact.context_step(made[f"context-{k}"], part["context"], k, octave, prior)
    transforms.synthesis(made["synthesis"], part, latent)
    told = {"model": found.name, "weights": found.digest.hex(), "order": json.dumps(ORDER)}
    return {what: graph.file(told) for what, graph in made.items()}


def export(name: str, folder: Path, places: zoo.Places | None = None) -> list[Path]:
    """Write the graphs of weights into a folder, as NAME.WHAT.onnx.

    Args:
        name: as for `graphs`.
        folder: is made if it is not there.
        places: as for `graphs`.

    Raises:
        ModelError: as for `graphs`.
        OSError: a file cannot be written.
    """
    made = graphs(name, places)
    stem = load.read(weights.key(name, places)).name
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for what, data in made.items():
        paths.append(folder / f"{stem}.{what}.onnx")
        paths[-1].write_bytes(data)
    return paths


_NAMES = (
    "analysis",
    "hyper-analysis",
    "side-tables",
    "hyper-synthesis",
    *(f"context-{k}" for k in range(len(ORDER))),
    "synthesis",
)
