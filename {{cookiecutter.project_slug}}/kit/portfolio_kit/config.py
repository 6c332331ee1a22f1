"""Reads `params.yaml`, applies overrides and explains what is wrong with them."""

import difflib
import ipaddress
import os
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .adopting import Adopting
from .errors import UserError

if TYPE_CHECKING:  # the API needs neither
    from .scoring.inputs import Columns
    from .scoring.scorer import Scorer

PARAMS_FILE = Path("params.yaml")
MOST = 1_000_000_000  # of anything that is counted
API_KEYS = "API_KEYS"  # PACKAGE_API_KEYS is a secret of the server's, not a parameter


class Section(BaseModel):
    """A section of `params.yaml`: every key is known, typed and bounded."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


def _one_line(place: str) -> str:
    if not place.strip() or any(character < " " or character == "\x7f" for character in place):
        raise ValueError("write a path or a URL on one line")
    return place


def _prefix(path: str) -> str:
    names = path.strip("/")
    if not re.fullmatch(r"[\w.~/-]+", names, re.ASCII):
        raise ValueError("write a path such as /ml, of letters, digits, and - . _ ~")
    return f"/{names}"


def _network(address: str) -> str:
    try:
        return str(ipaddress.ip_network(address, strict=False))
    except ValueError:
        raise ValueError("write an IP address, or a network such as 10.0.0.0/8") from None


def _origin(origin: str) -> str:
    if not re.fullmatch(r"\*|https?://[^/\s]+", origin):
        raise ValueError("write an origin such as https://example.org, without a path")
    return origin


def _rate(text: str) -> str:
    import limits  # on use: loading it takes a while

    try:
        amounts = [item.amount for item in limits.parse_many(text)]
    except ValueError:
        amounts = []
    if not all(amounts) or not amounts:
        raise ValueError("write a limit such as 600/minute, or several: 10/second;600/minute")
    return text


Place = Annotated[str, AfterValidator(_one_line)]  # of a file or folder, local or remote
Example = Annotated[str, Field(min_length=1, max_length=1_000)]
Prefix = Annotated[str, AfterValidator(_prefix)]  # of a path
Network = Annotated[str, AfterValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]  # scheme, host and port of a page
RateLimit = Annotated[str, Field(max_length=200), AfterValidator(_rate)]
Threads = Annotated[int, Field(ge=1, le=256)] | None  # None: one per available core
Fraction = Annotated[float, Field(gt=0, le=1 / 3)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class Tracking(Section):
    experiment: str


class Log(Section):
    folder: Place | None
    sample: Annotated[float, Field(ge=0, le=1)]
    megabytes: Annotated[int, Field(ge=1, le=MOST)]
    redact: bool


class Monitor(Section):
    rows: Annotated[int, Field(ge=20, le=MOST)]
    significance: Annotated[float, Field(gt=0, lt=0.5)]
    effect: Annotated[float, Field(gt=0, lt=1)]
    invalid: Annotated[float, Field(gt=0, lt=1)]
    labels: Place | None


class Serve(Section):
    title: str
    log: Log
    threads: Threads
    max_wait_seconds: Annotated[float, Field(gt=0, le=60)]
    max_body_bytes: Annotated[int, Field(ge=1_000, le=MOST)]
    root_path: Prefix | None = None
    trusted_proxies: list[Network] = []
    cors: list[Origin] = []
    rate_limit: RateLimit | None = None
    operations_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    examples: Annotated[list[Example], Field(max_length=12)] | None = None


class Score(Section):
    shard_rows: Annotated[int, Field(ge=1, le=MOST)] = 4_096
    max_rejected: Annotated[int, Field(ge=0, le=MOST)] = 1_000

    @abstractmethod
    def scorer(self, model: Any, columns: "Columns", params: Any) -> "Scorer":
        """Return what answers rows of files with these columns; raises `UserError` without some."""


class ScoreTexts(Score):
    text_column: str | None = None
    keep: list[str] | None = None  # columns to carry through; None: all others


class Evaluate(Section):
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)]


class Settings(Section):
    """The sections that every project has."""

    adopting: ClassVar[Adopting | None] = None  # how `adopt` fills in what describes a data set

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    evaluate: Evaluate
    tracking: Tracking
    serve: Serve
    monitor: Monitor


P = TypeVar("P", bound=Section)


class _Loader(yaml.SafeLoader):
    """Rejects a repeated key, of which PyYAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                problem = f"the key {name!r} is repeated; remove one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def load(
    schema: type[P],
    package: str,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> P:
    """Return the parameters in force: the file, then environment variables, then `--set`.

    Raises `UserError` for an unreadable file, an unknown key (naming the nearest known one) or an
    invalid value.
    """
    values = parsed(text_of(PARAMS_FILE))
    known, origins = list(keys(schema)), {}
    for origin, key, text in [*_variables(package, environment), *_options(overrides)]:
        if key not in known:
            raise UserError(f"{origin}: {unknown(key, known)}")
        origins[key] = origin
        section = values
        *sections, name = key.split(".")
        for part in sections:
            if not isinstance(section.get(part), dict):
                section[part] = {}
            section = section[part]
        section[name] = _value(text)
    return check(schema, values, origins)


