"""Checks of deployment manifests; test_deployment.py runs them in the tools' environment.

    python manifest_checks.py FUNCTION ARGUMENT...

The providers' own schemas come first. They pass much that the provider rejects: numbers out of
range, malformed amounts, names of nothing. The rest of each function is about these.
"""

import importlib
import json
import os
import re
import sys
import zoneinfo
from pathlib import Path

import yaml

UNITS = {unit: 1000**power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))}
UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)} | {"m": 0.001}


def nodes(node, path=""):
    """Yield each value below a node, with its path and key."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield f"{path}.{key}", key, value
        if isinstance(value, dict | list):
            yield from nodes(value, f"{path}.{key}")


def quantity(text, where):
    """Return an amount of a resource, such as 500m or 512Mi, as a number."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(text))
    unit = found and UNITS.get(found[2])
    assert unit, f"{where}: {text} is not an amount"
    return float(found[1]) * unit


def check_ports(node, where):
    """Check all numbers of ports below a node."""
    for path, key, value in nodes(node, where):
        if key in ("containerPort", "hostPort", "port", "targetPort") and type(value) is int:
            assert 1 <= value <= 65535, f"{path}: {value} is not a port"


def check_unique(containers):
    """Check that no container names a variable twice."""
    for container in containers:
        names = [one["name"] for one in container["env"]]
        assert len(names) == len(set(names)), f"env: a name twice in {names}"


# Kubernetes


def check_cron(text):
    """Check the schedule of a CronJob."""
    limits, fields = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)), text.split()
    assert len(fields) == len(limits), f"schedule: {text} has not five fields"
    for field, (low, high) in zip(fields, limits, strict=True):
        for one in field.split(","):
            found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/\d+)?", one)
            numbers = [int(number) for number in found.groups() if number] if found else [-1]
            assert all(low <= n <= high for n in numbers), f"schedule: {text}, {one} is not a time"


def pod_of(part):
    """Return the pod that an object starts, as labels and specification, or None."""
    spec = part.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    pod = part if part["kind"] == "Pod" else spec.get("template")
    return pod and (pod["metadata"].get("labels", {}), pod["spec"])


def ports_of(spec):
    """Return the names of a pod's ports."""
    return {port["name"] for one in spec["containers"] for port in one.get("ports", ())}


