"""What `lictor encode`, `decode` and `info` do with files of arrays."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from lictor.codec import inputs as files
from lictor.codec.errors import InvalidTarget, ModelUnavailable, UnsupportedArray, UnwritableImage
from lictor.codec.format import arrays as feature_format
from lictor.codec.format.arrays import is_features, kind_of
from lictor.codec.inputs import STREAM, Job, UsageError, show


def kind(job: Job) -> str:
    """The kind of a job's input: by its name, or of standard input by its first bytes."""
    return kind_of(job.source, files.peek(16) if job.source == STREAM else b"")


def is_arrays(name: str) -> bool:
    """Whether a file holds arrays by its name."""
    return bool(kind_of(name))


def mixed(jobs: list[Job]) -> bool:
    """Whether some inputs are arrays by their names, and some are not."""
    return len({is_arrays(job.source) for job in jobs}) > 1


def model_for(name: str | None, arrays: bool, mixed: bool) -> str | None:
    """The model that was named, if it codes such an input; None for the usual way.

    mixed: there are inputs of both kinds, and the model is for the other kind's.
    Raises UsageError where there are not.
    """
    if name is None:
        return None
    from lictor.codec.runtime import store

    try:
        (store.load_for_arrays if arrays else store.load)(name)
    except ModelUnavailable as e:
        if mixed:
            return None
        raise UsageError(str(e)) from e
    return name


def encode(job: Job, options: dict[str, Any]) -> dict[str, Any]:
    """Encode a file of arrays; the row to report. options: as encode_features takes them."""
    from lictor.codec.arrays import api
    from lictor.codec.arrays import files as feature_files

    form, data = kind(job), files.read(job.source)
    arrays = feature_files.read(data, form)
    texts = feature_files.metadata(data, form)
    try:
        coded = api.encode_features(arrays, **options, kind=form, metadata=texts)
    except (InvalidTarget, ModelUnavailable) as e:
        raise UsageError(str(e)) from e
    with files.writing(job.target) as file:
        file.write(coded)
    found = row(coded)
    return {**found, "notes": _fallen_short(found, options)}


def _fallen_short(row: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """What of the options could not be done, to say."""
    notes, model, bits = [], options.get("model"), options.get("bits")
    floats = (a for a in row["arrays"] if a["dtype"] in feature_format.FLOATS)
    without = [a["name"] or "the array" for a in floats if model and not a["model"]]
    if without:
        notes.append(f"coded without {model}, which does not keep or save enough: {_some(without)}")
    if bits is not None and row["values"] and row["bits"] > bits:
        notes.append(f"takes {row['bits']:.3f} bits a value; {bits:g} are too few for it")
    return notes


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{f', … {len(names)} in all' if len(names) > 3 else ''}"


_FOR_PICTURES = {"quality": "-q", "effort": "--effort", "strip": "--strip", "roi": "--roi"}


def refuse_options(arrays: bool, pictures: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse options of pictures for arrays, and the other way round.

    pictures: quality (None where a model of features takes it), effort, strip, roi. own: the
    options of arrays. None for those not given. Raises UsageError.
    """
    if arrays:
        given = [_FOR_PICTURES[name] for name, v in pictures.items() if v is not None]
        words = "is for pictures; arrays take --max-error, --mse, --bits, or a --model of features"
    else:
        given = [f"--{name.replace('_', '-')}" for name, v in own.items() if v is not None]
        words = "is for arrays; pictures take --quality"
    if given:
        raise UsageError(f"{given[0]} {words}")


def decode(job: Job, data: bytes, region: Any = None, bf16: bool = False) -> dict[str, Any]:
    """Decode a feature file; the row to report. region, bf16: options that are refused."""
    from lictor.codec.arrays import api
    from lictor.codec.arrays import files as feature_files

    if region or bf16:
        option = "--region" if region else "--bf16"
        raise UnsupportedArray(f"holds arrays; {option} is for pictures, leave it out")
    if files.is_picture(job.target):
        raise UnwritableImage("holds arrays, not a picture; name the output .npy or .npz")
    found = row(data)
    form, texts = kind_of(job.target) or found["kind"], found["metadata"]
    arrays = api.decode_features(data)
    with files.writing(job.target) as file:
        feature_files.write(arrays, file, form, texts)
    lost = [f"its metadata ({_some(list(texts))}) are left out: {form} files have none"]
    return {**found, "notes": lost if texts and form != ".safetensors" else []}


def row(data: bytes) -> dict[str, Any]:
    """What is reported of a feature file."""
    from lictor.codec.arrays import api

    return vars(api.feature_info(data))


def line(row: dict[str, Any]) -> str:
    """A feature file in one line."""
    arrays = row["arrays"]
    shapes = ", ".join(
        f"{a['name'] or 'array'} {a['dtype']} {'x'.join(map(str, a['shape'])) or 'scalar'}"
        for a in arrays[:3]
    )
    more = f", … {len(arrays)} arrays" if len(arrays) > 3 else ""
    models = sorted({_model_line(a) for a in arrays if a["model"]})
    return (
        f"features, {row['kind']}: {shapes}{more}; {row['values']} values, {row['bytes']} bytes, "
        f"{row['bits']:.3f} bits a value{''.join(models)}"
    )


def _model_line(array: dict[str, Any]) -> str:
    return f", {array['model']} (weights {array['weights']}), quality {array['quality']:g}"


def named_for_content(jobs: list[Job]) -> list[Job]:
    """Jobs of decoding into a folder: the outputs of feature files get the extension they need."""
    return [_named(job) for job in jobs]


def _named(job: Job) -> Job:
    if job.source == STREAM or os.path.isdir(job.source) or files.special(job.source):
        return job  # what is looked at of a pipe is gone
    try:
        with open(job.source, "rb") as file:
            start = file.read(5)
    except OSError:
        return job  # the error shows when the job is done
    if not is_features(start) or len(start) < 5 or start[4] >= len(feature_format.KINDS):
        return job
    return replace(job, target=os.path.splitext(job.target)[0] + feature_format.KINDS[start[4]])


def refuse_picture(target: str) -> None:
    """Refuse to write a picture into a file that is named as arrays are."""
    if is_arrays(target):
        raise UnwritableImage("holds a picture, not arrays; name the output .png")


def check_output(job: Job) -> None:
    """Refuse to encode into a file that is named as an input would be."""
    if is_arrays(job.target):
        raise UsageError(
            f"{show(job.target)}: is a file of arrays by its name; name the output .bin"
        )
