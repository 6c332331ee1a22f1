"""Generate projects the way users do: through cookiecutter's Python API, its CLI, and cruft."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cookiecutter.environment import StrictEnvironment
from cookiecutter.main import cookiecutter
from filelock import FileLock
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

TEMPLATE = Path(__file__).resolve().parent.parent
SKELETON = TEMPLATE / "{{cookiecutter.project_slug}}"
# What generation needs of the repository.
TEMPLATE_FILES = (
    "cookiecutter.json",
    "hooks",
    "local_extensions.py",
    "pyproject.toml",
    "templates",
    SKELETON.name,
)
CONFIGURATION = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
PROMPTS = {name: raw for name, raw in CONFIGURATION.items() if not name.startswith("_")}
CHOICES = {name: raw for name, raw in PROMPTS.items() if isinstance(raw, list)}
# What would make a command in a generated project use this test run's environment, or `make`, or
# keep Python from writing bytecode as it does for users: without it, each command compiles torch.
INHERITED = ("VIRTUAL_ENV", "PYTHON", "PYTEST", "COV", "MAKE", "MFLAGS", "ARGS")
# What one worker runs alone, the longest first, so demos exist when later tests need them. Each
# is a part of a test's id.
GROUPS = (
    ("test_demo.py",),
    ("test_demo_document_similarity.py",),
    ("test_demo_forecasting.py",),
    ("[make_classifier", "test_two_processes"),
    ("[make_search",),
    # they run the demos' services
    ("test_image.py", "test_monitoring.py", "test_operation.py", "test_tutorials.py"),
    ("[make_forecaster",),
    ("test_kit.py",),
    ("test_diagnoses_of_categories",),
    ("test_an_encoder_learns",),
    ("test_examples.py",),
    # the longest of the rest
    ("test_review.py",),
    ("test_update.py",),
    ("test_deployment.py",),
    ("test_workflows.py",),
)
WORKERS = 2  # more would wait for each other's demos
collect_ignore = ["kit"]  # test_kit.py runs these, in the demos' environments


def group(test_id):
    """Return the number of a test's group; all others make up the last."""
    fits = (any(part in test_id for part in parts) for parts in GROUPS)
    return next((number for number, fit in enumerate(fits) if fit), len(GROUPS))


# The same examples in every run, unless HYPOTHESIS_PROFILE=search asks for others, and more.
settings.register_profile("search", deadline=None, print_blob=True)
for profile in ("fixed", "nightly"):
    settings.register_profile(profile, deadline=None, derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_configure():
    """Give each worker, and all that it starts, separate cores: torch gains little by a second.

    Two trainings on the same two cores take far more than twice as long as one.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) :: workers] or cores)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: group(item.nodeid))


class Groups(LoadScopeScheduling):
    """Hands out groups, in their order."""

    def _split_scope(self, nodeid):
        number = group(nodeid)
        return str(number) if number < len(GROUPS) else nodeid.partition("::")[0]


def pytest_xdist_auto_num_workers():
    return min(WORKERS, os.cpu_count() or 1)


def pytest_xdist_make_scheduler(config, log):
    return Groups(config, log)


def environment(**variables):
    """Return the environment of a fresh shell, with some variables set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED)}
    return {**kept, "PYTHONUTF8": "1", **variables}


@dataclass(frozen=True)
class BakedProject:
    """A generated project."""

    path: Path

    def read(self, name):
        """Return the text of a file."""
        return (self.path / name).read_text(encoding="utf-8")

    def has_file(self, name):
        """Tell whether the project has such a file."""
        return (self.path / name).is_file()

    @property
    def package(self):
        """Return the name of its Python package."""
        return next((self.path / "src").glob("*/__main__.py")).parent.name

    def files(self):
        """Return the relative POSIX paths of all files but git's own."""
        paths = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
        return {path.as_posix() for path in paths if path.parts[0] != ".git"}

    def run(self, *command, check=True, **variables):
        """Run a command in the project's folder and return the completed process."""
        return subprocess.run(
            command,
            cwd=self.path,
            env=environment(**variables),
            capture_output=True,
            encoding="utf-8",
            check=check,
        )


