"""The command line: one verb per stage of the model's life."""

import argparse
import importlib
import sys

from . import config
from .errors import UserError, lines_of
from .params import Params

# verb: the module whose `run` does it (loaded on use: `serve` needs nothing that only training
# installs), and what it does
VERBS = {
    "data": ("data.prepare", "fetch, verify, validate and split the data"),
    "train": ("training.train", "fit the model and export it to models/"),
    "evaluate": ("evaluation.evaluate", "score the exported model on the held-out test set"),
    "report": ("evaluation.report", "write the README's results and the model card"),
    "params": ("record", "record the parameters in force, for dvc.yaml"),
    "pipeline": ("pipeline", "all of the above, skipping what is up to date"),
    "predict": ("serving.predict", "one prediction on the command line"),
    "serve": ("serving.serve", "the API on HOST and PORT (default 127.0.0.1:8000)"),
    "monitor": ("monitoring.monitor", "what was served against what was trained on"),
    "review": ("review", "what a reviewer looks for in this project, with evidence"),
    "bench": ("bench", "this API against other ways to serve its model"),
}
# what a verb's `run` takes besides the parameters
EXTRA = {"predict": ["inputs"], "pipeline": ["overrides"], "bench": ["overrides"]}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return its exit code: 0, or 1 after one plain line on standard error.

    A verb with more to say has codes of its own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (_, what) in VERBS.items():
        command = verbs.add_parser(verb, help=what, description=what)
        command.add_argument(
            "--set",
            action="append",
            default=[],
            dest="overrides",
            metavar="KEY=VALUE",
            help="override a key of params.yaml, for example --set train.epochs=1 (repeatable)",
        )
        if verb == "predict":
            command.add_argument("inputs", nargs="+", help="what to predict")
    options = parser.parse_args(arguments)
    try:
        "".join(getattr(options, "inputs", [])).encode()  # what no UTF-8 was is refused below
        params = config.load(Params, options.overrides)
        module = importlib.import_module(f".{VERBS[options.verb][0]}", __package__)
        code = module.run(params, *(getattr(options, name) for name in EXTRA.get(options.verb, [])))
    except (UserError, OSError, ModuleNotFoundError, UnicodeEncodeError) as error:
        # Of the four, a missing module means an environment made for less than this verb.
        hint = "; run `make setup`" if isinstance(error, ModuleNotFoundError) else ""
        for line in lines_of(error):
            print(f"error: {line}{hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
