"""Steps of the workflows, run as on GitHub's runner, with fakes for commands that reach GitHub."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile

import pytest
import yaml
from conftest import CHOICES, BakedProject
from test_workflows import TARGETS, jobs

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="the steps are for bash on the runner's Ubuntu"
)
needs_target = pytest.mark.skipif(not TARGETS, reason="there is no deployment target")
MODEL = b"a new model"
OLD, NEW = "0123456789ab", hashlib.sha256(MODEL).hexdigest()[:12]
METRICS, PROMOTE = "reports/metrics.json", "kit/portfolio_kit/deploy/promote.py"
EXAMPLE = "scripts/example_request.json"


def metrics(version, lead):
    """Return the metrics of a model with this lead over its baseline."""
    versus = {"baseline": "naive", "metric": "wape", "difference": lead}
    return json.dumps(
        {
            "model_version": version,
            "data": {"sha256": "d" * 64, "rows": {"test": 100}},
            "model": {"wape": 20.0},
            "baselines": {"naive": {"wape": 30.0}},
            "versus_best_baseline": {**versus, "interval_95": [lead - 1, lead + 1]},
        }
    )


class Runner:
    """A runner: a repository with its origin, and fake commands."""

    def __init__(self, folder):
        self.commands, self.temp, self.home = (folder / name for name in ("bin", "temp", "home"))
        for made in (self.commands, self.temp, self.home):
            made.mkdir()
        (self.commands / "python3").symlink_to(sys.executable)
        self.calls = folder / "calls"
        self.work = BakedProject(folder / "work")
        subprocess.run(["git", "init", "--quiet", "--bare", folder / "origin"], check=True)
        subprocess.run(
            ["git", "clone", "--quiet", folder / "origin", "work"], cwd=folder, check=True
        )
        self.work.run("git", "switch", "--quiet", "--create", "main")

    def fake(self, name, script=""):
        """Put a command on the path that records its arguments and runs a script."""
        program = self.commands / name
        program.write_text(f'#!/usr/bin/env bash\necho "{name} $*" >> "{self.calls}"\n{script}\n')
        program.chmod(0o755)

    def called(self):
        """Return the calls of the fakes."""
        return self.calls.read_text("utf-8").splitlines() if self.calls.exists() else []

    def write(self, files, folder=None):
        """Write files of the given texts."""
        for name, text in files.items():
            path = (folder or self.work.path) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def commit(self, files):
        """Write files, commit everything and push it."""
        self.write(files)
        self.work.run("git", "add", "--all")
        identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.invalid")
        self.work.run("git", *identity, "commit", "--quiet", "--message", "Files")
        self.work.run("git", "push", "--quiet", "origin", "main")

    def run(self, script, check=True, **variables):
        """Run the script of a step, and return the process."""
        self.write({"step.sh": script}, self.temp)
        given = {
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(self.commands), os.environ["PATH"]]),
            "GITHUB_OUTPUT": str(self.temp / "output"),
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "RUNNER_TEMP": str(self.temp),
            "GH_TOKEN": "token",
            **variables,
        }
        done = self.work.run("bash", "-e", str(self.temp / "step.sh"), check=False, **given)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def written(self, name):
        """Return what a step wrote to a file of the runner."""
        return (self.temp / name).read_text("utf-8")


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def projects(bake_in, tmp_path_factory):
    """Return a project for each target."""
    return {
        target: bake_in(tmp_path_factory.mktemp("steps"), deployment_target=target)
        for target in CHOICES["deployment_target"]
    }


def script(project, workflow, job, name):
    """Return the script of a step."""
    steps = jobs(project)[workflow, job]["steps"]
    return next(step["run"] for step in steps if step.get("name") == name)


@pytest.fixture
def compare(projects, runner):
    """Return a function that runs the step that compares a new model with the current one."""
    step = script(projects["none"], "retrain.yml", "train", "Compare with the current model")
    runner.commit({METRICS: metrics(OLD, 10.0), PROMOTE: projects["none"].read(PROMOTE)})

    def compare(new, **options):
        runner.write({METRICS: new})
        return runner.run(step, **options)

    return compare


@pytest.mark.parametrize(("lead", "promote"), [(15.0, "true"), (10.5, "false"), (5.0, "false")])
def test_retraining_compares(compare, runner, lead, promote):
    compare(metrics(NEW, lead))
    assert runner.written("output") == f"promote={promote}\n"
    assert f"new: `{NEW}`" in runner.written("summary")
    assert runner.work.read("comparison.md") == runner.written("summary")


def test_retraining_fails_if_the_comparison_fails(compare, runner):
    done = compare("{}", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {METRICS}: ")
    assert not (runner.temp / "output").exists()


def pack(folder, model):
    """Write the archive of a model."""
    member = tarfile.TarInfo("models/model.onnx")
    member.size = len(model)
    with tarfile.open(folder / "models.tar.gz", "w:gz") as archive:
        archive.addfile(member, io.BytesIO(model))


@pytest.fixture
def propose(projects, runner):
    """Return a function that runs the step that opens a pull request, on a trained model."""
    step = script(projects["none"], "retrain.yml", "propose", "Open a pull request")
    before = {METRICS: metrics(OLD, 10.0), "README.md": "old", "src/a.py": "code", EXAMPLE: "old"}
    runner.commit(before)
    folder = runner.temp / "proposal"
    trained = {
        METRICS: metrics(NEW, 15.0),
        "reports/figures/a.png": "new",
        "README.md": "new",
        "dvc.lock": "new",
        EXAMPLE: "new",
        "scripts/tool.py": "changed",
        "comparison.md": "| table |",
        # What a tampered training might leave there.
        "src/a.py": "changed",
        ".git/hooks/pre-commit": "exit 1",
    }
    runner.write(trained, folder)
    pack(folder, MODEL)
    (folder / ".git/hooks/pre-commit").chmod(0o755)
    runner.fake("gh", '[ "$1 $2" != "release view" ]')
    return lambda **options: runner.run(step, PROPOSAL=str(folder), EXAMPLE=EXAMPLE, **options)


def test_a_better_model_is_proposed(propose, runner):
    propose()
    branch, proposal = f"retrain/{NEW}", runner.temp / "proposal"
    changed = runner.work.run("git", "diff", "--name-only", "main", f"origin/{branch}").stdout
    reports = {"reports/figures/a.png", METRICS}
    assert set(changed.split()) == {"README.md", "dvc.lock", *reports, EXAMPLE}
    assert runner.called() == [
        f"gh pr list --state all --head {branch} --json url --jq .[].url",
        "gh auth setup-git",
        f"gh release view model-{NEW}",
        f"gh release create model-{NEW} {proposal}/models.tar.gz --prerelease --target {branch} "
        f"--title Model {NEW} --notes-file {proposal}/comparison.md",
        f"gh pr create --head {branch} --title Model {NEW} --body-file {proposal}/comparison.md",
        f"gh workflow run ci.yml --ref {branch}",
    ]


def test_a_model_is_proposed_once(propose, runner):
    runner.fake("gh", "echo https://github.com/you/project/pull/1")
    assert "has been proposed before" in propose().stdout
    assert len(runner.called()) == 1
    assert runner.work.run("git", "ls-remote", "--heads", "origin").stdout.count("\n") == 1


def test_the_next_run_finishes_an_interrupted_proposal(propose, runner):
    runner.fake("gh", '[ "$1 $2" != "release view" ] && [ "$1 $2" != "pr create" ]')
    assert propose(check=False).returncode != 0
    runner.work.run("git", "switch", "--quiet", "main")  # the next run starts from a new clone
    runner.work.run("git", "branch", "--quiet", "--delete", "--force", f"retrain/{NEW}")
    runner.fake("gh")
    propose()
    assert runner.called()[-1] == f"gh workflow run ci.yml --ref retrain/{NEW}"
    assert sum("release create" in call for call in runner.called()) == 1


def test_a_malformed_version_is_not_proposed(propose, runner):
    runner.write({METRICS: metrics("x --delete", 15.0)}, runner.temp / "proposal")
    assert propose(check=False).returncode != 0
    assert runner.called() == []


def test_another_model_is_not_released_under_its_name(propose, runner):
    pack(runner.temp / "proposal", b"another model")
    assert propose(check=False).returncode != 0
    assert runner.called() == []


@pytest.fixture
def get_model(projects, runner):
    """Return a function that runs the step that gets the model to deploy.

    If the step trains, the model has the given lead.
    """
    project = projects[TARGETS[0]]
    step = script(project, "deploy.yml", "image", "Get the model")
    runner.commit({METRICS: metrics(OLD, 10.0), PROMOTE: project.read(PROMOTE)})
    python = runner.work.path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/usr/bin/env bash\necho "python $*" >> "{runner.calls}"\nexit $RELEASE\n')
    python.chmod(0o755)
    runner.fake("gh", "exit 1")

    def get_model(trained=15.0, **options):
        runner.write({"trained.json": metrics(NEW, trained)}, runner.temp)
        runner.fake("make", f'mkdir -p reports; cp "{runner.temp}/trained.json" {METRICS}')
        return runner.run(step, **options)

    return get_model


@needs_target
@pytest.mark.parametrize("code", [0, 1])
def test_only_the_model_that_was_reviewed_is_deployed(get_model, runner, code):
    """The kit's tests have what is rejected; then nothing is trained in its place."""
    runner.fake("gh")
    assert get_model(check=False, RELEASE=str(code)).returncode == code
    assert runner.called() == [
        f"gh release download model-{OLD} --pattern models.tar.gz",
        "python -m portfolio_kit.deploy.release models.tar.gz",
    ]