@pytest.fixture(scope="session", autouse=True)
def new_user(tmp_path_factory):
    """Give every command an empty home, and nothing that this shell or its git sets.

    Only what was downloaded before is found again.
    """
    home = str(tmp_path_factory.mktemp("home"))
    caches = {"XDG_CACHE_HOME": "~/.cache", "NPM_CONFIG_CACHE": "~/.npm"}
    kept = {name: os.environ.get(name, os.path.expanduser(usual)) for name, usual in caches.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("GIT_", "XDG_", "PYTHON")) and name != "GIT_SSL_CAINFO":
                patch.delenv(name)
        for name, value in {**kept, "HOME": home, "USERPROFILE": home}.items():
            patch.setenv(name, value)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once():
    """Compile each of the template's files once per process: a third of the cost of a project."""
    compiled, known = StrictEnvironment.compile, {}

    def compile(self, source, name=None, *rest):
        key = (source, name, *rest)
        if key not in known:
            known[key] = compiled(self, source, name, *rest)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StrictEnvironment, "compile", compile)
        yield


@pytest.fixture(scope="session")
def bake_in(tmp_path_factory):
    """Return a function that generates a project in a folder, whatever the user's configuration."""
    home = tmp_path_factory.mktemp("cookiecutter")
    config = home / "config.yaml"
    config.write_text(json.dumps({"replay_dir": str(home), "cookiecutters_dir": str(home)}))

    def bake_in(folder, **answers):
        path = cookiecutter(
            str(TEMPLATE),
            no_input=True,
            extra_context=answers,
            output_dir=str(folder),
            config_file=str(config),
        )
        return BakedProject(Path(path))

    return bake_in


@pytest.fixture
def bake(bake_in, tmp_path):
    """Return a function that generates a project with the given answers."""
    return lambda **answers: bake_in(tmp_path, **answers)


