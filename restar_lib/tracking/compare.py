"""Two versions side by side: what differs in how they were made, and what that did on the same rows.

Both answer the same test rows and the same behaviour cases now, on this machine, so the figures are comparable whatever
each was judged on at its time. A version may have learned from rows of a snapshot that is not its own: that is looked
up and said. It decides nothing and stores nothing; `comparison_page` draws the page.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.model_loading import load_verified
from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.lineage import label_ids
from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import what_is_left
from restar_lib.domain import Example, Side
from restar_lib.errors import SnapshotError
from restar_lib.evaluation import paired_tests
from restar_lib.evaluation.absent_classes import absent_classes
from restar_lib.evaluation.behaviour.case_results import Behaviour, run_cases
from restar_lib.evaluation.intervals import Difference, difference
from restar_lib.evaluation.metrics import Floats
from restar_lib.evaluation.report.evaluate import foreign_rows
from restar_lib.evaluation.report.systems import system_figures
from restar_lib.evaluation.report_contents import SystemFigures
from restar_lib.inference.engine import InferenceEngine
from restar_lib.settings import Settings
from restar_lib.tracking import training_record

log = logging.getLogger(__name__)

SEED: Final = 29


@dataclass(frozen=True, kw_only=True)
class ChangedValue:
    """Something that is not the same in both."""

    name: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class LabelDifference:
    """Which labels of people each learned from: the ids that only one of them saw."""

    first: int
    second: int
    only_first: tuple[int, ...]
    only_second: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SharedRows:
    """What a version has learned of the rows that it answers here."""

    version: str
    learned_from: str
    """Hash of the snapshot that it learned from."""
    rows: int | None
    """Those whose text stood in it; None where it is not on this disk, so that nobody knows."""


@dataclass(frozen=True, kw_only=True)
class BehaviourChange:
    """Behaviour cases of one group."""

    name: str
    hard: bool
    cases: int
    first: int
    """Passed by the first version."""
    second: int


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """The second version beside the first, on the test rows of one snapshot."""

    first: str
    second: str
    snapshot_hash: str
    rows: int
    seen: tuple[SharedRows, SharedRows]
    simulated: bool
    changed: tuple[ChangedValue, ...]
    labels: LabelDifference | None
    """None without a database."""
    of_first: SystemFigures
    of_second: SystemFigures
    difference: Difference
    """Second minus first, with 95 % intervals (paired bootstrap)."""
    paired: paired_tests.PairedComparison
    """McNemar's counts, and the difference that these rows could have shown."""
    behaviour: tuple[BehaviourChange, ...]
    absent: tuple[str, ...] = ()
    """Classes that neither the rows nor the stars of either training have (`evaluation.absent_classes`)."""


def side_by_side(
    settings: Settings, first: str, second: str, *, engine: Engine | None = None, snapshot_hash: str = ""
) -> SideBySide:
    """Compare two sealed versions on the rows of `snapshot_hash`, else of the newer of their two snapshots.

    Raises `ArtifactError` where a version is unknown or damaged, `ProbeFailed` where it does not answer here as it did
    when it was trained, `SnapshotError` where no snapshot is left.
    """
    folders = [sealed_folder.locate(settings.models_dir, version) for version in (first, second)]
    models = [load_verified(folder, threads=settings.scoring.threads) for folder in folders]
    hashes = [model.info.snapshot_hash for model in models]
    snapshot = load(settings.snapshots_dir / snapshot_hash) if snapshot_hash else _newer(settings, hashes)
    rows = snapshot.examples(Side.TEST)
    before, now = (_answers(model, rows, settings) for model in models)
    truth, resamples = truth_of(rows), settings.evaluation.resamples
    absent = absent_classes(truth, {name for model in models for name in model.info.rated})
    return SideBySide(
        first=first,
        second=second,
        snapshot_hash=snapshot.snapshot_hash,
        rows=len(rows),
        seen=(_seen(settings, models[0], snapshot, rows), _seen(settings, models[1], snapshot, rows)),
        simulated=any(model.info.simulated for model in models),
        changed=tuple(_changed(*(_facts(folder, model) for folder, model in zip(folders, models, strict=True)))),
        labels=None if engine is None else _labels(engine, hashes),
        of_first=system_figures(first, truth, before, resamples=resamples, seed=SEED),
        of_second=system_figures(second, truth, now, resamples=resamples, seed=SEED),
        difference=difference(
            truth, now.argmax(axis=1), before.argmax(axis=1), resamples=resamples, rng=np.random.default_rng(SEED)
        ),
        paired=paired_tests.compare(
            truth,
            before.argmax(axis=1),
            now.argmax(axis=1),
            resamples=settings.gate.resamples,
            rng=np.random.default_rng(SEED),
        ),
        behaviour=_behaviour(*(run_cases(model, absent=absent) for model in models)),
        absent=absent,
    )


def _newer(settings: Settings, hashes: Sequence[str]) -> Snapshot:
    found, problems = [], []
    for snapshot_hash in dict.fromkeys(hashes):
        try:
            found.append(load(what_is_left(settings.snapshots_dir / snapshot_hash)))
        except SnapshotError as error:
            problems.append(str(error))
    if not found:
        raise SnapshotError(f"no rows to compare on; name another snapshot with --snapshot. {' '.join(problems)}")
    return max(found, key=lambda snapshot: snapshot.frozen_at)


def _seen(settings: Settings, model: InferenceEngine, snapshot: Snapshot, rows: Sequence[Example]) -> SharedRows:
    learned_from = model.info.snapshot_hash
    found = foreign_rows(settings, learned_from, snapshot, rows)
    return SharedRows(version=model.version, learned_from=learned_from, rows=found.seen if found else 0)


def _answers(model: InferenceEngine, rows: Sequence[Example], settings: Settings) -> Floats:
    log.info("%s reads %s test rows", model.version, f"{len(rows):,}")
    return model.predict([row.text for row in rows], batch_size=settings.scoring.batch_size).probabilities


def _facts(folder: Path, model: InferenceEngine) -> dict[str, Any]:
    """Everything that is known about how a version came about, by dotted name."""
    record = training_record.read(folder.parent, folder.name)
    facts: dict[str, Any] = {f"model.{key}": value for key, value in asdict(model.info).items()}
    if record is not None:
        facts |= {f"{section}.{key}": value for section, keys in record.settings.items() for key, value in keys.items()}
        facts |= {f"package.{name}": number for name, number in record.packages.items()}
        facts |= {"code": record.code, "champion before": record.champion}
    return facts


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[ChangedValue]:
    for name in dict.fromkeys((*first, *second)):
        before, now = (_shown(facts.get(name, "unknown")) for facts in (first, second))
        if before != now:
            yield ChangedValue(name=name, first=before, second=now)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return "none" if value is None else str(value)


def _labels(engine: Engine, hashes: Sequence[str]) -> LabelDifference:
    first, second = (
        {label for labels in label_ids(engine, snapshot_hash).values() for label in labels} for snapshot_hash in hashes
    )
    return LabelDifference(
        first=len(first),
        second=len(second),
        only_first=tuple(sorted(first - second)),
        only_second=tuple(sorted(second - first)),
    )


def _behaviour(first: Behaviour, second: Behaviour) -> tuple[BehaviourChange, ...]:
    return tuple(
        BehaviourChange(
            name=one.group.replace("_", " "), hard=one.hard, cases=one.cases, first=one.passed, second=other.passed
        )
        for one, other in zip(first.groups, second.groups, strict=True)
    )
