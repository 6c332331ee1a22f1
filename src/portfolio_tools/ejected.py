"""Where ejected modules go, and what they become there."""

from collections.abc import Iterable

from . import template
from .imports import rewrite

KIT, FOLDER = "portfolio_kit", "kit/portfolio_kit"
RECORD = "kit/ejected.json"
TESTS = "tests/ejected"  # apart from the author's own tests, with the fixtures that they need
KIT_TESTS = template.ROOT / "tests" / "kit"


def moves(package: str, modules: Iterable[str]) -> dict[str, str]:
    """Return the new dotted name of each ejected module by its old one."""
    return {f"{KIT}.{module}": f"{package}.{module}" for module in modules}


def place_of(module: str, package: str) -> str:
    """Return the file that a module of the kit is copied to."""
    return f"src/{package}/{module.replace('.', '/')}.py"


def copied(source: str, module: str, moved: dict[str, str]) -> str:
    """Return a kit module's source as it is in the author's package."""
    return rewrite(source, moved, f"{KIT}.{module}", absolute=True)
