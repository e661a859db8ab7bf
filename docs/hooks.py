"""Pages of the site that lie elsewhere in the repository, and links between them.

mkdocs.yml lists them under `extra: pages:` as page: file. Nothing is copied: MkDocs reads the file
where it lies. Links in all pages are written as they hold in the repository; on the site, one to
another page leads there, and one to a file that is no page becomes its name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^\s*```")
_LINK = re.compile(r"(!?\[(?P<text>[^\]]*)\])\((?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere."""
    for page, source in config.extra["pages"].items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that hold in the repository into links that hold on the site."""
    own = config.extra["pages"].get(page.file.src_uri, f"docs/{page.file.src_uri}")
    pages = {source: uri for uri, source in config.extra["pages"].items()}

    def replaced(match: re.Match[str]) -> str:
        path, anchor, part = match["target"].partition("#")
        if not path or ":" in path:
            return match[0]
        source = posixpath.normpath(posixpath.join(posixpath.dirname(own), path))
        if not (ROOT / source).exists():
            return match[0]  # MkDocs warns
        uri = pages.get(source, source.removeprefix("docs/"))
        if files.get_file_from_path(uri) is None:
            return match["text"]
        relative = posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")
        return f"{match[1]}({relative}{anchor}{part})"

    inside = False
    lines = []
    for line in markdown.split("\n"):
        inside ^= bool(_FENCE.match(line))
        lines.append(line if inside else _LINK.sub(replaced, line))
    return "\n".join(lines)
