"""Would somebody notice when it stops working, and is it clear on which terms it may be used?"""

import re

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .own_work import generated_params
from .project import Project
from .reading import part


@criterion("operation.monitoring", "answers are logged and compared with the training data")
def monitoring(project: Project) -> Finding:
    log = part(part(project.params, "serve"), "log")
    faults = []
    if not log.get("folder"):
        faults.append("params.yaml, `serve.log.folder`: nothing is logged")
    if not part(project.params, "monitor"):
        faults.append("params.yaml: `monitor` is missing")
    if not any(name.endswith("monitoring/monitor.py") for name in project.files):
        faults.append("kit/portfolio_kit/monitoring/monitor.py is missing")
    evidence = f"params.yaml: answers go to {log.get('folder')}/, `make monitor` compares them"
    return judge(faults, evidence, "Set `serve.log.folder` and `monitor` in params.yaml.")


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


@criterion("operation.drift", "a drift report on real requests", required=False)
def drift(project: Project) -> Finding:
    report = project.data("reports/drift.json")
    advice = "Serve, let people use it, run `make monitor`, and commit reports/drift.md."
    if not report:
        return Finding(NOT_YET, ["reports/drift.json is missing"], advice)
    version = report.get("model_version")
    if version != project.metrics.get("model_version"):
        return Finding(PARTLY, [f"reports/drift.json: about another model, {version}"], advice)
    faults = [] if project.has("reports/drift.md") else ["reports/drift.md is missing"]
    return judge(faults, f"reports/drift.json: about model {version}", advice, PARTLY)


@criterion("operation.model_card", "a model card of the model that is served")
def model_card(project: Project) -> Finding:
    text = project.text("reports/model_card.md")
    version = str(project.metrics.get("model_version", ""))
    if not text:
        return Finding(NOT_YET, ["reports/model_card.md is missing"], "Run `make report`.")
    faults = []
    if not version or version not in text:
        faults.append("reports/model_card.md: not about the model in reports/metrics.json")
    for heading in ("Intended use", "Training data", "Evaluation"):
        if heading not in text:
            faults.append(f"reports/model_card.md: no section on {heading.lower()}")
    return judge(
        faults, f"reports/model_card.md: about model {version}", "Run `make report`.", PARTLY
    )


@criterion("operation.data_licence", "the source of the data, and the terms of its use")
def data_licence(project: Project) -> Finding:
    name = "data/README.md"
    text = project.text(name)
    faults = []
    if not re.search(r"^#+ .*(terms|licen|lizenz|nutzung)", text, re.MULTILINE | re.IGNORECASE):
        faults.append(f"{name}: no section on the terms of use")
    now, before = (
        part(p, "data").get("source") for p in (project.params, generated_params(project))
    )
    if now != before and project.from_template(text, name) > 0.7:
        faults.append(f"{name}: still describes the template's data, not {now}")
    evidence = f"{name}: source and terms"
    return judge(
        faults, evidence, "Say what the data is, who made it and when, and on which terms."
    )
