"""The `lictor` command.

Standard output carries what was asked for (a file with `-`, or a report), standard error all else.
With --json every line of the report is one JSON object, one for each file.

Exit status: 0, all done; 1, a file failed (it is named on standard error, and the others were
done); 2, the command could not start; 130 and 143, interrupted and terminated. LICTOR_DEBUG=1
shows the traceback of every error.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from lictor.codec.cli import (
    bulk,
    classify,
    decode,
    desktop,
    encode,
    info,
    models,
    report,
    serve,
    streams,
    train,
    verify,
)
from lictor.codec.cli.bench import group
from lictor.codec.cli.console import fail, without_torch
from lictor.codec.inputs import CannotWrite, UsageError
from lictor.codec.runtime.runtime import NO_TORCH
from lictor.codec.runtime.threads import wait_briefly


class _Group(click.Group):
    """Errors on one line of standard error, and the exit status described above."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.stdout.flush()
        except click.exceptions.Abort:
            status = fail("lictor: interrupted", 130)
        except UsageError as e:
            status = fail(f"lictor: {e}", 2)
        except click.ClickException as e:
            status = fail(_usage_line(e), 2)
        except ModuleNotFoundError as e:
            if not without_torch(e):
                raise
            status = fail(f"lictor: {NO_TORCH}", 2)
        except CannotWrite as e:  # standard output; others are said where they are written
            status = fail(f"lictor: {e}", 1)
        sys.exit(status if isinstance(status, int) else 0)


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None or "\n" in message:  # the help itself, after a bare `lictor`
        return message
    path = context.command_path
    return f"{path}: {message.rstrip('.')}; see {path} --help"


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lictor", message="%(prog)s %(version)s")
def cli() -> None:
    """Lictor, a learned image codec: photo.png to photo.bin and back.

    A name of - stands for standard input or output. Existing outputs are overwritten, whole or
    not at all.
    """


for _command in (
    encode.encode,
    decode.decode,
    info.info,
    classify.classify,
    verify.verify,
    bulk.bulk,
    models.models,
    models.import_,
    models.export_onnx,
    train.train,
    train.distil,
    train.train_features,
    train.train_weights,
    train.export,
    group.bench,
    report.report,
    serve.serve,
    desktop.thumbnail,
    desktop.desktop,
):
    cli.add_command(_command)


def _terminate(number: int, frame: Any) -> None:
    sys.exit(128 + number)  # unwinds, so that temporary files are removed


def main() -> None:
    """Entry point of the `lictor` command."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    streams.prepare()
    wait_briefly()
    cli.main(prog_name="lictor")
