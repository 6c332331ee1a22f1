"""Any answers at all, whatever brings them: a plain rejection, or a project that carries them."""

import ast
import functools
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from collections import Counter
from importlib.resources import files as resources
from pathlib import Path, PurePosixPath

import jsonschema
import pytest
import strategies
import yaml
from click.testing import CliRunner
from conftest import CHOICES, CONFIGURATION, PROMPTS, SKELETON, TEMPLATE, BakedProject
from cookiecutter.cli import main as cookiecutter
from cookiecutter.exceptions import FailedHookException
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from cookiecutter.utils import create_env_with_context
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jinja2 import FileSystemLoader
from test_generation import parts
from test_hostile_answers import ANSWERS, paragraphs

# Answers that a defect did not carry or reject as it should, and what becomes of them now.
CORPUS = Path(__file__).parent / "corpus" / "answers.jsonl"
# How cookiecutter takes answers without a person: keywords of its `generate_context`, and a file of
# `--replay-file`, which it hands over as it is.
ROUTES = ("extra_context", "default_context", "replay")
DERIVED = {"project_slug": "project_name", "package_name": "project_slug"}
INSTRUCTION = re.compile(
    "ARG|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|RUN|USER|VOLUME|WORKDIR"
)
# How many sets of answers are tried, and for how many a project is generated. The nightly run tries
# all of them, every other run a part, and a search twenty times as many.
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "fixed")
SHARE = {"fixed": 0.2, "nightly": 1, "search": 20}[PROFILE]
TRIED, GENERATED, REJECTED = (round(SHARE * number) for number in (1700, 300, 40))


