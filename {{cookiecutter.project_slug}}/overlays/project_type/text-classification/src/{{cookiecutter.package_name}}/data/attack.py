"""Makes labelled texts of the procedure sentences of MITRE ATT&CK."""

from pathlib import Path

import pandas as pd

from portfolio_kit.tables import Rows
from portfolio_kit.text.stix import clean, names, procedures, read_bundle


def read(path: Path, wanted: list[str]) -> Rows:
    """Return columns text, tactic, actor: one row per sentence on how an actor did something.

    A sentence inherits the tactic of the technique that it is cited for. If a technique serves
    several tactics, its sentences are dropped and counted in `attrs["dropped"]`.
    """
    rows = []
    for link, actor, technique in procedures(read_bundle(path)):
        tactics = [phase["phase_name"] for phase in technique["kill_chain_phases"]]
        rows.append((clean(link["description"], names(actor)), tactics, actor["name"]))
    table = pd.DataFrame(rows, columns=["text", "tactic", "actor"])
    kept = table[table["tactic"].map(len) == 1].reset_index(drop=True)
    kept["tactic"] = kept["tactic"].str[0]
    kept.attrs["dropped"] = {"with_several_tactics": len(table) - len(kept)}
    return Rows(list(kept.columns), kept, range(1, len(kept) + 1))
