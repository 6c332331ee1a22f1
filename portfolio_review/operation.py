"""Would somebody notice when it no longer works, and know on what terms it may be used?"""

import re

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .own_work import generated_params
from .project import Project, part


@criterion("operation.monitoring", "answers are logged, and compared with the training data")
def monitoring(project: Project) -> Finding:
    log = part(part(project.params, "serve"), "log")
    faults = []
    if not log.get("folder"):
        faults.append("params.yaml, `serve.log.folder`: nothing is logged")
    if not part(project.params, "monitor"):
        faults.append("params.yaml: no `monitor`")
    if not any(name.endswith("monitoring/monitor.py") for name in project.files):
        faults.append("src/…/monitoring/monitor.py: not here")
    evidence = f"params.yaml: answers go to {log.get('folder')}/, `make monitor` compares them"
    return judge(faults, evidence, "Let the API log, and `make monitor` compare.")


@criterion("operation.alerts", "alert rules, with tests")
def alerts(project: Project) -> Finding:
    groups = project.data("monitoring/alerts.yml").get("groups")
    names = re.findall(
        r"^ *(?:- )?alert: (\S+)", project.text("monitoring/alerts.yml"), re.MULTILINE
    )
    faults = [] if groups and names else ["monitoring/alerts.yml: no alert"]
    tested = {*re.findall(r"\w+", project.text("monitoring/alerts_test.yml"))}
    untested = [name for name in names if name not in tested]
    if untested:
        faults.append(f"monitoring/alerts_test.yml: no test of {', '.join(untested)}")
    evidence = f"monitoring/alerts.yml: {', '.join(names)}, each tested"
    return judge(faults, evidence, "Write the rule and its test (promtool test rules).", PARTLY)


@criterion("operation.drift", "a drift report of what was really asked", must=False)
def drift(project: Project) -> Finding:
    report = project.data("reports/drift.json")
    advice = "Serve, let people ask, then `make monitor`; commit reports/drift.html."
    if not report:
        return Finding(NOT_YET, ["reports/drift.json: not here"], advice)
    version = report.get("model_version")
    if version != project.metrics.get("model_version"):
        return Finding(PARTLY, [f"reports/drift.json is of another model, {version}"], advice)
    faults = [] if project.has("reports/drift.html") else ["reports/drift.html: not here"]
    return judge(faults, f"reports/drift.json: of model {version}", advice, PARTLY)


@criterion("operation.model_card", "a model card of the model that is served")
def model_card(project: Project) -> Finding:
    text = project.text("reports/model_card.md")
    version = str(project.metrics.get("model_version", ""))
    if not text:
        return Finding(NOT_YET, ["reports/model_card.md: not here"], "Run `make report`.")
    faults = []
    if not version or version not in text:
        faults.append("reports/model_card.md: not of the model of reports/metrics.json")
    for heading in ("Intended use", "Training data", "Evaluation"):
        if heading not in text:
            faults.append(f"reports/model_card.md: no section on {heading.lower()}")
    return judge(faults, f"reports/model_card.md: of model {version}", "Run `make report`.", PARTLY)


@criterion("operation.data_licence", "where the data comes from and on what terms")
def data_licence(project: Project) -> Finding:
    name = "data/README.md"
    text = project.text(name)
    faults = []
    if not re.search(r"^#+ .*(terms|licen|lizenz|nutzung)", text, re.MULTILINE | re.IGNORECASE):
        faults.append(f"{name}: no section on its terms")
    now, before = (
        part(p, "data").get("source") for p in (project.params, generated_params(project))
    )
    if now != before and project.of_the_template(text, name) > 0.7:
        faults.append(f"{name}: still describes the template's data, not {now}")
    evidence = f"{name}: source and terms"
    return judge(faults, evidence, "Say what the data is, who made it, when, on what terms.")