def check_pod(kind, spec, known):
    """Check that what a pod names exists."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    mounted = {m["name"] for one in spec["containers"] for m in one.get("volumeMounts", ())}
    assert mounted == set(volumes), f"{kind}: volumes {set(volumes)}, mounted {mounted}"
    claims = [v["persistentVolumeClaim"] for v in volumes.values() if "persistentVolumeClaim" in v]
    wanted = {("PersistentVolumeClaim", claim["claimName"]) for claim in claims}
    if "serviceAccountName" in spec:
        wanted.add(("ServiceAccount", spec["serviceAccountName"]))
    assert wanted <= known, f"{kind}: {wanted - known} does not exist"
    for container in spec["containers"]:
        assert re.fullmatch(r"[\w./:@-]+", container["image"]), f"{kind}: {container['image']!r}"
        names = ports_of({"containers": [container]})
        for path, key, value in nodes(container, kind):
            if key == "port" and isinstance(value, str):
                assert value in names, f"{path}: port {value} does not exist"
            if key == "resources":
                for name, limit in value["limits"].items():
                    least = quantity(value["requests"].get(name, limit), path)
                    assert least <= quantity(limit, path), f"{path}: {name} above its limit"


SELECTORS = {
    "Service": lambda spec: spec["selector"],
    "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
    "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
}


def check_kubernetes(*paths):
    """Check objects against strict schemas, and that amounts, numbers and names are valid."""
    from kubernetes_validate import SchemaNotFoundError, validate

    parts = [part for path in paths for part in yaml.safe_load_all(Path(path).read_text()) if part]
    known = {(part["kind"], part["metadata"]["name"]) for part in parts}
    pods = [pod for part in parts if (pod := pod_of(part))]
    for part in parts:
        kind, spec = part["kind"], part.get("spec", {})
        for version in ("1.30", "1.37"):  # the oldest of README.md and the newest
            try:
                validate(part, version, strict=True)
            except SchemaNotFoundError as error:  # of which its command line only warns
                raise AssertionError(error.message) from None
        check_ports(part, kind)
        for path, key, value in nodes(part, kind):
            assert type(value) is not int or value >= 0, f"{path}: {value} is negative"
            if key in ("sizeLimit", "averageValue", "storage"):
                quantity(value, path)
        if pod_of(part):
            check_pod(kind, pod_of(part)[1], known)
        if kind == "CronJob":
            check_cron(spec["schedule"])
            assert spec["timeZone"] in zoneinfo.available_timezones(), spec["timeZone"]
        if kind == "Deployment":
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items(), "not its own pods"
        if kind == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]
            assert target in known, f"{kind}: {target} does not exist"
            assert 1 <= spec["minReplicas"] <= spec["maxReplicas"], f"{kind}: replicas"
        if kind in SELECTORS:
            wanted = SELECTORS[kind](spec)
            selected = [pod for labels, pod in pods if wanted.items() <= labels.items()]
            assert selected, f"{kind}: its selector {wanted} matches no pod"
            rules = [*spec.get("ingress", ()), spec]
            for port in (port for rule in rules for port in rule.get("ports", ())):
                name = port.get("targetPort", port["port"])
                offered = set().union(*map(ports_of, selected))
                assert type(name) is int or name in offered, f"{kind}: port {name} does not exist"


# Google Cloud Run


def check_cloud_run(path):
    """Check a service against the API's own description, without any unknown keys."""
    import googleapiclient
    import jsonschema

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
    kind = f"{service['apiVersion']}, {service['kind']}"
    assert kind == "serving.knative.dev/v1, Service", kind
    described = schemas["ObjectMeta"]["properties"]["annotations"]["description"]
    known = dict(re.findall(r"`([\w./-]+)`: ([\w, ]+)", described))
    revision = service["spec"]["template"]
    for kind, one in ("Service", service), ("Revision", revision):
        for name in one["metadata"].get("annotations", {}):
            assert kind in known[name], f"{name} is for {known[name]}, not {kind}"
    scale = {
        name.rpartition("/")[2]: int(value)
        for name, value in revision["metadata"]["annotations"].items()
        if "Scale" in name
    }
    assert 0 <= scale["minScale"] <= max(1, scale["maxScale"]) == scale["maxScale"], scale
    spec = revision["spec"]
    assert 1 <= spec["containerConcurrency"] <= 1000, "containerConcurrency"
    assert 1 <= spec["timeoutSeconds"] <= 3600, "timeoutSeconds"
    check_ports(service, "Service")
    check_unique(spec["containers"])
    [container] = spec["containers"]
    limits = container["resources"]["limits"]
    # https://cloud.google.com/run/docs/configuring/services/memory-limits, for one core
    assert quantity(limits["cpu"], "cpu") in (1, 2, 4, 6, 8), f"cpu: {limits['cpu']}"
    memory = quantity(limits["memory"], "memory")
    assert 512 * 1024**2 <= memory <= 4 * 1024**3, f"memory: {limits['memory']}"
    [port] = container["ports"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[name]
        assert probe["timeoutSeconds"] <= probe["periodSeconds"], f"{name}: timeoutSeconds"
        assert probe["httpGet"]["port"] == port["containerPort"], f"{name}: port"


# Azure Container Apps


def check_resource_manager(path):
    """Compare a template with what Azure's own library reads of it: it drops unknown keys."""
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
    check_ports(template, "template")
    [workspace, _, app] = (resource["properties"] for resource in template["resources"])
    assert workspace["retentionInDays"] in range(30, 731), "retentionInDays"
    revision = app["template"]
    check_unique(revision["containers"])
    scale = revision["scale"]
    assert 0 <= scale["minReplicas"] <= scale["maxReplicas"] <= 1000, f"replicas: {scale}"
    assert scale["maxReplicas"] > 0, f"replicas: {scale}"
    secrets = {secret["name"] for secret in app["configuration"]["secrets"]}
    for container in revision["containers"]:
        # The consumption plan sells quarters of a core, each with half a GiB.
        cpu, memory = container["resources"]["cpu"], container["resources"]["memory"]
        assert cpu in [quarter / 4 for quarter in range(1, 17)], f"cpu: {cpu}"
        assert quantity(memory, "memory") == cpu * 2 * 1024**3, f"memory: {memory} for {cpu} cores"
        for one in container["env"]:
            assert one.get("secretRef") in {None, *secrets}, f"env: no secret {one['secretRef']}"
        for probe in container["probes"]:
            assert probe["httpGet"]["port"] == app["configuration"]["ingress"]["targetPort"]
            assert probe["periodSeconds"] in range(1, 241), f"periodSeconds: {probe}"
            assert probe["timeoutSeconds"] in range(1, 241), f"timeoutSeconds: {probe}"
            assert probe["failureThreshold"] in range(1, 11), f"failureThreshold: {probe}"


# Amazon Web Services


def translate(path):
    """Print the CloudFormation template that a SAM template expands to."""
    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    print(json.dumps(transform(yaml_parse(Path(path).read_text()), {}, None)))


def make_stack(path):
    """Create a stack from a translated template in a mock of AWS; print what it made.

    The role that it names exists already, as it does after the first-time setup.
    """
    import boto3
    from moto import mock_aws

    text = Path(path).read_text()
    template = json.loads(text)
    del template["Outputs"]  # the mock has no function URLs
    image = {"ParameterKey": "Image", "ParameterValue": "me/image@sha256:" + "0" * 64}
    with mock_aws():
        iam, role = boto3.client("iam"), re.search(r":role/([\w-]+)", text)[1]
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
        boto3.client("cloudformation").create_stack(
            StackName="service", TemplateBody=json.dumps(template), Parameters=[image]
        )
        function = boto3.client("lambda").get_function(FunctionName="service")
        policy = json.loads(boto3.client("lambda").get_policy(FunctionName="service")["Policy"])
        groups = boto3.client("logs").describe_log_groups()["logGroups"]
        facts = {
            "role": function["Configuration"]["Role"].rpartition("/")[2],
            "roles": [one["RoleName"] for one in iam.list_roles()["Roles"]],
            "instances": function["Concurrency"]["ReservedConcurrentExecutions"],
            "anyone may": sorted(one["Action"] for one in policy["Statement"]),
            "logs": [[group["logGroupName"], group["retentionInDays"]] for group in groups],
        }
    print(json.dumps(facts))


def permission_actions():
    """Print the actions of all services that manage permissions, as AWS classifies them."""
    from policy_sentry.querying.actions import get_actions_with_access_level

    print(json.dumps(get_actions_with_access_level("all", "Permissions management")))


# Every target


def check_parameters(folder, package, variables):
    """Let a project read environment variables: it rejects unknown parameters."""
    os.chdir(folder)
    sys.path[:0] = ["src", "kit"]
    params = importlib.import_module(f"{package}.params").Params
    config = importlib.import_module("portfolio_kit.config")
    config.load(params, package, (), json.loads(variables))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