def check(schema: type[P], values: dict[str, Any], origins: Mapping[str, str]) -> P:
    """Return values as parameters; `origins` says where a key came from, if not from the file.

    Raises `UserError` with a line for each key that is unknown, missing or invalid.
    """
    known = list(keys(schema))
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = (_explain(problem, known, origins) for problem in error.errors())
        raise UserError("\n".join(lines)) from None


def as_environment(package: str, overrides: Iterable[str]) -> dict[str, str]:
    """Return `--set` overrides as the environment variables that child processes read."""
    return {
        f"{package}_{key.replace('.', '__')}".upper(): text for _, key, text in _options(overrides)
    }


def given(overrides: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the key and the value of each `--set`."""
    for _, key, text in _options(overrides):
        yield key, _value(text)


def keys(schema: type[Section], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of each parameter."""
    for name, field in schema.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _variables(package: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    prefix = f"{package}_".upper()
    for name, text in sorted(environment.items()):
        if name.upper().startswith(prefix) and name != prefix + API_KEYS:
            yield _shown(name), name[len(prefix) :].lower().replace("__", "."), text


def _options(overrides: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise UserError(f"--set {_shown(override)}: write it as --set section.key=value")
        yield f"--set {_shown(key.strip())}", key.strip(), text


def _value(text: str) -> Any:
    try:
        return _parse(text)
    except ValueError:
        return text


def _shown(text: str) -> str:
    return repr(text)[1:-1][:100]


def text_of(path: Path) -> str:
    """Return a file's text, line ends as they are; raises `UserError` if it cannot be read."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run this in the project's folder") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def parsed(text: str) -> dict[str, Any]:
    """Return what a `params.yaml` says; raises `UserError` if it cannot be read."""
    try:
        values = _parse(text)
    except ValueError as error:
        raise UserError(f"{PARAMS_FILE}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        line = "must hold sections with keys, like `train:` and `  epochs: 3`"
        raise UserError(f"{PARAMS_FILE}: {line}")
    return values


def _parse(text: str) -> Any:
    """Return what YAML says; raises `ValueError` with the reason why it cannot be read."""
    try:
        values = yaml.load(text, _Loader)
        repr(values)  # raises `ValueError` for an integer of more digits than Python prints
        return values
    except Exception as error:  # PyYAML lets Python's own errors through, of dates for example
        raise ValueError(f"{' '.join(str(error).split()):.300}") from None


def unknown(key: str, known: list[str]) -> str:
    """Return that there is no such parameter, and which one is meant perhaps."""
    nearest = difflib.get_close_matches(key[:100], known, n=1, cutoff=0.0)[0]
    return f"there is no parameter {key!r:.100}; the nearest is {nearest!r}"


def _explain(problem: Any, known: list[str], origins: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{PARAMS_FILE}: {unknown(key, known)}"
    if problem["type"] == "missing":
        return f"{PARAMS_FILE}: {key} is missing"
    overridden = (one for one in origins if f"{key}.".startswith(f"{one}."))
    places = [origins[one] + key.removeprefix(one) for one in overridden]  # with a list's index
    place = places[0] if places else f"{PARAMS_FILE}: {key}"
    return f"{place}: {problem['msg']} (got {problem['input']!r:.100})"
