"""Figures in any script: letters that the default font lacks are drawn by another, or marked."""

import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.text import Text

from portfolio_kit import fonts, plots

pytestmark = pytest.mark.filterwarnings("error")
SCRIPTS = {
    "Chinese": "配送 (late)",
    "Japanese": "日本語 テスト",
    "Korean": "한국어",
    "Devanagari": "हिन्दी क्षत्रिय",
    "Thai": "ภาษาไทย",
    "emoji": "ok 🫠🪿",
    "emoji of several": "👩‍💻 team",
    "private": "\U000f1234",
    "unassigned": "\U000effff",
}


@pytest.fixture(autouse=True)
def bundled_fonts(monkeypatch):
    """Only what comes with matplotlib is installed, and no mark is taken."""
    folder = matplotlib.get_data_path()
    own = [e for e in font_manager.fontManager.ttflist if e.fname.startswith(folder)]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    monkeypatch.setattr(fonts, "MARKS", {})
    forget()
    yield
    forget()


def forget():
    for cached in (fonts._family, fonts._families, fonts._letters):
        cached.cache_clear()


def install(name, letters, is_blank=False):
    """Install a font that draws each letter as a square, or as nothing."""
    glyphs = {".notdef": TTGlyphPen(None).glyph()}
    for letter in letters:
        pen = TTGlyphPen(None)
        if not is_blank:
            pen.moveTo((0, 0))
            for point in [(0, 700), (700, 700), (700, 0)]:
                pen.lineTo(point)
            pen.closePath()
        glyphs[f"uni{ord(letter):06X}"] = pen.glyph()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(list(glyphs))
    font.setupCharacterMap({ord(letter): f"uni{ord(letter):06X}" for letter in letters})
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (800, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": name, "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    font.setupPost()
    path = Path(f"{name}.ttf").absolute()
    font.save(path)
    font_manager.fontManager.addfont(path)
    forget()


def drawn(*names):
    """Draw names in every place that a figure has, and return all of its texts."""
    with plots.plt.rc_context(plots.STYLE):
        figure, axes = plots.plt.subplots(layout="constrained")
        axes.barh(range(len(names)), range(len(names)), label=names[0])
        axes.set_yticks(range(len(names)), names)
        axes.set(title=names[0], xlabel=names[0])
        axes.annotate(names[0], (0, 0))
        axes.legend()
        plots.save(figure, "names.png", Path("."))
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.mark.parametrize("name", SCRIPTS.values(), ids=SCRIPTS)
def test_letters_that_no_font_has_are_marked_in_one_line(name, capsys):
    texts = drawn(name, "plain")
    assert name not in texts
    [note] = capsys.readouterr().out.splitlines()
    assert note.startswith("note: no installed font has these letters, so figures show [1] for ")
    restored = {re.sub(r"\[\d+\]", lambda mark: fonts.MARKS[mark[0]], text) for text in texts}
    assert name in restored
    assert np.ptp(matplotlib.image.imread("names.png")) > 0.5


def test_the_same_letters_have_the_same_mark_in_each_figure(capsys):
    assert {"[1] (late)", "[1] (early)", "[2]"} <= drawn("配送 (late)", "配送 (early)", "한국어")
    assert {"[2]", "[1]"} <= drawn("한국어", "配送")
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert fonts.MARKS == {"[1]": "配送", "[2]": "한국어"}


def test_a_font_that_has_the_letters_draws_them(capsys):
    install("Some Sans", "配送")
    assert {"配送 (late)", "한 x"} - drawn("配送 (late)", "한 x") == {"한 x"}
    assert fonts.MARKS == {"[1]": "한"}
    capsys.readouterr()


def test_a_font_without_outlines_is_not_taken(capsys):
    install("Colors Sans", "🪿", is_blank=True)
    assert "[1]" in drawn("🪿")
    capsys.readouterr()


def test_letters_of_two_fonts_that_form_one_are_marked(capsys):
    install("A Sans", "👩")
    install("B Sans", "💻")
    assert not {text for text in drawn("x 👩\u200d💻") if "👩" in text and "💻" not in text}
    capsys.readouterr()


NAMES = ["US$ or A$", r"$\frac$ {x}^_", "a_b", "العربية نص", "Ünïcode ≤ Ω", "e\u0301", "😀", "a\nb"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_the_default_font_has_stays_as_it_is(name, capsys):
    assert name in drawn(name)
    assert not capsys.readouterr().out
    assert fonts.MARKS == {}


@pytest.mark.parametrize(
    "name", ["a\tb", "a\u3000b", "a\x07b", "a\u2060b", "a\U000e0100b"], ids=ascii
)
def test_characters_without_a_shape_need_no_mark(name, capsys):
    assert {"a b", "ab", name} & drawn(name)
    assert not capsys.readouterr().out
