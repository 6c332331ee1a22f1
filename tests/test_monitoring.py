"""Monitoring: alert rules, dashboard and compose file, tested with the real tools."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager

import promql_parser
import pytest
import yaml
from conftest import CHOICES, DEMOS, Workshop, environment, free_port, python

OF_PROMETHEUS = {"ALERTS", "up"}  # series that it makes itself, not the API
SYMBOLS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
PLUGINS = [f"/usr/{place}/docker/cli-plugins" for place in ("local/lib", "libexec", "lib")]
SECONDS = 60  # the longest wait for anything


def program(variable, package, *names):
    """Return the path of the first program found; skip, or fail where a variable is set to 1."""
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = f"{names[0]}: not installed; it is in Debian's package {package}"
        (pytest.fail if os.environ.get(variable) == "1" else pytest.skip)(reason)
    return path


def prometheus_program(name):
    return program("REQUIRE_PROMETHEUS", "prometheus", name)


def promtool(*arguments):
    command = [prometheus_program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", params=CHOICES["project_type"])
def fresh(request, bake_in, tmp_path_factory):
    """A project of each type, as generated."""
    return bake_in(tmp_path_factory.mktemp("fresh"), project_type=request.param)


def alerts(project):
    groups = yaml.safe_load(project.read("monitoring/alerts.yml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(project):
    return json.loads(project.read("monitoring/grafana/dashboard.json"))["panels"]


def dashboard_queries(project):
    """Return the dashboard's queries by panel."""
    return {
        f"{panel['title']}, {target['refId']}": target["expr"].replace("$__rate_interval", "20s")
        for panel in panels(project)
        for target in panel["targets"]
    }


def queries(project):
    """Return the queries of the dashboard and the alert rules."""
    return dashboard_queries(project) | {rule["alert"]: rule["expr"] for rule in alerts(project)}


def selectors(query):
    """Return each metric in a query with its label matchers."""
    found = []

    def visit(node):
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, node.matchers.matchers))

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def test_prometheus_accepts_the_configuration(fresh):
    config = fresh.path / "monitoring" / "prometheus.yml"
    promtool("check", "config", "--lint=all", "--lint-fatal", config)


def test_alerts_fire_when_they_should_and_only_then(fresh):
    promtool("test", "rules", fresh.path / "monitoring/alerts_test.yml")


