"""Evidently's part of the watch: how far each column moved, and the HTML report that shows it.

The one module that knows Evidently; nothing of its types leaves it. The measure is the population stability index,
PSI = sum over bins of (r - w) ln(r / w) with the shares r of the reference and w of the window (Siddiqi, Credit Risk
Scorecards, 2006; above 0.25 counts as a major shift). Evidently takes Sturges' equal-width bins over both samples, and
one bin a value for categories; an empty bin counts as a share of 0.0001. By chance alone, samples of n and m rows have
a PSI of about (bins - 1)(1/n + 1/m): that is why `monitoring.min_rows` is there.

Evidently's reports send nothing anywhere (its telemetry belongs to its server, which is not used; `make run` sets
DO_NOT_TRACK besides), and the HTML carries its scripts in itself. It decides nothing: `monitoring.findings` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from restar_lib.monitoring.features import COLUMN_NAMES, Columns

CATEGORIES = ("product_category", "rating", "predicted")
NUMBERS = ("text_length", "oov_share", "confidence")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How far each column of the window is from the reference."""

    psi: dict[str, float]
    html: str
    """A complete page that loads nothing."""


def compare(reference: Columns, window: Columns, *, max_psi: float, max_drifted_share: float) -> Comparison:
    """Compare two samples; neither may be empty. Takes about ten seconds, nine of them importing Evidently."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    names = [name for name in COLUMN_NAMES if _has_values(reference, name) and _has_values(window, name)]
    preset = DataDriftPreset(columns=names, method="psi", threshold=max_psi, drift_share=max_drifted_share)
    result = Report([preset], include_tests=False).run(_dataset(window, names), _dataset(reference, names))
    measured = {metric["config"].get("column"): metric["value"] for metric in result.dict()["metrics"]}
    return Comparison(psi={name: float(measured[name]) for name in names}, html=result.get_html_str(as_iframe=False))


def _has_values(columns: Columns, name: str) -> bool:
    """Whether there is anything to compare: reviews that came as feedback alone have no rating at all."""
    return any(value is not None for value in getattr(columns, name))


def _dataset(columns: Columns, names: list[str]) -> Any:
    import pandas as pd
    from evidently import DataDefinition, Dataset

    definition = DataDefinition(
        numerical_columns=[name for name in NUMBERS if name in names],
        categorical_columns=[name for name in CATEGORIES if name in names],
    )
    frame = pd.DataFrame({name: _values(columns, name) for name in names})
    return Dataset.from_pandas(frame, data_definition=definition)


def _values(columns: Columns, name: str) -> list[Any]:
    values = getattr(columns, name)
    if name in CATEGORIES:
        return [None if value is None else str(value) for value in values]
    return list(values)
