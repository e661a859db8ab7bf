"""Lictor files on Linux desktops: media types, thumbnails, and an entry for `file`.

The files beside this one follow the specifications of freedesktop.org (shared-mime-info,
thumbnailers) and magic(5).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

PLACES = {
    "lictor.xml": "mime/packages/lictor.xml",
    "lictor.thumbnailer": "thumbnailers/lictor.thumbnailer",
    "lictor.magic": "lictor/lictor.magic",
}
"""The files, and where each belongs below a data folder such as /usr/share."""


def data_home() -> Path:
    """Where a user's own data folder is (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def install(folder: Path, python: str = sys.executable) -> list[Path]:
    """Write the files below a data folder; python: what thumbnails are made with.

    Raises OSError.
    """
    source = resources.files(__package__)
    written = []
    for name, place in PLACES.items():
        text = (source / name).read_text("utf-8")
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{python}", _quoted(python)), "utf-8")
        written.append(path)
    return written


def remove(folder: Path) -> list[Path]:
    """Remove what `install` wrote; gives the files that were there. Raises OSError."""
    found = [folder / place for place in PLACES.values() if (folder / place).is_file()]
    for path in found:
        path.unlink()
    return found


def refresh(folder: Path) -> bool:
    """Let the desktop take in the media types; False where its program for that is not here."""
    program = shutil.which("update-mime-database")
    if program is None:
        return False
    done = subprocess.run([program, str(folder / "mime")], capture_output=True)
    return done.returncode == 0


def _quoted(path: str) -> str:
    """As a shell, and so GLib, takes it."""
    import shlex

    return shlex.quote(path)
