"""The review as a table, as Markdown and as JSON."""

import re
import shutil
from typing import Any

from .criteria import GROUPS, MET, NOT_CHECKED, Criterion, Finding
from .own_work import changed_files, changed_params
from .project import Project

Findings = list[tuple[Criterion, Finding]]
SHOWN = 8  # pieces of evidence in the Markdown; the JSON has all
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str, limit: int = 300) -> str:
    """Return a stranger's text as one line that no terminal and no table takes for markup."""
    line = UNPRINTABLE.sub("?", " ".join(str(text).split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def markdown(text: str, limit: int = 300) -> str:
    """Return a stranger's text, escaped for Markdown."""
    return re.sub(r"([\\|<>\[\]*])", r"\\\1", plain(text, limit))


def verdicts(findings: Findings) -> dict[str, str]:
    """Return the verdict of each group: the worst of its required criteria that were checked."""
    result = {}
    for group in GROUPS:
        seen = [finding.verdict for one, finding in findings if one.group == group and one.required]
        checked = [verdict for verdict in seen if verdict != NOT_CHECKED]
        worst = ("not yet", "partly", "met")
        result[group] = next((verdict for verdict in worst if verdict in checked), NOT_CHECKED)
    return result


def failed(findings: Findings) -> list[str]:
    """Return the ids of the required criteria that are not met."""
    wrong = ((one, found) for one, found in findings if found.verdict not in (MET, NOT_CHECKED))
    return [one.id for one, _ in wrong if one.required]


def result(missing: list[str]) -> str:
    """Return how many required criteria are not met, as a sentence."""
    if not missing:
        return "Every required criterion is met."
    some = "criterion is" if len(missing) == 1 else "criteria are"
    return f"{len(missing)} required {some} not met."


def table(findings: Findings) -> str:
    """Return a table for the terminal, one criterion per line."""
    width = max(40, shutil.get_terminal_size((110, 24)).columns)
    lines = []
    groups = verdicts(findings)
    for group, title in GROUPS.items():
        lines.append(f"\n{title}: {groups[group]}")
        for one, found in findings:
            if one.group == group:
                name = one.id.partition(".")[2] + ("" if one.required else " (optional)")
                start = f"  {found.verdict:<13}{name:<24}"
                lines.append(start + plain(found.evidence[0], width - len(start)))
    return "\n".join(lines).strip()


def report(project: Project, findings: Findings, note: str) -> str:
    """Return the review in Markdown."""
    groups, missing = verdicts(findings), failed(findings)
    parts = [
        f"# Portfolio review: {markdown(project.root.name)}",
        "\n".join(f"- {title}: **{groups[group]}**" for group, title in GROUPS.items()),
        result(missing) + (f" These are {', '.join(missing)}." if missing else ""),
        f"*{markdown(note, 2000)}*",
    ]
    for group, title in GROUPS.items():
        rows = ["| criterion | verdict | evidence | next step |", "|---|---|---|---|"]
        for one, found in findings:
            if one.group == group:
                seen = [markdown(piece) for piece in found.evidence[:SHOWN]]
                if len(found.evidence) > SHOWN:
                    seen.append(f"and {len(found.evidence) - SHOWN} more")
                name = f"`{one.id}`: {one.what}" + ("" if one.required else " (optional)")
                rows.append(f"| {name} | {found.verdict} | {'<br>'.join(seen)} | {found.next} |")
        parts += [f"## {title}", "\n".join(rows)]
    parts.append(own_work(project))
    return "\n\n".join(parts) + "\n"


def own_work(project: Project) -> str:
    """Return what differs from what the template generated, in Markdown."""
    files = "| file | | lines added | removed |\n|---|---|---|---|"
    for row in changed_files(project):
        name = markdown(row["file"])
        files += f"\n| {name} | {row['kind']} | {row['added']} | {row['removed']} |"
    params = "| parameter | generated | now |\n|---|---|---|"
    for key, pair in changed_params(project).items():
        params += f"\n| {markdown(key)} | {' | '.join(markdown(repr(one)) for one in pair)} |"
    return "\n\n".join(["## What differs from the template", files, params])


def as_json(project: Project, findings: Findings, note: str) -> dict[str, Any]:
    """Return the review as JSON can hold it."""
    return {
        "project": project.root.name,
        "project_type": project.type,
        "verdicts": verdicts(findings),
        "required_not_met": failed(findings),
        "note": note,
        "criteria": [
            {
                "id": one.id,
                "what": one.what,
                "required": one.required,
                "verdict": found.verdict,
                "evidence": [plain(piece, 2000) for piece in found.evidence],
                "next": found.next,
            }
            for one, found in findings
        ],
        "own_work": {"files": changed_files(project), "params": changed_params(project)},
    }
