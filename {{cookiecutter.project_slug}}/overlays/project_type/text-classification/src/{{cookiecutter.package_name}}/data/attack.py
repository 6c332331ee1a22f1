"""Makes labelled texts of the procedure sentences of MITRE ATT&CK."""

from pathlib import Path

import pandas as pd

from .stix import clean, names, procedures, read_bundle


def read(path: Path) -> pd.DataFrame:
    """Return columns text, tactic, actor: one row for each sentence on how an actor did something.

    A sentence inherits the tactic of the technique that it is cited for. A technique that serves
    several tactics would give its sentences several labels; those sentences are left out, and
    counted in `attrs["dropped"]`.
    """
    rows = []
    for link, actor, technique in procedures(read_bundle(path)):
        tactics = [phase["phase_name"] for phase in technique["kill_chain_phases"]]
        rows.append((clean(link["description"], names(actor)), tactics, actor["name"]))
    table = pd.DataFrame(rows, columns=["text", "tactic", "actor"])
    one = table["tactic"].map(len) == 1
    kept = table[one].reset_index(drop=True)
    kept["tactic"] = kept["tactic"].str[0]
    kept.attrs["dropped"] = {"several_tactics": int((~one).sum())}
    return kept
