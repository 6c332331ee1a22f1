"""Projects that adopt data: the tiny one, with other parameters, and what `adopt` prints."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import yaml
from tiny.project import PROJECT

from portfolio_kit.cli import main

SHARED = """
seed: 13  # for the split
evaluate:
  bootstrap_samples: 200
tracking: {experiment: tiny}
serve:  # the API
  title: "Long or short"
  threads: 1
  max_wait_seconds: 0.75
  max_body_bytes: 1000000
  log: {folder: null, sample: 1.0, megabytes: 4, redact: false}
  examples:  # to click on the page
    - Of the template.
monitor: {rows: 2000, significance: 0.01, effect: 0.15, invalid: 0.05, labels: null}
"""
README = """# Long or short

> A service of the template's.

## Why this problem

*Written by the template; the author's own reasons go here.*

## Limits

Mine.
"""
TOML = '[project]\nname = "tiny"\ndescription = "A service of the template\'s."\n'
FILES = ("params.yaml", "README.md", "pyproject.toml")


class Printed(NamedTuple):
    """What a call printed, and whether it wrote anything."""

    code: int
    out: str
    errors: list[str]
    wrote: bool


class Adopter:
    """A project in the working directory."""

    def __init__(self, schema, data, capsys):
        self.project = dataclasses.replace(PROJECT, params=schema)
        self.capsys = capsys
        for name, text in zip(FILES, (data + SHARED, README, TOML), strict=True):
            Path(name).write_text(text, encoding="utf-8", newline="\n")

    def __call__(self, *arguments):
        """Run `adopt` with arguments."""
        before = self.files()
        self.capsys.readouterr()
        code = main(self.project, ["adopt", *map(str, arguments)])
        out, errors = self.capsys.readouterr()
        return Printed(code, out, errors.splitlines(), self.files() != before)

    def rejected(self, *arguments):
        """Run `adopt` where it must fail; return its only line."""
        done = self(*arguments)
        assert (done.code, done.wrote, len(done.errors)) == (1, False, 1), done
        return done.errors[0].removeprefix("error: ")

    def files(self):
        """Return what the files hold that `adopt` may change."""
        return {path.name: path.read_bytes() for path in map(Path, FILES)}

    def params(self):
        """Return what params.yaml says."""
        return yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
