"""Drift measured by Evidently: how far each column moved, and the HTML report that shows it.

The one module that knows Evidently; nothing of its types leaves it. The first measure is the population stability
index, PSI = sum over bins of (r - w) ln(r / w) with the shares r of the reference and w of the window (Siddiqi, Credit
Risk Scorecards, 2006; above 0.25 counts as a major shift). Evidently takes Sturges' equal-width bins over both samples,
and one bin a value for categories; an empty bin counts as a share of 0.0001. Columns of numbers are also compared by
their Kolmogorov-Smirnov distance, which needs no bins: long tails hide changes in equal-width ones. How far samples of
these sizes differ by chance is computed in `monitoring.drift.sampling_noise`.

Evidently's reports send nothing anywhere (its telemetry belongs to its server, which is not used; `make run` also sets
DO_NOT_TRACK), and the HTML contains its scripts. It decides nothing: `monitoring.drift.findings` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from restar_lib.artifacts.reference import COLUMN_NAMES, Columns
from restar_lib.monitoring.drift.sampling_noise import BinnedColumn, binned, kolmogorov_smirnov
from restar_lib.settings import MonitoringSettings

CATEGORIES = ("product_category", "rating", "predicted")
NUMBERS = ("text_length", "oov_share", "confidence")


@dataclass(frozen=True, kw_only=True)
class ColumnDistance:
    """How far one column of the window is from the reference."""

    psi: float
    psi_by_chance: float
    """What samples of these sizes exceed by chance only as often as `monitoring.chance` says."""
    ks: float | None
    """Kolmogorov-Smirnov distance in [0, 1]; None for categories."""
    ks_p: float | None
    """Its p-value."""
    binned: BinnedColumn


@dataclass(frozen=True, kw_only=True)
class DriftComparison:
    """How far each column of the window is from the reference."""

    distances: dict[str, ColumnDistance]
    html: str
    """A complete page that loads nothing."""


def compare(reference: Columns, window: Columns, limits: MonitoringSettings) -> DriftComparison:
    """Compare two samples; neither may be empty. Takes about ten seconds, nine of them importing Evidently."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    names = [name for name in COLUMN_NAMES if _has_values(reference, name) and _has_values(window, name)]
    preset = DataDriftPreset(
        columns=names, method="psi", threshold=limits.max_psi, drift_share=limits.max_drifted_share
    )
    result = Report([preset], include_tests=False).run(_dataset(window, names), _dataset(reference, names))
    measured = {metric["config"].get("column"): metric["value"] for metric in result.dict()["metrics"]}
    distances = {
        name: _distance(name, reference, window, psi=float(measured[name]), chance=limits.chance) for name in names
    }
    return DriftComparison(distances=distances, html=result.get_html_str(as_iframe=False))


def _distance(name: str, reference: Columns, window: Columns, *, psi: float, chance: float) -> ColumnDistance:
    before, now = getattr(reference, name), getattr(window, name)
    counted = binned(before, now, numbers=name in NUMBERS)
    ks, p = kolmogorov_smirnov(before, now) if name in NUMBERS else (None, None)
    return ColumnDistance(psi=psi, psi_by_chance=counted.psi_by_chance(chance), ks=ks, ks_p=p, binned=counted)


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
