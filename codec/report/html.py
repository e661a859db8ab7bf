"""Pages of one file: style, scripts and data are put into the HTML, so that nothing is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_PLACE = re.compile(r"^ *<!-- (style|script|part): (\S+) -->\n", re.MULTILINE)


def page(name: str, parts: Mapping[str, str]) -> str:
    """The page codec/report/pages/NAME.html, with all it names put in.

    A line `<!-- style: FILE -->` or `<!-- script: FILE -->` stands for a file beside it, a line
    `<!-- part: NAME -->` for HTML given here.
    """

    def fill(place: re.Match[str]) -> str:
        kind, what = place.groups()
        return parts[what] if kind == "part" else f"<{kind}>\n{_asset(what)}</{kind}>\n"

    return _PLACE.sub(fill, _asset(f"{name}.html"))


def data(identity: str, value: Any) -> str:
    """JSON for the page's scripts, which parse the text of the element with this id.

    Whatever strings it holds, none ends the element or begins a comment.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return f'<script type="application/json" id="{identity}">{text}</script>\n'


def _asset(name: str) -> str:
    return files("lictor.codec.report").joinpath("pages", name).read_text(encoding="utf-8")
