"""What a generated project consists of, for every combination of choices."""

import hashlib
import itertools
import os
import re
import sys
import tomllib

import pytest
from conftest import CHOICES, CONFIGURATION, PROMPTS, SKELETON, TEMPLATE
from cookiecutter.environment import StrictEnvironment
from jinja2 import FileSystemLoader, UndefinedError

COMBINATIONS = [
    dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())
]
WINDOWS_REFUSES = re.compile(
    r'[<>:"|?*\\\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE
)
UNRENDERED = re.compile(rb"\{\{-?\s*cookiecutter|\{%|local_extensions")


def expected_files(package_name, **choices):
    """Return what tests/expected_files.txt lists for the choices."""
    sections = {}
    for line in (TEMPLATE / "tests" / "expected_files.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            files = sections.setdefault(line.strip("[]"), set())
        elif line and not line.startswith("#"):
            files.add(line.replace("PACKAGE", package_name))
    wanted = [f"{name} = {value}" for name, value in choices.items()]
    wanted += [f"part = {name}" for name in parts(choices)]
    return set().union(*(sections[name] for name in ("every project", *wanted)))


def parts(choices):
    """Return the names of the parts that a project of these choices is made with."""
    listed = SKELETON / "overlays" / "project_type" / choices["project_type"] / "parts.txt"
    return listed.read_text("utf-8").split()


def package_of(project):
    """Return the name of the one package of a project."""
    [package] = (project.path / "src").iterdir()
    return package.name


def case(choices):
    """Return a parameter; `make test-fast` tries each license with the first target only."""
    firsts = [choices[name] == CHOICES[name][0] for name in ("deployment_target", "license")]
    marks = [] if any(firsts) else [pytest.mark.slow]
    return pytest.param(choices, marks=marks, id=", ".join(choices.values()))


@pytest.fixture(scope="session", params=map(case, COMBINATIONS))
def combination(request, bake_in, tmp_path_factory):
    """Return the choices and the project of each combination."""
    return request.param, bake_in(tmp_path_factory.mktemp("combination"), **request.param)


def test_files_are_exactly_the_expected_ones(combination):
    choices, project = combination
    expected = expected_files(package_of(project), **choices)
    assert sorted(project.files() - expected) == [], "generated, but not in expected_files.txt"
    assert sorted(expected - project.files()) == [], "in expected_files.txt, but not generated"


def test_nothing_is_left_unrendered(combination):
    _, project = combination
    files = {name: (project.path / name).read_bytes() for name in project.files()}
    assert [name for name, content in files.items() if UNRENDERED.search(content)] == []
    assert [name for name in files if "{" in name] == []


def test_file_names_work_everywhere(combination):
    _, project = combination
    files = sorted(project.files())
    assert [name for name in files if any(map(WINDOWS_REFUSES.search, name.split("/")))] == []
    assert len({name.casefold() for name in files}) == len(files), "two names differ only by case"
    assert [path for path in project.path.rglob("*") if path.is_symlink()] == []


def test_the_packages_code_is_copied_as_it_is(combination):
    choices, project = combination
    layers = [
        SKELETON,
        *(SKELETON / "overlays" / "parts" / name for name in parts(choices)),
        *(SKELETON / "overlays" / name / choice for name, choice in choices.items()),
    ]
    package = project.path / "src" / package_of(project)
    copied = {
        file.relative_to(source): file.read_bytes()
        for layer in layers
        for source in layer.glob("src/*package_name*")
        for file in source.rglob("*.*")
        if "__pycache__" not in file.parts
    }
    assert copied
    assert {name: (package / name).read_bytes() for name in copied} == copied


def test_the_kit_is_copied_as_it_is_without_other_types_parts(combination):
    choices, project = combination
    kit = SKELETON / "kit"
    listed = {part for name in CHOICES["project_type"] for part in parts({"project_type": name})}
    others = [kit / "portfolio_kit" / part for part in listed - {*parts(choices)}]
    copied = {
        file.relative_to(kit).as_posix(): file.read_bytes()
        for file in kit.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
        if not any(file.is_relative_to(part) for part in others)
    }
    assert {f"kit/{name}" for name in copied} == {
        name for name in project.files() if name.startswith("kit/")
    }
    assert {name: (project.path / "kit" / name).read_bytes() for name in copied} == copied


def test_the_license_is_the_one_chosen(combination):
    choices, project = combination
    assert project.has_file("LICENSE") == (choices["license"] != "none")
    if choices["license"] != "none":
        text = project.read("LICENSE")
        assert re.search(r"Copyright (\(c\) )?20\d\d,? Your Name$", text, re.MULTILINE)
        assert "license" in tomllib.loads(project.read("pyproject.toml"))["project"]


def test_every_prompt_and_choice_is_explained():
    texts = CONFIGURATION["__prompts__"]
    assert list(texts) == list(PROMPTS)
    for name, choices in CHOICES.items():
        assert list(texts[name]) == ["__prompt__", *choices]


def test_the_template_has_no_symlinks():
    assert [path for path in SKELETON.rglob("*") if path.is_symlink()] == []


def test_everything_is_in_the_first_commit(project):
    log = project.run("git", "log", "--format=%an: %s", "main").stdout
    assert log == "Your Name: Generated by cookiecutter-ml-portfolio\n"
    assert project.run("git", "status", "--porcelain").stdout == ""
    tracked = project.run("git", "-c", "core.quotePath=false", "ls-files").stdout.split("\n")
    assert set(tracked) - {""} == project.files()


@pytest.fixture
def strict_git(tmp_path, monkeypatch):
    """Give the user a git that ignores much, rewrites what it reads, runs hooks and signs."""
    home, template = tmp_path / "home", tmp_path / "git-template"
    files = {
        home / ".config/git/ignore": "data/\n*.lock\n.idea/\n",
        home / "ignored": "docs/\n*.json\ntests/\nreports/\n",
        home / "attributes": "* filter=broken\n",
        template / "info/exclude": "build/\nkit/\n.dvc\n.*\n*.md\n",
        template / "hooks/pre-commit": "#!/bin/sh\nexit 1\n",
        home / ".gitconfig": f"""
[core]
  excludesFile = {(home / "ignored").as_posix()}
  attributesFile = {(home / "attributes").as_posix()}
  autocrlf = true
  safecrlf = true
[filter "broken"]
  clean = false
  required = true
[init]
  templateDir = {template.as_posix()}
[commit]
  gpgSign = true
[gpg]
  program = false
""",
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    (template / "hooks/pre-commit").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home


@pytest.mark.parametrize("excludes", ["its own place", "core.excludesFile"])
def test_the_first_commit_has_every_file_whatever_git_ignores(bake, strict_git, excludes):
    if excludes == "its own place":
        settings = (strict_git / ".gitconfig").read_text("utf-8")
        (strict_git / ".gitconfig").write_text(settings.replace("excludesFile", "unknown"))
    project = bake()
    listed = project.run("git", "ls-tree", "-r", "-z", "HEAD").stdout.split("\0")[:-1]
    blobs = {name: facts.split()[2] for facts, name in (line.split("\t") for line in listed)}
    assert set(blobs) == project.files()
    for name, blob in blobs.items():
        content = (project.path / name).read_bytes()
        assert blob == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), name


def test_later_commits_have_what_the_project_needs_whatever_git_ignores(bake, strict_git):
    project = bake()
    package = f"src/{project.package}"
    needed = {
        f"{package}/data/more.py",
        "tests/data/rows.csv",
        "docs/data/table.txt",
        "kit/portfolio_kit/data/new.py",
        "notes/data.txt",
        "reports/metrics.json",
        "reports/figures/new.png",
        "dvc.lock",
    }
    unwanted = {".env", ".idea/workspace.xml", f"{package}/.more.py.swp", "data/raw/rows.csv"}
    unwanted |= {f"{package}/__pycache__/more.pyc", "models/model.onnx", "secrets.json"}
    for name in needed | unwanted:
        (project.path / name).parent.mkdir(parents=True, exist_ok=True)
        (project.path / name).write_text("new")
    found = project.run("git", "ls-files", "--others", "--exclude-standard").stdout.split()
    assert set(found) == needed


def test_names_are_derived(bake):
    project = bake(project_name="Torch")
    assert project.path.name == "my-torch"
    assert (project.path / "src" / "my_torch").is_dir()


@pytest.mark.parametrize("name", ["R&D: Zoë's 3 Models", "json", "Class", "🚀", "3D", "a" * 100])
def test_derived_names_are_accepted(bake, name):
    package = next((bake(project_name=name).path / "src").iterdir()).name
    assert re.fullmatch("[a-z][a-z0-9_]*", package)


def test_generation_needs_nothing_but_python(command_line, tmp_path):
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(
        "import socket\n"
        "def reject(*arguments, **named):\n"
        "    raise SystemExit('the network is not needed')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = reject\n"
    )
    done = command_line("cookiecutter", str(TEMPLATE), "--no-input", PATH="", PYTHONPATH=str(guard))
    assert done.returncode == 0, done.stdout + done.stderr
    (project,) = command_line.out.iterdir()
    assert not (project / ".git").exists()


def test_next_commands_are_shown(command_line):
    done = command_line("cookiecutter", str(TEMPLATE), "--no-input")
    assert re.findall("^  (.+)$", done.stdout, re.MULTILINE) == [
        "cd attack-tactic-classifier",
        "make setup",
        "make pipeline",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="the fake git is a shell script")
def test_a_failing_hook_leaves_nothing(command_line, tmp_path):
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "git"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho no room >&2\nexit 1\n')
    fake.chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    done = command_line("cookiecutter", str(TEMPLATE), "--no-input", PATH=path)
    assert done.returncode == 1
    assert done.stderr == "post_gen_project: git init failed: no room\n"
    assert list(command_line.out.iterdir()) == []


def render(text):
    environment = StrictEnvironment(context={"cookiecutter": {}}, keep_trailing_newline=True)
    sys.path.append(str(TEMPLATE))
    environment.add_extension("local_extensions.TemplateExtension")
    sys.path.remove(str(TEMPLATE))
    environment.loader = FileSystemLoader(str(TEMPLATE / "templates"))
    return environment.from_string('{% from "macros.jinja" import pins %}' + text).render()


def test_pins_become_lines_of_toml():
    requirements = (TEMPLATE / "templates" / "requirements.txt").read_text("utf-8")
    first, second = re.findall(r"^[a-z][^#\s]+", requirements, re.MULTILINE)[:2]
    names = ", ".join(f'"{pin.split("==")[0]}"' for pin in (second, first))
    rendered = render(f"[\n{{{{ pins({names}) }}}}\n]")
    assert rendered == f'[\n    "{second}",\n    "{first}",\n]'


def test_a_name_without_a_pin_is_an_error():
    with pytest.raises(UndefinedError, match="no_pin_in_requirements_txt"):
        render('{{ pins("no-such-distribution") }}')


def test_every_pin_is_exact_and_stands_once():
    lines = (TEMPLATE / "templates" / "requirements.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin)] == []
    elsewhere = [
        f"{path.relative_to(SKELETON)}: {pin}"
        for path in SKELETON.rglob("pyproject.toml")
        for pin in re.findall(r'"[\w-]+==.*"', path.read_text("utf-8"))
    ]
    assert elsewhere == [], "belongs in templates/requirements.txt"
