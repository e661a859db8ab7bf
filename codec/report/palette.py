"""How the plots draw each codec, alike on pages and in print.

The first colours are those of Okabe and Ito ("Color Universal Design", 2008), the last two Paul
Tol's ("Colour Schemes", 2021), a little darker where they are thin lines on white: people of all
colour visions tell them apart. Dark pages have lighter ones of the same hue. Markers differ as
well, so that gray prints can be read.
"""

from __future__ import annotations

from collections.abc import Sequence

_COLOURS = (
    ("#d55e00", "#f58231"),
    ("#0072b2", "#56a8e8"),
    ("#009e73", "#35c79c"),
    ("#aa5a8c", "#e3a0cb"),
    ("#b8860b", "#edc243"),
    ("#3d9fd6", "#9adcf9"),
    ("#6b6f76", "#b4b9c0"),
    ("#332288", "#9a90f0"),
    ("#882255", "#d9739c"),
)
_MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")
_DASHES = ("solid", "dash", "dot", "dashdot")


def styles(codecs: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of each codec: `light` and `dark` colour, `marker` and `dash` by Plotly's names.

    Lictor's codecs take the first places, so that they look alike in every report.
    """
    ordered = sorted(codecs, key=lambda name: not name.startswith("lictor"))
    return {name: _style(place) for place, name in enumerate(ordered)}


def _style(place: int) -> dict[str, str]:
    turn, light, dark = 0, *_COLOURS[0]
    if place:  # the first colour is nobody else's
        turn, colour = divmod(place - 1, len(_COLOURS) - 1)
        light, dark = _COLOURS[colour + 1]
    return {
        "light": light,
        "dark": dark,
        "marker": _MARKERS[(place + turn) % len(_MARKERS)],
        "dash": _DASHES[turn % len(_DASHES)],
    }
