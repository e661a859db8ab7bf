"""How the plots draw each codec, alike on pages and in print.

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which people of all colour
visions tell apart, with lighter ones of the same hue for dark pages. Markers differ as well, so
that gray prints can be read.
"""

from __future__ import annotations

from collections.abc import Sequence

_LIGHT = ("#d55e00", "#0072b2", "#009e73", "#aa5a8c", "#b8860b", "#3d9fd6", "#6b6f76")
_DARK = ("#f58231", "#56a8e8", "#35c79c", "#e3a0cb", "#edc243", "#9adcf9", "#b4b9c0")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")
_DASHES = ("solid", "dash", "dot", "dashdot")


def styles(codecs: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of each codec: `light` and `dark` colour, `marker` and `dash` by Plotly's names.

    Lictor's codecs take the first places, so that they look alike in every report.
    """
    ordered = sorted(codecs, key=lambda name: not name.startswith("lictor"))
    return {name: _style(place) for place, name in enumerate(ordered)}


def _style(place: int) -> dict[str, str]:
    turn, colour = divmod(place, len(_LIGHT))
    return {
        "light": _LIGHT[colour],
        "dark": _DARK[colour],
        "marker": _MARKERS[(colour + turn) % len(_MARKERS)],
        "dash": _DASHES[turn % len(_DASHES)],
    }
