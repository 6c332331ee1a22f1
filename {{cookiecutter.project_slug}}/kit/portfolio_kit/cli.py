"""The command line: one verb per stage of the model's life."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from . import adopt, config
from .errors import UserError, lines_of
from .project import Project


@dataclass(frozen=True)
class Call:
    """One call of a verb."""

    project: Project
    params: Any
    overrides: list[str]
    options: dict[str, Any] = field(default_factory=dict)  # of `predict`, `key` and `adopt`


@dataclass(frozen=True)
class Command:
    """A verb: its name, what it does in words, and the function that does it."""

    name: str
    help: str
    run: Callable[[Call], int | None]


def take(call: Call) -> None:
    adopt.adopt(call.project, call.options, config.given(call.overrides))


def report(call: Call) -> None:
    from .report import report

    report(call.project, call.params)


def record(call: Call) -> None:
    from .pipeline import record

    record(call.params)


def pipeline(call: Call) -> None:
    from .pipeline import reproduce

    reproduce(call.project.package, call.overrides)


def predict(call: Call) -> None:
    from .artifacts import MODELS

    predictor = call.project.serving().predictor.load(MODELS, call.params.serve)
    print(json.dumps(predictor.predict(call.options["inputs"]), indent=2, ensure_ascii=False))


def serve(call: Call) -> int:
    from .serving.server import serve

    return serve(call.project, call.params)


def key(call: Call) -> None:
    from .serving.access import new_key

    secret, entry = new_key(call.options["name"], call.options["role"])
    print(f"key:    {secret}\nentry:  {entry}")
    variable = f"{call.project.package}_{config.API_KEYS}".upper()
    print(f"Clients send the key, shown only now; {variable} takes the entry, and commas between.")


def monitor(call: Call) -> int:
    from .monitoring.monitor import monitor

    return monitor(call.project, call.params)


def bench(call: Call) -> None:
    from .bench.serving import bench

    bench(call.project, call.params, call.overrides)


def data(call: Call) -> None:
    from .artifacts import alone

    with alone("data"):
        call.project.data(call.params)


def train(call: Call) -> None:
    from .artifacts import alone

    # Of several processes of one training, the others only compute.
    with alone("train") if os.environ.get("RANK", "0") == "0" else nullcontext():
        call.project.train(call.params)


COMMANDS = (
    Command("adopt", "take other data: show what it holds, and set it in params.yaml", take),
    Command("data", "fetch, verify, validate and split the data", data),
    Command("train", "fit the model and export it to models/", train),
    Command(
        "evaluate",
        "score the exported model on the held-out test set",
        lambda call: call.project.evaluate(call.params),
    ),
    Command("report", "write the README's results and data, and the model card", report),
    Command("params", "record the parameters in force, for dvc.yaml", record),
    Command("pipeline", "data, train, evaluate and report, skipping what is up to date", pipeline),
    Command("predict", "one prediction on the command line", predict),
    Command("serve", "the API on HOST and PORT (default 127.0.0.1:8000)", serve),
    Command("key", "a new API key, and the entry to deploy", key),
    Command("monitor", "compare what was served with the training data", monitor),
    Command("bench", "compare this API with other ways to serve its model", bench),
)


def main(project: Project, arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0, or 1 after one plain line on standard error.

    `monitor` returns 3 for an alarm.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {project.package}", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for command in COMMANDS:
        verb = verbs.add_parser(command.name, help=command.help, description=command.help)
        verb.set_defaults(command=command)
        verb.add_argument(
            "--set",
            action="append",
            default=[],
            dest="overrides",
            metavar="KEY=VALUE",
            help="override a key of params.yaml, for example --set train.epochs=1 (repeatable)",
        )
        if command.run is predict:
            verb.add_argument("inputs", nargs="+", help="what to predict")
        elif command.run is key:
            verb.add_argument("name", metavar="NAME", help="who will use it, for logs and metrics")
            verb.add_argument("--role", choices=("read", "write"), default="read")
        elif command.run is take:
            adopt.add_arguments(verb, project.params.adopting)
    options = vars(parser.parse_args(arguments))
    command, overrides = options.pop("command"), options.pop("overrides")
    try:
        # Arguments that are not valid UTF-8 are rejected below.
        json.dumps(options, ensure_ascii=False).encode()
        if command.run is take:  # it changes the file, which may lack something until then
            take(Call(project, None, overrides, options))
            return 0
        params = config.load(project.params, project.package, overrides)
        return command.run(Call(project, params, overrides, options)) or 0
    except (UserError, OSError, ModuleNotFoundError, UnicodeEncodeError) as error:
        # A missing module means an environment that was made for less than this verb.
        hint = "; run `make setup`" if isinstance(error, ModuleNotFoundError) else ""
        for line in lines_of(error):
            print(f"error: {line}{hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
