"""`lictor serve`: a local page to try the codec on."""

from __future__ import annotations

import click

from lictor.codec.cli import options


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@options.whole(
    "--port", least=0, most=65535, default=7860, help="Port to listen on; 0 takes a free one."
)
@click.option(
    "--max-upload",
    type=options.Size(),
    default="40MB",
    show_default=True,
    metavar="SIZE",
    help="Largest file to take.",
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(0, min_open=True),
    default=50,
    show_default=True,
    metavar="N",
    help="Largest picture to take; memory is about 130 MB a megapixel.",
)
@options.model
def serve(host: str, port: int, max_upload: int, max_megapixels: float, model: str | None) -> int:
    """Open a page on this machine to try the codec: drop a picture, move the quality.

    Only programs on this machine can reach it unless --host says otherwise; there is no password.
    Ctrl-C ends it. Needs: pip install 'lictor[serve]'.
    """
    from lictor.codec.errors import CodecError, ModelUnavailable
    from lictor.codec.inputs import UsageError
    from lictor.codec.picture import tuning
    from lictor.codec.report.server import serve as run

    try:
        run(host, port, str(tuning.weights(model)), max_upload, int(max_megapixels * 1e6))
    except ModelUnavailable as e:
        raise UsageError(str(e)) from e
    except CodecError as e:
        click.echo(f"lictor serve: {e}", err=True)
    except OSError as e:
        click.echo(
            f"lictor serve: cannot listen on {host}:{port}: {e.strerror}; give another --port",
            err=True,
        )
    return 1