@needs_target
@pytest.mark.parametrize(("lead", "code"), [(15.0, 0), (10.5, 0), (5.0, 3)])
def test_a_retrained_model_is_not_deployed_if_it_is_worse(get_model, runner, lead, code):
    assert get_model(lead, check=False).returncode == code
    assert runner.called()[-1] == "make pipeline"
    assert f"new: `{NEW}`" in runner.written("summary")


@needs_target
def test_without_reports_the_model_is_trained_again(get_model, runner):
    runner.work.run("git", "rm", "--quiet", METRICS)
    runner.commit({})
    get_model()
    assert runner.called() == ["make pipeline"]


@pytest.mark.skipif("kubernetes" not in TARGETS, reason="there is no target kubernetes")
def test_kubectl_fetches_a_token_of_the_workflow(projects, runner):
    step = script(projects["kubernetes"], "deploy.yml", "deploy", "Log in to the cluster")
    runner.run(step, CLUSTER_URL="https://cluster.example:6443", CLUSTER_CA="Y2VydGlmaWNhdGU=")
    config = yaml.safe_load((runner.home / ".kube" / "config").read_text("utf-8"))
    [context], [cluster], [user] = (config[name] for name in ("contexts", "clusters", "users"))
    assert context["name"] == "production"
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}
    assert cluster["cluster"] == {
        "server": "https://cluster.example:6443",
        "certificate-authority-data": "Y2VydGlmaWNhdGU=",
    }
    plugin = user["user"]["exec"]
    runner.fake("curl", """echo '{"value": "a.b.c"}'""")
    got = runner.run(
        " ".join([plugin["command"], *plugin["args"]]),
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="bearer-token",
        ACTIONS_ID_TOKEN_REQUEST_URL="https://github.example/token?version=1",
    )
    credential = json.loads(got.stdout)
    assert credential["apiVersion"] == plugin["apiVersion"]
    assert credential["status"] == {"token": "a.b.c"}
    assert "bearer bearer-token" in runner.called()[0]
    assert "https://github.example/token?version=1&audience=kubernetes" in runner.called()[0]
