"""Fonts that happen to be here, and words in made-up languages to set in them.

Nothing is read at import. Pillow's own font is always there; those of the system and of matplotlib
are looked for once, when the first text is set.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import ImageFont

Font = ImageFont.FreeTypeFont

_PILLOWS = ""
"""Stands for Pillow's own font among the paths."""
_FOLDERS = {
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts",),
}.get(sys.platform, ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts"))
_MOST = 1000
"""Paths, of systems that have more fonts than a training can use."""
_ALPHABETS = {
    "english": ("bcdfghjklmnpqrstvwxz", "aeiouyee"),
    "latin": ("bcdfghjklmnprstvwzßçñ", "aaeeiioouuyäéöüå"),
    "greek": ("βγδζθκλμνξπρστφχψ", "αεηιουω"),
    "cyrillic": ("бвгджзклмнпрстфхцчшщ", "аеиоуыэюя"),
    "han": ("的一是不了人我在有他这中大来上国", "说生到作地于出就分对成会可主发年"),
}
"""Letters that words begin syllables with, and letters that they end them with."""


def draw_font(random: np.random.Generator, fixed: bool = False) -> str:
    """The path of a font that sets English, each as likely; "" is Pillow's own.

    Args:
        random: Draws it.
        fixed: Whether all letters should be equally wide, where such a font is known.
    """
    known = _paths()
    if fixed:
        known = [path for path in known if "mono" in path.lower() or "tt10" in path] or known
    for _ in range(8):
        path = known[random.integers(len(known))]
        if sets(path, "english"):
            return path
    return _PILLOWS


@lru_cache(maxsize=256)
def font(path: str, size: int) -> Font:
    """The font at that many pixels. Raises OSError where it is none."""
    if path == _PILLOWS:
        made = ImageFont.load_default(size)
        if not isinstance(made, ImageFont.FreeTypeFont):
            raise OSError("Pillow was built without FreeType, and cannot set text of any size")
        return made
    # The basic layout: shaping needs a library that is not everywhere, and takes longer.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def average(path: str, size: int) -> float:
    """Pixels that a letter of Latin text is wide, with the gaps between words."""
    line = " ".join(_vocabulary("english")[:40])
    return max(font(path, 20).getlength(line) / len(line) * size / 20, 0.2 * size)


@lru_cache(maxsize=4096)
def sets(path: str, alphabet: str) -> bool:
    """Whether the font has these letters, digits, and spaces: what it lacks shows as a box."""
    try:
        face = font(path, 16)
        lacks = bytes(face.getmask("\uffff"))
        masks = [bytes(face.getmask(sign)) for sign in "".join(_ALPHABETS[alphabet]) + "08.,"]
        blank = bytes(face.getmask("n n")) != bytes(face.getmask("n\uffffn"))
    except (OSError, ValueError):
        return False
    return blank and lacks not in masks and all(map(any, masks)) and masks[0] != masks[1]


def draw_words(random: np.random.Generator, path: str, count: int) -> list[str]:
    """Words, numbers and marks that the font can set, a few of them again and again."""
    alphabet = "english"
    if random.random() < 0.3:
        other = ("latin", "latin", "greek", "cyrillic", "han")[random.integers(5)]
        alphabet = other if sets(path, other) else alphabet
    words = _vocabulary(alphabet)
    return [words[int(rank)] for rank in len(words) * random.random(count) ** 2.5]


def draw_number(random: np.random.Generator) -> str:
    """A number as tables and axes have them."""
    value = random.normal() * 10 ** random.uniform(0, 4)
    form = ("{:.0f}", "{:.1f}", "{:.2f}", "{:,.0f}", "{:.1f}%", "${:,.2f}", "{:+.3g}")
    return form[random.integers(len(form))].format(value)


@lru_cache
def _vocabulary(alphabet: str) -> tuple[str, ...]:
    """600 words, always the same."""
    random = np.random.default_rng(600)
    heads, tails = _ALPHABETS[alphabet]
    words = []
    for place in range(600):
        syllables = 1 + random.poisson(min(place / 60, 1.6))
        word = "".join(
            heads[random.integers(len(heads))] + tails[random.integers(len(tails))]
            for _ in range(syllables)
        )
        word += heads[random.integers(len(heads))] if random.random() < 0.4 else ""
        kind = random.random()
        word = word.capitalize() if kind < 0.15 else word.upper() if kind < 0.18 else word
        word = draw_number(random) if kind > 0.95 else word
        word += ".,.,;:!?)"[random.integers(9)] if random.random() < 0.15 else ""
        words.append(word)
    return tuple(words)


@lru_cache
def _paths() -> list[str]:
    """Pillow's font and all that is found, in an order that only depends on what is there."""
    folders = [Path(folder).expanduser() for folder in _FOLDERS]
    matplotlib = find_spec("matplotlib")
    if matplotlib and matplotlib.origin:
        folders.append(Path(matplotlib.origin).parent / "mpl-data/fonts/ttf")
    found = {
        file: os.path.join(parent, file)
        for folder in folders
        for parent, _, files in os.walk(folder)
        for file in files
        if file.lower().endswith((".ttf", ".otf", ".ttc", ".pfb"))
    }
    paths = [found[file] for file in sorted(found)]
    return [_PILLOWS, *paths[:: max(1, -(-len(paths) // _MOST))]]
