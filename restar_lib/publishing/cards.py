"""The cards: what a published training set or model is, in words and numbers, with what it must not be used for.

The words are templates in `include/cards`; here are the numbers, from what manifests, metrics and verdicts say. Front
matter is for the hub. Names of categories come from reviews: they are escaped where they stand in a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restar_lib.dataset.published_sets import NO_CATEGORY
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import SENTIMENTS, Example, TruthSource
from restar_lib.evaluation.absent_classes import absent_in_words
from restar_lib.gate.verdict import Verdict, render_markdown
from restar_lib.inference.engine import ModelInfo
from restar_lib.ingest.sources.published_manifest import SPLITS, PublishedManifest
from restar_lib.reports.templates import environment_of
from restar_lib.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "include" / "cards"
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
METRICS = {
    "rows": "rows",
    "accuracy": "accuracy",
    "majority_accuracy": "accuracy, majority",
    "macro_f1": "macro-F1",
    "majority_macro_f1": "macro-F1, majority",
    "ece": "calibration error",
    "coverage": "answered, not abstained",
    "accuracy_covered": "accuracy where it answered",
}


def data_card(snapshot: Snapshot, manifest: PublishedManifest, *, demo: int) -> str:
    """The `README.md` of a published training set; `demo` truths come from demo labelers."""
    rows = {split: snapshot.examples(side) for side, split in SPLITS.items()}
    people = sum(row.truth_source is TruthSource.PEOPLE for held in rows.values() for row in held)
    return _rendered(
        "dataset.md",
        snapshot_hash=manifest.snapshot_hash,
        frozen_at=manifest.frozen_at,
        simulated=manifest.simulated,
        rows=manifest.rows,
        people=people,
        demo=demo,
        splits=list(rows),
        table=list(_table(rows)),
    )


def model_card(version: str, info: ModelInfo, metrics: Mapping[str, Any], verdict: Verdict | None) -> str:
    """The `README.md` of a published model; `metrics` is the content of its `metrics.json`."""
    return _rendered(
        "model.md",
        version=version,
        info=info,
        base_model=info.encoder if HUB_NAME.fullmatch(info.encoder) else None,
        train_rows=metrics.get("train_rows", 0),
        absent=absent_in_words(metrics.get("validation", {}).get("absent", ())),
        metrics=list(_metrics(metrics)),
        verdict=verdict,
        verdict_text=render_markdown(verdict) if verdict else None,
    )


@dataclass(frozen=True, kw_only=True)
class _Line:
    """The rows of one category in one split, and the share of each sentiment."""

    category: str
    split: str
    rows: int
    shares: tuple[float, ...]


def _table(rows: Mapping[str, Sequence[Example]]) -> Iterator[_Line]:
    categories = sorted({row.product_category or NO_CATEGORY for held in rows.values() for row in held})
    for category in categories:
        for split, held in rows.items():
            yield _line(category, split, [row for row in held if (row.product_category or NO_CATEGORY) == category])
    for split, held in rows.items():
        yield _line("all", split, held)


def _line(category: str, split: str, rows: Sequence[Example]) -> _Line:
    counted = Counter(row.truth for row in rows)
    shares = tuple(counted[sentiment] / max(len(rows), 1) for sentiment in SENTIMENTS)
    return _Line(category=category, split=split, rows=len(rows), shares=shares)


def _metrics(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each figure against the truth and against the stars alone; None where it was not measured."""
    columns = [metrics.get("validation", {}), metrics.get("validation_against_stars", {})]
    for key, name in METRICS.items():
        yield {"name": name, "values": [held.get(key) for held in columns]}
    for place, sentiment in enumerate(SENTIMENTS):
        of_class = [held["per_class"][place]["recall"] if "per_class" in held else None for held in columns]
        yield {"name": f"recall, {sentiment}", "values": of_class}


def _rendered(name: str, **values: object) -> str:
    environment = environment_of(FOLDER)
    environment.filters |= {"figure": _figure, "cell": _cell}
    return environment.get_template(name).render(**values)


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#!])", r"\\\1", " ".join(text.split()))
