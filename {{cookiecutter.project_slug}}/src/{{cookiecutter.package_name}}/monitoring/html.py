"""The report of a comparison as one HTML file, figures included."""

import base64
import io
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..evaluation.plots import ACCENT, MUTED, STYLE, plt

BINS = 30
CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2026; background: #fbfcfb; margin: 3rem auto;
  max-width: 60rem; padding: 0 1.5rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .4rem .6rem; text-align: left;
  border-bottom: 1px solid #d9dde1 }
.alarm { color: #a3201d; font-weight: 600 } .quiet { color: #0b6e75; font-weight: 600 }
img { max-width: 100%; height: auto }
"""


def page(verdict: dict[str, Any], reference: pd.DataFrame, window: pd.DataFrame) -> str:
    """Return the report: the verdict, a row for each signal, and how each is distributed."""
    quality, refusals = verdict["quality"], verdict["data_quality"]
    state = "alarm" if verdict["alarm"] else "quiet"
    told = "".join(f"<li>{escape(reason)}</li>" for reason in verdict["reasons"])
    rows = "".join(_row(one) for one in verdict["signals"])
    figures = "".join(
        f'<h2>{escape(name)}</h2><img alt="{escape(name)}: reference and served" '
        f'src="data:image/png;base64,{_figure(reference[name], window[name])}">'
        for name in reference
    )
    live = (
        f"<p>{escape(quality['metric'])} {quality['live']:.3f} on {quality['answers']:,} answers "
        f"whose outcome is known (95% interval {quality['interval_95'][0]:.3f} to "
        f"{quality['interval_95'][1]:.3f}); on the held-out test set it was "
        f"{quality['held_out']:.3f} ({quality['held_out_interval_95'][0]:.3f} to "
        f"{quality['held_out_interval_95'][1]:.3f}).</p>"
        if quality
        else "<p>Not known: no outcomes were given (<code>monitor.labels</code>).</p>"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Drift</title><style>{CSS}</style></head><body>
<h1>Is what is served what the model was trained on?</h1>
<p class="{state}">{"Alarm" if verdict["alarm"] else "No alarm"}</p><ul>{told}</ul>
<p>Model {escape(verdict["model_version"])}, {verdict["answers"]:,} answers from
{escape(verdict["from"])} to {escape(verdict["to"])}, against {len(reference):,} of data that
training has not seen.</p>
<table><tr><th>signal</th><th>test</th><th>effect</th><th>p, adjusted</th><th>reference</th>
<th>served</th><th></th></tr>{rows}</table>
<h2>Quality</h2>{live}
<h2>Requests that did not fit</h2><p>{refusals["refused"]:,} of {refusals["requests"]:,}.</p>
{figures}
</body></html>
"""


def _row(finding: dict[str, Any]) -> str:
    cells = [
        escape(finding["signal"]),
        escape(finding["test"]),
        f"{finding['effect']:.3f}",
        f"{finding['adjusted']:.2g}",
        escape(_told(finding["reference"])),
        escape(_told(finding["window"])),
        '<span class="alarm">alarm</span>' if finding["is_alarm"] else "",
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _told(summary: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in summary.items())


def _figure(reference: pd.Series, window: pd.Series) -> str:
    """Return a PNG, as base64, of how a signal is distributed in both."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.5, 2.4))
        both = {"reference": (reference, MUTED), "served": (window, ACCENT)}
        if pd.api.types.is_numeric_dtype(reference):
            bins = np.histogram_bin_edges(np.concatenate([reference, window]), BINS).tolist()
            for name, (values, color) in both.items():
                shares = np.full(len(values), 1 / len(values))
                axes.hist(values, bins, weights=shares, color=color, alpha=0.6, label=name)
        else:
            names = reference.value_counts().index.union(window.unique(), sort=False)[:20]
            for place, (name, (values, color)) in enumerate(both.items()):
                shares = values.value_counts(normalize=True).reindex(names, fill_value=0)
                axes.bar(np.arange(len(names)) + 0.4 * place, shares, 0.4, color=color, label=name)
            axes.set_xticks(np.arange(len(names)) + 0.2, list(names), rotation=30, ha="right")
        axes.set_ylabel("share")
        axes.legend(frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
