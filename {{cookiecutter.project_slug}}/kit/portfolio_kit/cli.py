"""The command line: one verb per stage of the model's life."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import config
from .errors import UserError, lines_of
from .project import Project


@dataclass(frozen=True)
class Call:
    """One call of a verb."""

    project: Project
    params: Any
    overrides: list[str]
    inputs: list[str] = field(default_factory=list)  # of `predict`


@dataclass(frozen=True)
class Command:
    """A verb: its name, what it does in words, and the function that does it."""

    name: str
    help: str
    run: Callable[[Call], int | None]


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
    print(json.dumps(predictor.predict(call.inputs), indent=2, ensure_ascii=False))


def serve(call: Call) -> int:
    from .serving.server import serve

    return serve(call.project, call.params)


def monitor(call: Call) -> int:
    from .monitoring.monitor import monitor

    return monitor(call.project, call.params)


def bench(call: Call) -> None:
    from .bench.serving import bench

    bench(call.project, call.params, call.overrides)


COMMANDS = (
    Command(
        "data",
        "fetch, verify, validate and split the data",
        lambda call: call.project.data(call.params),
    ),
    Command(
        "train",
        "fit the model and export it to models/",
        lambda call: call.project.train(call.params),
    ),
    Command(
        "evaluate",
        "score the exported model on the held-out test set",
        lambda call: call.project.evaluate(call.params),
    ),
    Command("report", "write the README's results and data, and the model card", report),
    Command("params", "record the parameters in force, for dvc.yaml", record),
    Command("pipeline", "all of the above, skipping what is up to date", pipeline),
    Command("predict", "one prediction on the command line", predict),
    Command("serve", "the API on HOST and PORT (default 127.0.0.1:8000)", serve),
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
        verb.set_defaults(command=command, inputs=[])
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
    options = parser.parse_args(arguments)
    try:
        "".join(options.inputs).encode()  # arguments that are not valid UTF-8 are rejected below
        params = config.load(project.params, project.package, options.overrides)
        call = Call(project, params, options.overrides, options.inputs)
        return options.command.run(call) or 0
    except (UserError, OSError, ModuleNotFoundError, UnicodeEncodeError) as error:
        # A missing module means an environment that was made for less than this verb.
        hint = "; run `make setup`" if isinstance(error, ModuleNotFoundError) else ""
        for line in lines_of(error):
            print(f"error: {line}{hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
