"""The review as a table, as Markdown and as JSON."""

import re
import shutil
from typing import Any

from .criteria import GROUPS, MET, NOT_ASKED, Criterion, Finding
from .own_work import changed_files, changed_params
from .project import Project

Findings = list[tuple[Criterion, Finding]]
SHOWN = 8  # pieces of evidence in the Markdown; the JSON has all
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str, limit: int = 300) -> str:
    """Return text of a stranger's as one line that no terminal and no table takes for more."""
    line = UNPRINTABLE.sub("?", " ".join(str(text).split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def markdown(text: str) -> str:
    """Return text of a stranger's that Markdown shows as it is."""
    return re.sub(r"([\\|<>\[\]*])", r"\\\1", plain(text))


def verdicts(findings: Findings) -> dict[str, str]:
    """Return the verdict of each group: that of the worst of its musts that were looked at."""
    result = {}
    for group in GROUPS:
        seen = [finding.verdict for one, finding in findings if one.group == group and one.must]
        asked = [verdict for verdict in seen if verdict != NOT_ASKED]
        worst = ("not yet", "partly", "met")
        result[group] = next((verdict for verdict in worst if verdict in asked), NOT_ASKED)
    return result


def failed(findings: Findings) -> list[str]:
    """Return the ids of the musts that are not met."""
    return [one.id for one, found in findings if one.must and found.verdict not in (MET, NOT_ASKED)]


def table(findings: Findings) -> str:
    """Return a table for the terminal, a criterion a line."""
    width = max(40, shutil.get_terminal_size((110, 24)).columns)
    lines = []
    groups = verdicts(findings)
    for group, title in GROUPS.items():
        lines.append(f"\n{title}: {groups[group]}")
        for one, found in findings:
            if one.group == group:
                name = one.id.partition(".")[2] + ("" if one.must else " (no must)")
                start = f"  {found.verdict:<11}{name:<24}"
                lines.append(start + plain(found.evidence[0], width - len(start)))
    return "\n".join(lines).strip()


def report(project: Project, findings: Findings, notes: list[str]) -> str:
    """Return the review in Markdown."""
    groups, missing = verdicts(findings), failed(findings)
    parts = [
        f"# Portfolio review: {markdown(project.root.name)}",
        "\n".join(f"- {title}: **{groups[group]}**" for group, title in GROUPS.items()),
        f"{len(missing)} musts are not met: {', '.join(missing)}."
        if missing
        else "Every must is met.",
        *(f"*{markdown(note)}*" for note in notes),
    ]
    for group, title in GROUPS.items():
        rows = ["| criterion | verdict | evidence | next |", "|---|---|---|---|"]
        for one, found in findings:
            if one.group == group:
                seen = [markdown(piece) for piece in found.evidence[:SHOWN]]
                if len(found.evidence) > SHOWN:
                    seen.append(f"and {len(found.evidence) - SHOWN} more")
                name = f"`{one.id}`: {one.what}" + ("" if one.must else " (no must)")
                rows.append(f"| {name} | {found.verdict} | {'<br>'.join(seen)} | {found.next} |")
        parts += [f"## {title}", "\n".join(rows)]
    parts.append(own_work(project))
    return "\n\n".join(parts) + "\n"


def own_work(project: Project) -> str:
    """Return what differs from what the template generated, in Markdown."""
    rows = [
        "## What differs from the template",
        "| file | | lines added | removed |\n|---|---|---|---|",
    ]
    for row in changed_files(project) if project.record else []:
        name = markdown(row["file"])
        rows[1] += f"\n| {name} | {row['kind']} | {row['added']} | {row['removed']} |"
    params = changed_params(project) if project.record else {}
    rows.append("| parameter | generated | now |\n|---|---|---|")
    for key, pair in params.items():
        rows[2] += f"\n| {markdown(key)} | {' | '.join(markdown(repr(value)) for value in pair)} |"
    return "\n\n".join(rows)


def as_json(project: Project, findings: Findings, notes: list[str]) -> dict[str, Any]:
    """Return the review as what JSON can hold."""
    return {
        "project": project.root.name,
        "project_type": project.type,
        "verdicts": verdicts(findings),
        "musts_not_met": failed(findings),
        "notes": notes,
        "criteria": [
            {
                "id": one.id,
                "what": one.what,
                "must": one.must,
                "verdict": found.verdict,
                "evidence": [plain(piece, 2000) for piece in found.evidence],
                "next": found.next,
            }
            for one, found in findings
        ],
        "own_work": {
            "files": changed_files(project) if project.record else [],
            "params": changed_params(project) if project.record else {},
        },
    }
