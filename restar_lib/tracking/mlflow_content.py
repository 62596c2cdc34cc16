"""What is logged in MLflow about a version: parameters, curves, metrics, tags and its data set.

It is read from the sealed folder and the files beside it alone, so it can be logged at any time. No text of a review
and no name of a person is in it, so nothing in MLflow has to change where somebody asks to be forgotten. Talks to no
server: `tracking.mlflow_log` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from restar_lib.artifacts import sealed_folder
from restar_lib.errors import ArtifactError

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric

    from restar_lib.evaluation.report_contents import EvaluationReport
    from restar_lib.tracking.training_record import TrainingRecord

HISTORY: Final = "history.json"
"""Optional file of a sealed folder: a row for each step of the training at which something was measured."""
CURVES: Final = ("loss", "validation_macro_f1")
VERDICT: Final = "verdict.json"
LONGEST: Final = 500
"""Characters of a parameter."""


def parameters(folder: Path, record: TrainingRecord | None) -> dict[str, str]:
    """All of `training` and `dataset`, and what `model.json` says."""
    found: dict[str, Any] = dict(read(folder / "model.json"))
    if record is not None:
        found |= {f"{section}.{key}": value for section, keys in record.settings.items() for key, value in keys.items()}
        found |= {f"package.{name}": number for name, number in record.packages.items()}
        found |= {"champion_before": record.champion}
    return {key: str(value)[:LONGEST] for key, value in found.items()}


def tags(folder: Path, record: TrainingRecord | None) -> dict[str, str]:
    """Where the files are, what data it saw, which code made it."""
    description = read(folder / "model.json")
    found = {
        "artifact_folder": str(folder.resolve()),
        "snapshot_hash": str(description.get("snapshot_hash")),
        "simulated": str(description.get("simulated")),
        "mlflow.source.name": "restar",
    }
    if record is not None:
        found["code_version"] = record.code
        commit = re.match(r"git ([0-9a-f]{40})", record.code)
        if commit:
            found["mlflow.source.git.commit"] = commit.group(1)
    return found


def metrics(folder: Path, *, at: int) -> list[Metric]:
    """The figures of `metrics.json`, and the curves of the training over its steps; `at` in milliseconds."""
    return [*_at_once(numbers(read(folder / "metrics.json")), at=at), *_curves(folder, at=at)]


def evaluation_metrics(report: EvaluationReport) -> list[Metric]:
    """The figures of an evaluation report that somebody compares versions by."""
    model, at = report.model, milliseconds(report.evaluated_at.timestamp())
    found = {
        "accuracy": model.accuracy,
        "macro_f1": model.macro_f1,
        "roc_auc": model.roc_auc,
        "calibration_error": model.calibration_error,
        "abstention_coverage": report.abstention.coverage,
        "abstention_answered": report.abstention.answered,
        "risk_coverage_area": report.abstention.area,
        **{f"recall_{one.sentiment}": one.recall for one in model.per_class},
        **{f"accuracy_at_{100 * point.coverage:.0f}": point.accuracy for point in report.abstention.at},
    }
    if report.stars is not None:
        found |= {"stars_error": report.stars.mean_absolute_error, "stars_rank": report.stars.rank_correlation}
    ends = {name: {"": one.value, "_low": one.low, "_high": one.high} for name, one in found.items() if one is not None}
    values = {f"{name}{end}": value for name, of_ends in ends.items() for end, value in of_ends.items()}
    return list(_at_once(numbers({"evaluation": values}), at=at))


def verdict_metrics(verdict: Mapping[str, Any]) -> list[Metric]:
    """The numbers of each line of a verdict: `gate/<line>/<number>`."""
    lines = {line["name"]: line["numbers"] for line in verdict["lines"]}
    at = milliseconds(datetime.fromisoformat(verdict["created_at"]).timestamp())
    return list(_at_once(numbers({"gate": lines}), at=at))


def lineage_metrics(tasks: Mapping[int, Sequence[int]]) -> list[Metric]:
    """How many tasks and labels of people are in the snapshot."""
    found = {"tasks": len(tasks), "labels": sum(map(len, tasks.values()))}
    return list(_at_once(numbers({"people": found}), at=0))


def verdict_tags(verdict: Mapping[str, Any]) -> dict[str, str]:
    """The answer, and the lines that said no."""
    word = "passed" if verdict["passed"] else "provisional" if verdict["provisional"] else "refused"
    refusing = [line["name"] for line in verdict["lines"] if not line["passed"]]
    return {"verdict": word, "verdict_refused_by": ", ".join(refusing)}


def data_set(folder: Path, snapshots_dir: Path) -> DatasetInput:
    """The snapshot as MLflow's data set: its hash, its place and its rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    snapshot_hash = str(read(folder / "model.json").get("snapshot_hash"))
    place = snapshots_dir / snapshot_hash
    rows = read(place / "manifest.json").get("rows", {}) if (place / "manifest.json").is_file() else {}
    columns = [{"type": "string", "name": "text", "required": True}, {"type": "string", "name": "truth"}]
    data = Dataset(
        name="snapshot",
        digest=snapshot_hash[:36],
        source_type="local",
        source=json.dumps({"uri": place.resolve().as_uri()}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"rows": rows}),
    )
    return DatasetInput(data, [InputTag("mlflow.data.context", "training")])


def verdict_beside(folder: Path) -> Mapping[str, Any] | None:
    """The newest verdict on a version; None where nobody has judged it."""
    path = sealed_folder.sibling(folder.parent, folder.name, VERDICT)
    return read(path) if path.is_file() else None


def read(path: Path) -> Mapping[str, Any]:
    """An object of JSON. Raises `ArtifactError` naming a file that is damaged."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from None


def milliseconds(seconds: float) -> int:
    """MLflow's clock."""
    return int(seconds * 1000)


def numbers(content: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested JSON with its path as its name: `test/per_class/0/recall`."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from numbers(value, f"{name}/{key}" if name else str(key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from numbers(value, f"{name}/{index}")
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield re.sub(r"[^\w./ -]", "_", name)[:250], float(content)


def _at_once(found: Iterator[tuple[str, float]], *, at: int) -> Iterator[Metric]:
    from mlflow.entities import Metric

    return (Metric(key, value, timestamp=at, step=0) for key, value in found)


def _curves(folder: Path, *, at: int) -> Iterator[Metric]:
    from mlflow.entities import Metric

    path = folder / HISTORY
    for row in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ():
        for name in CURVES:
            if row.get(name) is not None:
                yield Metric(f"training/{name}", float(row[name]), timestamp=at, step=int(row["step"]))