class YAML(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A loader that leaves the tags of a CloudFormation template aside."""


YAML.add_multi_constructor("!", lambda loader, tag, node: tag)


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Let cookiecutter's functions import the template's extension, as its `main` does."""
    sys.path.append(str(TEMPLATE))
    yield
    sys.path.remove(str(TEMPLATE))


def environment():
    """Return what cookiecutter renders this template with."""
    return create_env_with_context({"cookiecutter": {"_extensions": CONFIGURATION["_extensions"]}})


def handed_over(route, answers):
    """Return answers as they reach the template; None where cookiecutter gives up by itself.

    It makes text of numbers, takes the first of a list, and looks itself whether an answer is among
    the choices: without the template, which could say it more plainly. In a user's configuration it
    warns of such an answer, and passes over whatever follows.
    """
    if route == "replay":
        return answers
    reached = {}
    for name, value in answers.items():
        if name in CHOICES:
            listed = value if isinstance(value, list) else [value]
            if any(isinstance(one, list | dict) for one in listed if listed is value):
                return None
            if not all(one in CHOICES[name] for one in listed):
                if route == "default_context":
                    break
                return None
        if value == []:
            return None
        first = value[0] if isinstance(value, list) else value
        if first == PROMPTS[name]:  # it cannot be told from no answer, which is as good
            continue
        is_number = isinstance(first, int | float) and not isinstance(first, bool)
        reached[name] = str(first) if is_number else first
    return reached


def in_force(route, answers):
    """Return all answers as the files see them, by cookiecutter's steps up to the first folder."""
    if route == "replay":
        context = {"cookiecutter": dict(answers)}
    else:
        context = generate_context(str(TEMPLATE / "cookiecutter.json"), **{route: answers})
        context["cookiecutter"].update(prompt_for_config(context, no_input=True))
    context["cookiecutter"]["_template"] = str(TEMPLATE)
    folder = environment().from_string(SKELETON.name).render(**context)
    assert folder == context["cookiecutter"]["project_slug"]
    return {name: context["cookiecutter"][name] for name in PROMPTS}


@functools.cache
def sources(*choices):
    """Return where in the skeleton each file of a project comes from, by its name there."""
    chosen = dict(zip(CHOICES, choices, strict=True))
    layers = [SKELETON, *(SKELETON / "overlays" / "parts" / part for part in parts(chosen))]
    layers += [SKELETON / "overlays" / prompt / choice for prompt, choice in chosen.items()]
    return {
        file.relative_to(layer).as_posix(): file.relative_to(SKELETON).as_posix()
        for layer in layers
        for file in sorted(layer.rglob("*"))
        if file.is_file() and file.relative_to(layer).parts[0] not in ("kit", "overlays", "src")
    }


@functools.cache
def loader():
    """Return an environment that reads the skeleton's files and the templates that they include."""
    reading = environment()
    reading.loader = FileSystemLoader([SKELETON, TEMPLATE / "templates"])
    return reading


def rendered(answers):
    """Return the texts of the files whose syntax an answer could break, without generating them.

    Code of tests and benchmarks is left out: of the answers, it carries the package's name alone.
    """
    return {
        name: loader().get_template(source).render(cookiecutter=answers)
        for name, source in sources(*(answers[prompt] for prompt in CHOICES)).items()
        if kind(name) not in ("", ".py", ".sh")
    }


def kind(name):
    """Return by what rules a file is read: its extension, or its name where that says it."""
    path = PurePosixPath(name)
    if name in ("Dockerfile", "LICENSE", "README.md"):
        return name
    if path.match(".github/workflows/*"):
        return "workflows"
    known = (".yaml", ".yml", ".toml", ".json", ".py", ".sh")
    return path.suffix if path.suffix in known else ""


@functools.lru_cache(maxsize=1000)
def parse(kind, text):
    """Return what a file says, or raise what its parser does; most are the same every time."""
    match kind:
        case ".yaml" | ".yml":
            return list(yaml.load_all(text, Loader=YAML))
        case "workflows":
            workflow = yaml.load(text, Loader=YAML)
            # YAML 1.1 reads `on` as true.
            schema().validate({"on" if key is True else key: workflow[key] for key in workflow})
            return workflow
        case ".toml":
            return tomllib.loads(text)
        case ".json":
            return json.loads(text)
        case ".py":
            ast.parse(text)
        case "README.md":  # what an answer may break begins above its sections
            return paragraphs(text.partition("\n## ")[0])
        case ".sh" if shutil.which("bash"):
            subprocess.run(["bash", "-n"], input=text, encoding="utf-8", check=True)
        case "Dockerfile":
            return instructions(text)
    return text


@functools.cache
def schema():
    """Return the validator of GitHub's workflows."""
    vendored = resources("check_jsonschema") / "builtin_schemas" / "vendor"
    text = (vendored / "github-workflows.json").read_text(encoding="utf-8")
    return jsonschema.Draft7Validator(json.loads(text))


def instructions(text):
    """Return what each instruction of a Dockerfile gets, by its name; of several, the last."""
    lines = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = dict(line.split(maxsplit=1) for line in lines if line.strip())
    assert all(map(INSTRUCTION.fullmatch, found)), sorted(found)
    return found


def assert_carried(files, answers):
    """Assert that all files parse, and that each answer is unchanged wherever it belongs."""
    slug, package = answers["project_slug"], answers["package_name"]
    contents = {name: parse(kind(name), text) for name, text in files.items()}

    project = contents["pyproject.toml"]["project"]
    assert project["name"] == slug
    assert project["description"] == answers["problem_statement"]
    assert project["authors"] == [{"name": answers["author_name"]}]
    assert project["scripts"] == {slug: f"{package}.__main__:run"}
    assert project.get("license", "none") == answers["license"]
    tools = contents["pyproject.toml"]["tool"]
    assert list(tools["setuptools"]["package-data"]) == [package, "portfolio_kit"]
    assert tools["mypy"]["packages"] == [package]

    for answer in ("project_name", "problem_statement"):
        assert answers[answer].strip() in contents["README.md"]
    if answers["license"] != "none":
        owner = rf"Copyright (\(c\) )?20\d\d,? {re.escape(answers['author_name'])}$"
        assert re.search(owner, files["LICENSE"], re.MULTILINE)

    [params] = contents["params.yaml"]
    assert params["serve"]["title"] == answers["project_name"]
    assert params["tracking"]["experiment"] == slug
    [compose] = contents["compose.yaml"]
    [prometheus] = contents["monitoring/prometheus.yml"]
    assert compose["name"] == prometheus["scrape_configs"][0]["job_name"] == slug
    assert contents["monitoring/grafana/dashboard.json"]["title"] == slug
    [pipeline] = contents["dvc.yaml"]
    for stage in pipeline["stages"].values():
        assert stage["cmd"].startswith(f"python -m {package} ")
    started = json.loads(contents["Dockerfile"]["ENTRYPOINT"])
    assert started == ["python", "-m", package, "serve"]
    assert f'title="{slug}"' in contents["Dockerfile"]["LABEL"]


def assert_rejected(lines, reached):
    """Assert one plain line for each bad answer, and none for another."""
    bad = {name for name, value in reached.items() if not strategies.acceptable(name, value)}
    named = [line.split(": ")[0] for line in lines]
    # Nothing can be derived from an answer with keys and values.
    spoilt = {
        name
        for name, source in DERIVED.items()
        if name not in reached and isinstance(reached.get(source), dict)
    }
    assert bad <= set(named) <= bad | spoilt, (lines, bad)
    assert len(named) == len(set(named)), lines
    for line in lines:
        assert line.isprintable()
        assert re.fullmatch(r"\w+: .{1,180}; \w.{1,180}", line), line


def outcome(route, answers):
    """Tell what becomes of answers, short of writing it to disk, and assert that it is right."""
    reached = handed_over(route, answers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Invalid default received")
        if reached is None:
            with pytest.raises((ValueError, TypeError)):
                in_force(route, answers)
            return "cookiecutter's own rejection"
        try:
            final = in_force(route, answers)
        except FailedHookException as rejection:
            assert_rejected(str(rejection).split("\n"), reached)
            return "rejected"
    assert {name: final[name] for name in reached} == reached
    assert [name for name, value in final.items() if not strategies.acceptable(name, value)] == []
    assert_carried(rendered(final), final)
    return "carried"


def test_any_answers_are_carried_or_rejected():
    seen = Counter()

    @settings(max_examples=TRIED)
    @given(st.sampled_from(ROUTES), st.sampled_from(["good", "any"]), st.data())
    def try_out(route, which, data):
        whole = route == "replay"
        answers = data.draw(getattr(strategies, f"{which}_{'sets' if whole else 'answers'}"))
        seen[outcome(route, answers)] += 1

    try_out()
    assert seen.total() >= TRIED
    assert min(seen["carried"], seen["rejected"]) >= TRIED / 4, seen


CASES = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["was"])
def test_what_was_a_defect_is_none(case):
    answers = {**ANSWERS, **case["answers"]} if case["route"] == "replay" else case["answers"]
    assert outcome(case["route"], answers) == case["outcome"]


@pytest.fixture(scope="module")
def command_line(tmp_path_factory):
    """Return a function that runs cookiecutter's command line in this process.

    It takes answers as "arguments", "typed", or by "default_context" or "replay", and returns what
    was printed and the exit code, and the folder that projects go into.
    """
    home = tmp_path_factory.mktemp("home")

    def run(route, answers):
        shutil.rmtree(home)
        out = home / "out"
        out.mkdir(parents=True)
        config = {"replay_dir": str(home / "replay"), "cookiecutters_dir": str(home)}
        options, typed = ["--no-input"], None
        if route == "arguments":
            options += [f"{name}={value}" for name, value in answers.items()]
        elif route == "typed":
            numbers = {name: CHOICES[name].index(answers[name]) + 1 for name in CHOICES}
            lines = {**answers, **numbers}
            options, typed = [], "".join(f"{lines[name]}\n" for name in PROMPTS)
        elif route == "default_context":
            config["default_context"] = answers
        else:
            (home / "answers.json").write_text(json.dumps({"cookiecutter": answers}))
            options = ["--replay-file", str(home / "answers.json")]
        (home / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        options += ["--output-dir", str(out), "--config-file", str(home / "config.yaml")]
        return CliRunner().invoke(cookiecutter, [str(TEMPLATE), *options], input=typed), out

    logging.disable()  # it notes each file
    yield run
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_odd_answers_are_generated_from(command_line):
    seen = Counter()

    @settings(max_examples=GENERATED)
    @given(st.sampled_from(["arguments", "typed", *ROUTES[1:]]), strategies.good_sets)
    def generate(route, answers):
        if route == "typed":  # the prompt strips what it gets
            answers = {name: value.strip() for name, value in answers.items()}
        done, out = command_line(route, answers)
        assert done.exit_code == 0, done.output
        [folder] = out.iterdir()
        project = BakedProject(folder)
        assert folder.name == answers["project_slug"]
        assert project.package == answers["package_name"]
        written = [name for name in project.files() if not name.startswith("src/")]
        assert_carried({name: project.read(name) for name in written if kind(name)}, answers)
        assert project.run("git", "status", "--porcelain").stdout == ""
        assert project.run("git", "rev-list", "--count", "main").stdout == "1\n"
        seen[route] += 1

    generate()
    assert seen.total() >= GENERATED
    assert min(seen.values()) >= GENERATED / 10, seen


@pytest.mark.slow
def test_bad_answers_leave_nothing(command_line):
    seen = Counter()

    @settings(max_examples=REJECTED)
    @given(st.sampled_from(ROUTES[1:]), strategies.any_sets)
    def turn_away(route, answers):
        reached = handed_over(route, answers)
        assume(reached is not None)
        assume(not all(strategies.acceptable(name, value) for name, value in reached.items()))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Invalid default received")
            done, out = command_line(route, answers)
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit), done.exception  # else: a traceback
        assert_rejected(done.output.rstrip("\n").split("\n"), reached)
        assert list(out.iterdir()) == []
        seen[route] += 1

    turn_away()
    assert seen.total() >= REJECTED