@pytest.fixture(scope="session")
def project(bake_in, tmp_path_factory):
    """Return one project with the default answers, for tests that only read it."""
    return bake_in(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def make_demo(tmp_path_factory):
    """Return a function that runs `make demo`, once for all workers of a run."""
    whole_run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        whole_run = whole_run.parent

    def make_demo(project_type):
        """Return what `make demo` printed, and the project that it left."""
        printed = whole_run / f"{project_type}.txt"
        with FileLock(f"{printed}.lock"):
            if not printed.exists():
                command = ["make", "demo", f"TYPE={project_type}"]
                result = subprocess.run(
                    command, cwd=TEMPLATE, env=environment(), capture_output=True, encoding="utf-8"
                )
                assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
                printed.write_text(result.stdout, encoding="utf-8")
        folder = TEMPLATE / "build" / "demo"
        record = json.loads((folder / f"{project_type}.json").read_text("utf-8"))
        return printed.read_text("utf-8"), BakedProject(folder / record["project"])

    return make_demo


# The fixture of each project type.
DEMOS = {
    "text-classification": "demo",
    "forecasting": "forecasting_demo",
    "document-similarity": "search_demo",
}


@pytest.fixture(scope="session")
def demo(make_demo):
    """A text classifier, from `make demo`: what was printed, and the project."""
    return make_demo("text-classification")


@pytest.fixture(scope="session")
def forecasting_demo(make_demo):
    """A forecaster, from `make demo`: what was printed, and the project."""
    return make_demo("forecasting")


@pytest.fixture(scope="session")
def search_demo(make_demo):
    """A search service, from `make demo`: what was printed, and the project."""
    return make_demo("document-similarity")


def free_port():
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def running(interpreter, package, folder, *options, **variables):
    """Run the server of a project's package in a folder, and yield its URL once it is ready."""
    port = free_port()
    command = [interpreter, "-m", package, "serve", *options]
    server = subprocess.Popen(command, cwd=folder, env=environment(PORT=str(port), **variables))
    url = f"http://127.0.0.1:{port}"
    try:
        while not is_ready(url):
            assert server.poll() is None, "the server ended by itself"
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        code = server.wait(timeout=30)
    assert code == 0 or os.name == "nt"  # there it cannot be told, only ended


def is_ready(url):
    try:
        return urllib.request.urlopen(f"{url}/ready", timeout=5).status == 200
    except OSError:
        return False


def ask(url, body=None, key=None):
    """Return the text of an answer; raise an `HTTPError` for any that is not 200."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read().decode()


def python(project):
    """Return the path of the interpreter of a project's environment."""
    return str(project.path / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python")


class Workshop(BakedProject):
    """A folder with what the stages need, worked on by a demo's environment and code."""

    def __init__(self, path, demo, settings, brought=()):
        super().__init__(path)
        self.demo, self.settings = demo, settings
        needed = (
            "params.yaml",
            "README.md",
            "data/README.md",
            "dvc.yaml",
            "pyproject.toml",
            "src",
            "kit",
            ".dvc/config",
        )
        for name in (*needed, *brought):
            self.bring(demo.path / name, name)
        self.run("git", "init", "--quiet")

    def bring(self, source, name):
        """Copy a file or folder to `name`."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            compiled = shutil.ignore_patterns("__pycache__")  # it comes and goes
            shutil.copytree(source, self.path / name, ignore=compiled)
        else:
            shutil.copy(source, self.path / name)

    def start(self, verb, *arguments, launch=(), **settings):
        """Start a verb in a separate process group."""
        options = [f"--set={key}={value}" for key, value in {**self.settings, **settings}.items()]
        return subprocess.Popen(
            [python(self.demo), *launch, "-m", self.package, verb, *options, *arguments],
            cwd=self.path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def finish(self, verb, *arguments, **options):
        """Run a verb to its end, and return what it printed."""
        process = self.start(verb, *arguments, **options)
        output, errors = process.communicate(timeout=900)
        assert process.returncode == 0, output[-2000:] + errors[-2000:]
        return output


@pytest.fixture
def command_line(tmp_path):
    """Return a function that runs cookiecutter's or cruft's CLI in an empty folder named out."""
    return command_line_in(tmp_path)


def command_line_in(parent):
    out, home = parent / "out", parent / "home"
    out.mkdir(exist_ok=True)
    home.mkdir(exist_ok=True)

    def command_line(program, *arguments, typed=None, folder=out, **variables):
        variables = {"HOME": str(home), "USERPROFILE": str(home), **variables}
        return subprocess.run(
            [sys.executable, "-m", program, *arguments],
            cwd=folder,
            env=environment(**variables),
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            encoding="utf-8",
        )

    command_line.out = out
    return command_line


def copy_template(folder):
    """Make a folder hold the template as it is, whatever of another version was there."""
    junk = shutil.ignore_patterns("__pycache__", ".*_cache")
    folder.mkdir(exist_ok=True)
    for name in TEMPLATE_FILES:
        if (TEMPLATE / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(TEMPLATE / name, folder / name, ignore=junk)
        else:
            shutil.copy(TEMPLATE / name, folder)


@pytest.fixture
def template_repository(tmp_path):
    """Return a git repository with a copy of the template, which a test may change and commit."""
    return repository_in(tmp_path)


def repository_in(parent):
    repository = BakedProject(parent / "template")
    copy_template(repository.path)
    repository.run("git", "init", "--quiet")
    commit(repository, "First version")
    return repository


@pytest.fixture(scope="session")
def created(tmp_path_factory):
    """Return a folder with a repository of the template, and a project that cruft created of it."""
    folder = tmp_path_factory.mktemp("created")
    template = str(repository_in(folder).path)
    done = command_line_in(folder)("cruft", "create", template, "--no-input")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make setup" in done.stdout
    return folder


@pytest.fixture
def linked(created, tmp_path):
    """Return such a project, committed, and its template's repository; a test may change both."""
    shutil.copytree(created, tmp_path, dirs_exist_ok=True)
    [folder] = (tmp_path / "out").iterdir()
    project = BakedProject(folder)
    before, after = (json.dumps(str(one / "template")) for one in (created, tmp_path))
    for name in (".cruft.json", ".generated.json"):
        text = project.read(name).replace(before, after)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    commit(project, "Link the template")
    return project, BakedProject(tmp_path / "template")


def commit(repository, message):
    """Commit everything in a repository."""
    repository.run("git", "add", "--all")
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.invalid")
    repository.run("git", *identity, "commit", "--quiet", "--message", message)
