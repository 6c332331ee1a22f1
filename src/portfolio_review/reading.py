"""Reads what a stranger's JSON, YAML and TOML files hold, within bounds."""

import json
import tomllib
from typing import Any

import yaml

MAX_YAML = 500_000  # characters, which take four seconds to parse
MAX_ALIASES = 12  # per file; nested, they make at most 81 copies


class _PlainLoader(yaml.SafeLoader):
    """YAML with few aliases of short texts: nine lines of many can expand to gigabytes."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_ALIASES or self.peek_event().start_mark.index > 20_000:
                raise yaml.YAMLError("more aliases than the review reads")
        return super().compose_node(parent, index)


def mapping(text: str, name: str) -> dict[str, Any]:
    """Return the mapping in JSON, YAML or TOML, as JSON can hold it; {} for anything else."""
    try:
        if name.endswith((".json", ".ipynb")):
            content = json.loads(text)
        elif name.endswith(".toml"):
            content = tomllib.loads(text)
        elif len(text) > MAX_YAML:
            return {}
        else:
            content = yaml.load(text, _PlainLoader)  # a SafeLoader
        # YAML has keys that are not text, and numbers that Python declines to write.
        content = json.loads(json.dumps(content, default=str, skipkeys=True))
    except (ValueError, TypeError, AttributeError, yaml.YAMLError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def part(content: Any, name: str) -> dict[str, Any]:
    """Return the mapping under a key, or an empty one: files may hold anything."""
    inner = content.get(name) if isinstance(content, dict) else None
    return inner if isinstance(inner, dict) else {}


def number(content: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if not isinstance(content, int | float) or isinstance(content, bool):
        return None
    return content if abs(content) < 1e300 else None  # false for NaN, too