def test_every_alert_is_tested_and_says_what_to_do_first(fresh):
    tests = fresh.read("monitoring/alerts_test.yml")
    for rule in alerts(fresh):
        assert f'alertname="{rule["alert"]}"' in tests
        assert rule["for"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert "First: " in rule["annotations"]["description"]


def test_prometheus_parses_every_query_of_the_dashboard(fresh, tmp_path):
    asked = dashboard_queries(fresh)
    assert len(asked) > 20
    rules = [{"record": "asked", "expr": query} for query in asked.values()]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", tmp_path / "rules.yml")


def test_the_panels_of_the_dashboard_do_not_overlap(fresh):
    everything = panels(fresh)
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken = set()
    for panel in everything:
        x, y, w, h = (panel["gridPos"][side] for side in "xywh")
        cells = set(itertools.product(range(x, x + w), range(y, y + h)))
        assert x + w <= 24
        assert not taken & cells, f"{panel['title']} overlaps another panel"
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_addresses_and_mounts_match(fresh):
    services = yaml.safe_load(fresh.read("compose.yaml"))["services"]
    config = yaml.safe_load(fresh.read("monitoring/prometheus.yml"))
    grafana = "monitoring/grafana/provisioning"
    [source] = yaml.safe_load(fresh.read(f"{grafana}/datasources/prometheus.yml"))["datasources"]
    [provider] = yaml.safe_load(fresh.read(f"{grafana}/dashboards/dashboard.yml"))["providers"]
    [target] = config["scrape_configs"][0]["static_configs"][0]["targets"]
    variables = {
        name.partition("_SERVE__")[2] or name: value
        for name, value in services["api"]["environment"].items()
    }
    assert target == f"api:{variables['OPERATIONS_PORT']}"
    assert services["api"]["ports"] == ["127.0.0.1:8000:8000"]  # and not that one
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    mounted = f"./monitoring/grafana:{provider['options']['path']}:ro"
    assert mounted in services["grafana"]["volumes"]


def test_the_compose_file_is_valid(fresh):
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = fresh.run(sys.executable, *command, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_confines_its_services_and_starts_them_in_order(fresh):
    names = ("docker-compose", *(f"{folder}/docker-compose" for folder in PLUGINS))
    compose = program("REQUIRE_COMPOSE", "docker-compose", *names)
    everything = ("--profile", "*", "config", "--format", "json")
    services = json.loads(fresh.run(compose, *everything).stdout)["services"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service.get("read_only") or name == "qdrant"
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}
        if name != "api":  # its image and health check come from the Dockerfile
            assert re.search(r":v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$", service["image"])
            assert service["healthcheck"]["test"]
        bound = [mount for mount in service["volumes"] if mount["type"] == "bind"]
        assert all(mount["read_only"] for mount in bound)
    needs = {
        name: {other: how["condition"] for other, how in service["depends_on"].items()}
        for name, service in services.items()
        if "depends_on" in service
    }
    assert needs.pop("grafana") == {"prometheus": "service_healthy"}
    assert needs.pop("prometheus") == {"api": "service_healthy"}
    kept = {mount["target"] for mount in services["api"]["volumes"] if mount["type"] == "volume"}
    if "qdrant" in services:
        assert services["api"]["depends_on"]["qdrant"]["required"] is False
        assert needs.pop("api") == {"qdrant": "service_healthy"}
        assert kept == {"/app/changes", "/app/predictions"}
    else:
        assert kept == {"/app/predictions"}
    assert needs == {}
    started = fresh.run(compose, "config", "--services").stdout.split()
    assert sorted(started) == ["api", "grafana", "prometheus"]


@pytest.mark.parametrize("slug", ["007", "null", "2024-01-01"])
def test_a_name_that_yaml_would_parse_as_another_type_stays_a_string(bake, slug):
    project = bake(project_slug=slug, package_name="notes")
    assert yaml.safe_load(project.read("compose.yaml"))["name"] == slug
    config = yaml.safe_load(project.read("monitoring/prometheus.yml"))
    assert config["scrape_configs"][0]["job_name"] == slug
    assert json.loads(project.read("monitoring/grafana/dashboard.json"))["title"] == slug


@contextmanager
def running(command, folder, **variables):
    """Run a program in a folder with its output in log.txt; stop it afterwards."""
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(**variables), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def settle(value, expected):
    """Wait until a value is the expected one; fail with the value it has."""
    deadline = time.monotonic() + SECONDS
    while (found := value()) != expected:
        if time.monotonic() > deadline:
            assert found == expected
        time.sleep(0.2)


class Service:
    """The API of a demo, in a separate folder."""

    def __init__(self, demo, folder):
        self.workshop = Workshop(folder, demo, {}, brought=("models", "reports/metrics.json"))
        self.example = json.loads(demo.read("scripts/example_request.json"))
        self.port = free_port()

    def running(self):
        command = [python(self.workshop.demo), "-m", self.workshop.package, "serve"]
        return running(command, self.workshop.path, PORT=str(self.port))

    def find_drift(self, is_alarm):
        """Write a verdict as `monitor` does."""
        verdict = {
            "checked": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
            "model_version": json.loads(self.workshop.read("models/manifest.json"))["version"],
            "alarm": is_alarm,
            "reasons": [],
            "first": "2026-01-01T00:00:00+00:00",
            "last": "2026-01-02T00:00:00+00:00",
            "answers": 100,
            "signals": [],
            "data_quality": {
                "invalid": 0,
                "requests": 100,
                "fields": {},
                "unreadable_lines": 0,
                "p_value": 1.0,
                "is_alarm": False,
            },
            "quality": None,
        }
        (self.workshop.path / "reports" / "drift.json").write_text(json.dumps(verdict))

    def ask(self, path, body=None, method=None):
        """Return the response's status, or None without a response."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def use(self):
        """Send a few requests of every kind."""
        path = self.example["path"]
        assert self.ask(path, self.example["body"]) == 200
        assert self.ask(path, {"h": 0}) == 422  # invalid for every type
        if path == "/search":
            assert self.ask("/documents", {"documents": [{"id": "a", "text": "a test"}]}) == 200
            assert self.ask(path, {"document_id": "a"}) == 200
            assert self.ask("/documents/a", method="DELETE") == 200

    def metrics(self):
        """Return the names of the metrics it exposes."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        return set(re.findall(r"^([a-zA-Z_:][\w:]*)[{ ]", text, re.MULTILINE))


class Prometheus:
    """A real Prometheus with the project's own files and short intervals."""

    def __init__(self, project, service, folder):
        config = yaml.safe_load(project.read("monitoring/prometheus.yml"))
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        [scrape] = config["scrape_configs"]
        scrape["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
        rules = yaml.safe_load(project.read("monitoring/alerts.yml"))
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            if rule["alert"] in ("DriftDetected", "ServiceDown"):
                rule["for"] = "2s"
        for name, content in {"prometheus.yml": config, "alerts.yml": rules}.items():
            (folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")
        self.folder, self.port = folder, free_port()

    def running(self):
        options = {
            "config.file": "prometheus.yml",
            "storage.tsdb.path": "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return running([prometheus_program("prometheus"), *arguments], self.folder)

    def get(self, path, **parameters):
        """Return its response, or an empty dictionary while it does not respond."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{url}: {error.read().decode()}")
        except OSError:
            return {}

    def series(self, selector):
        """Return the labels of each series that matches a selector."""
        return self.get("series", **{"match[]": selector}).get("data", [])

    def answers(self, query):
        """Return the current values of a query."""
        found = self.get("query", query=query)["data"]["result"]
        return [float(one["value"][1]) for one in found if one["value"][1] != "NaN"]

    def firing(self):
        """Return the names of the firing alerts."""
        found = self.get("alerts")["data"]["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}


@pytest.fixture(scope="module", params=DEMOS)
def watched(request, tmp_path_factory):
    """A demo's project, its API after a few requests, and a Prometheus that scrapes it."""
    prometheus_program("prometheus")
    project = request.getfixturevalue(DEMOS[request.param])[1]
    service = Service(project, tmp_path_factory.mktemp("service"))
    service.find_drift(False)
    prometheus = Prometheus(project, service, tmp_path_factory.mktemp("prometheus"))
    with ExitStack() as stack:
        service.process = stack.enter_context(service.running())
        settle(lambda: service.ask("/ready"), 200)
        service.use()
        stack.enter_context(prometheus.running())
        settle(lambda: bool(prometheus.series("http_requests_total")), True)
        yield project, service, prometheus


@pytest.mark.slow
def test_the_api_exposes_every_metric_in_the_queries(watched):
    project, service, _ = watched
    exposed = service.metrics() | OF_PROMETHEUS
    missing = [
        f"{where}: {name}"
        for where, query in queries(project).items()
        for name, _ in selectors(query)
        if name not in exposed
    ]
    assert missing == []


@pytest.mark.slow
def test_the_metrics_have_the_labels_in_the_queries(watched):
    project, _, prometheus = watched
    for where, query in queries(project).items():
        for name, matchers in selectors(query):
            # Exact routes and buckets, but no error status: no errors occur here.
            asked = ",".join(
                f"{one.name}{SYMBOLS[str(one.op).split('.')[1]]}{json.dumps(one.value)}"
                for one in matchers
                if one.name not in ("how", "status")
            )
            if name not in OF_PROMETHEUS:
                found = prometheus.series(f"{name}{{{asked}}}")
                assert found, f"{where}: no series {name}{{{asked}}}"
                assert {one.name for one in matchers} <= found[0].keys(), where


@pytest.mark.slow
def test_every_panel_shows_something(watched):
    project, service, prometheus = watched
    asked = dashboard_queries(project)
    del asked["Firing alerts by name, A"]

    def silent():
        service.use()
        return [where for where, query in asked.items() if not prometheus.answers(query)]

    settle(silent, [])
    assert prometheus.firing() == set()


@pytest.mark.slow
def test_an_alert_fires_while_monitor_reports_drift(watched):
    _, service, prometheus = watched
    service.find_drift(True)
    settle(prometheus.firing, {"DriftDetected"})
    service.find_drift(False)
    settle(prometheus.firing, set())


@pytest.mark.slow
def test_an_alert_fires_when_the_service_has_stopped(watched):
    project, service, prometheus = watched
    service.process.terminate()
    settle(prometheus.firing, {"ServiceDown"})
    assert prometheus.answers(dashboard_queries(project)["Firing alerts by name, A"]) == [1]
