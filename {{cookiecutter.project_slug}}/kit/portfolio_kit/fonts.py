"""Letters that the font of a figure lacks: another installed font draws them, or a number does."""

import logging
import re
import unicodedata
import warnings
from contextlib import suppress
from functools import cache

from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

MARKS: dict[str, str] = {}  # letters that no font has, by what this process's figures show instead
SHOWN = 3
PEN = RendererAgg(1, 1, 72)  # warns of what it cannot draw
# It reports each family that has no bold font.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def make_legible(figure: Figure) -> None:
    """Give each text of a figure fonts that have its letters, or write marks such as [1] for them.

    Without this, matplotlib draws boxes. New marks are printed, in one line.
    """
    known = len(MARKS)
    for axis in figure.findobj(Axis):
        assert isinstance(axis, Axis)
        for minor in (False, True):  # a formatter writes these labels again in each drawing
            labels = axis.get_ticklabels(minor=minor)
            texts = [_legible(label)[0] for label in labels]
            if any(text != label.get_text() for text, label in zip(texts, labels, strict=True)):
                axis.set_ticks(axis.get_ticklocs(minor=minor), texts, minor=minor)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        content, families = _legible(text)
        text.set_text(content)
        text.set_fontfamily(families)
    if new := [*MARKS.items()][known:]:
        shown = ", ".join(f"{mark} for {letters:.40}" for mark, letters in new[:SHOWN])
        more = f" and {len(new) - SHOWN:,} more" if len(new) > SHOWN else ""
        print(
            f"note: no installed font has these letters, so figures show {shown}{more}; install "
            "one that does, such as Noto Sans for this script, and run the stage again"
        )


def _legible(text: Text) -> tuple[str, list[str]]:
    """Return what can be drawn of a text, and the families that have its letters."""
    content, own = text.get_text(), text.get_fontproperties().copy()
    found = {char: _family(char, own) for char in {*content} - {"\n"}}
    foreign = {char for char, family in found.items() if family != ""}
    if not foreign:
        return content, own.get_family()
    families = [*own.get_family(), *sorted({family for family in found.values() if family})]
    marked = _marked(content, {char for char in foreign if found[char] is None})
    with warnings.catch_warnings(action="error"):
        try:
            PEN.get_text_width_height_descent(marked, FontProperties(family=families), False)
        except UserWarning:  # one character is made of letters from several fonts
            marked = _marked(content, foreign)
    return marked, families


def _marked(content: str, missing: set[str]) -> str:
    """Return a text with a mark for each run of letters that are missing."""
    blanks: dict[str, str | int | None]
    blanks = {char: " " if char.isspace() else "" for char in missing if _is_unseen(char)}
    if letters := "".join(map(re.escape, sorted(missing - {*blanks}))):
        marks = {run: mark for mark, run in MARKS.items()}
        joined = {char for char in content if unicodedata.category(char) in ("Cf", "Mc", "Mn")}
        within = " " + "".join(map(re.escape, joined)) + letters

        def mark(run: re.Match[str]) -> str:
            return marks.setdefault(run[0].strip(), f"[{len(marks) + 1}]")

        content = re.sub(f"[{letters}](?:[{within}]*[{within[1:]}])?", mark, content)
        MARKS.update({mark: run for run, mark in marks.items()})
    return content.translate(str.maketrans(blanks))


def _is_unseen(char: str) -> bool:
    """Tell whether a character has no shape: blanks, controls, joiners, selectors of variants."""
    is_selector = unicodedata.name(char, "").startswith("VARIATION SELECTOR")
    return char.isspace() or is_selector or unicodedata.category(char) in ("Cc", "Cf", "Cs")


@cache
def _family(char: str, own: FontProperties) -> str | None:
    """Return the family that draws a character, "" for the text's own, None if none does."""
    if any(_has(family, own, char) for family in own.get_family()):
        return ""
    return next((family for family in _families() if _has(family, own, char)), None)


def _has(family: str, own: FontProperties, char: str) -> bool:
    properties = own.copy()  # a bold font may lack letters that the plain one has
    properties.set_family(family)
    try:
        path = findfont(properties, fallback_to_default=False)
    except ValueError:
        return False
    return ord(char) in _letters(path) and (_is_unseen(char) or _is_drawn(path, char))


@cache
def _families() -> list[str]:
    """Return the installed families, sans serif before others."""
    known = {entry.fname for entry in fontManager.ttflist}
    for path in {*findSystemFonts()} - known:  # matplotlib keeps a list, and does not renew it
        with suppress(Exception):  # it cannot read every format
            fontManager.addfont(path)
    names = {entry.name for entry in fontManager.ttflist}
    usable = [name for name in names if not name.startswith((".", "Last Resort", "LastResort"))]
    return sorted(usable, key=lambda name: ("Sans" not in name, name))


@cache
def _letters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path, face_index=getattr(path, "face_index", 0)).get_charmap())


def _is_drawn(path: str, char: str) -> bool:
    """Tell whether a glyph has an outline: those of colours have none that can be drawn here."""
    font = FT2Font(path, face_index=getattr(path, "face_index", 0))
    with suppress(RuntimeError):
        font.set_size(12, 72)
        return font.load_char(ord(char)).width > 0
    return False
