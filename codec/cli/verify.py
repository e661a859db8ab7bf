"""`lictor verify`: what should agree between two decodes, and whether it does."""

from __future__ import annotations

from typing import Any

import click

from lictor.codec import inputs as files
from lictor.codec import kinds
from lictor.codec.cli import batch, options
from lictor.codec.cli.file_jobs import Verify
from lictor.codec.inputs import Job

VERIFIED = files.PICTURES | kinds.WEIGHTS.suffixes
asked = options.together(
    options.quality, options.method, options.effort, options.model, options.runtime
)
"""The options that say what is verified, of every command that does."""


@click.command()
@options.inputs
@asked
@options.workers
@options.json
def verify(inputs: tuple[str, ...], workers: int, as_json: bool, **how: Any) -> int:
    """Encode pictures or weights, decode each twice, and compare all that should agree.

    The status is 1 if anything does not. Of weights, the file, decoded by one thread and by two. Of
    pictures, pixels of the two decodes (made with different numbers of threads), latents, the
    file's size and the model's own estimate of it, or errors and the bound that the quality sets
    them.
    """
    jobs = [Job(path) for path, _ in files.find(inputs, VERIFIED)]
    return batch.run(jobs, work(**how), as_json, _verify_line, workers=workers)


def work(
    quality: float | str, method: str, lossless: bool, effort: int, model: str | None
) -> Verify:
    """What is done to a file, by the options of `asked`. Raises UsageError."""
    wanted, method = options.chosen(quality, method, lossless)
    return Verify(quality=wanted, effort=effort, model=model, method=method)


def _verify_line(row: dict[str, Any]) -> str:
    if kinds.of_row(row) is kinds.WEIGHTS:
        same = "ok" if row["ok"] else "DISAGREES: another file comes back"
        return f"{same}; {kinds.WEIGHTS.line(row)}"
    verdict = "ok"
    if not row["same"]:
        verdict = "DISAGREES: two decodes differ"
    elif not row["sized"]:
        verdict = "DISAGREES: size is not what the model expected"
    elif not row["held"]:
        verdict = "DISAGREES: the error of a block is beyond what the quality allows"
    shares = ", ".join(f"{name} {share:.0%}" for name, share in row["shares"].items())
    estimate = ""
    if row["estimate"] is not None:
        estimate = f", estimate {row['estimate']:.0f} bytes ({row['gap']:+.2%})"
    return (
        f"{verdict}; {row['psnr']:.2f} dB, {row['bytes']} bytes, {row['bpp']:.3f} bpp{estimate}, "
        f"{shares}, worst block {row['worst']:.2f} of the water level, encoded in "
        f"{row['encode_seconds']:.2f} s, decoded in {row['decode_seconds']:.2f} s"
    )
