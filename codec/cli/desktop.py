"""`lictor thumbnail` and `lictor desktop`: Lictor files in file managers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from lictor.codec import inputs as files
from lictor.codec import kinds
from lictor.codec.cli import batch, options
from lictor.codec.errors import InvalidOption
from lictor.codec.inputs import Job, UsageError
from lictor.codec.kinds.payload import Row

_GAP = 2
"""What is decoded is at least so many times as large as the thumbnail, as Pillow does by itself."""


@dataclass(frozen=True)
class _Thumbnail:
    """A picture's file to a small PNG in sRGB, its longer side of at most `size` pixels."""

    size: int

    def __call__(self, job: Job) -> Row:
        from PIL import Image

        from lictor.codec import api
        from lictor.codec.image import pillow
        from lictor.codec.picture import arguments

        data = files.read_bin(job.source)
        kind = kinds.of_file(data)
        if kind is not kinds.PICTURES:
            raise InvalidOption(f"holds {kind.one}, no picture; there is nothing to be seen")
        told = api.info(data)
        longest = max(told.width, told.height)
        by = arguments.reduction_for((longest, longest), (_GAP * self.size, _GAP * self.size))
        picture = api.decode_picture(data, reduce=by)
        image = pillow.to_pillow(pillow.stripped(picture), depth=8)
        if longest > self.size:
            width, height = told.width, told.height
            small = [max(1, round(side * self.size / longest)) for side in (width, height)]
            seen = 0, 0, width / by, height / by  # the last squares may be more than there is
            image = image.resize(small, Image.Resampling.BICUBIC, seen, reducing_gap=_GAP)
        with files.writing(job.target) as file:
            image.save(file, "PNG")
        return vars(told)


@click.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@options.whole("--size", least=1, most=4096, default=256, help="Pixels of the longer side.")
def thumbnail(source: str, target: str, size: int) -> int:
    """Make a small PNG of a Lictor picture, in sRGB, as file managers ask for."""
    jobs = files.plan([source], target, files.BINS, ".png")
    return batch.run(jobs, _Thumbnail(size), False)


@click.command()
@click.option("--install", "action", flag_value="install", help="Write the files.")
@click.option("--remove", "action", flag_value="remove", help="Remove them again.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="A data folder such as /usr/share, else your own: $XDG_DATA_HOME or ~/.local/share.",
)
def desktop(action: str | None, into: Path | None) -> int:
    """Let a Linux desktop know Lictor files: their media types, and thumbnails of pictures.

    Also writes lictor.magic, by which `file -m` knows them.
    """
    from lictor.codec import desktop as files_of

    actions: dict[str, Callable[[Path], list[Path]]]
    actions = {"install": files_of.install, "remove": files_of.remove}
    if action is None:
        raise UsageError("give --install or --remove")
    folder = into or files_of.data_home()
    try:
        paths = actions[action](folder)
    except OSError as e:
        raise UsageError(f"{files.show(str(e.filename))}: {e.strerror}; give another --into") from e
    for path in paths:
        click.echo(f"{'wrote' if action == 'install' else 'removed'} {files.show(str(path))}")
    if not paths:
        click.echo("lictor desktop: nothing of it was there", err=True)
    elif not files_of.refresh(folder):
        click.echo(
            "lictor desktop: update-mime-database is not here or failed; it belongs to the package "
            "shared-mime-info, and desktops see new media types once it has run",
            err=True,
        )
    return 0
