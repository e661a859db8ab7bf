"""The site is built without a warning, loads nothing from elsewhere, and has the public names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lictor import codec, entropy, models

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / ".ide" / "lictor").exists():
        subprocess.run(["make", "ide"], cwd=ROOT, check=True)
    folder = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder))
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path):
    loaded = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not loaded.findall(page.read_text(encoding="utf-8")), page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.parametrize("package", [codec, entropy, models])
def test_reference_has_every_public_name(site: Path, package):
    short = package.__name__.rpartition(".")[2]
    page = (site / "reference" / f"{short}.html").read_text(encoding="utf-8")
    missing = {n for n in package.__all__ if not re.search(rf'id="[\w.]*\.{n}"', page)}
    assert not missing


def test_no_link_is_left_as_text(site: Path):
    """What hooks.py could not turn into a link would show as Markdown."""
    for page in site.rglob("*.html"):
        assert not re.search(r"\]\([\w./-]+\.md", page.read_text(encoding="utf-8")), page
