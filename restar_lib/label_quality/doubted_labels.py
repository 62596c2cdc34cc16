"""Which stars a training doubts most, and the file beside its model that names those reviews.

The training has read its rows with the frozen encoder anyway; judging their stars (`label_quality.confident_learning`)
takes some seconds more. The file (`<version>.doubted.json`) holds review ids and figures, no texts. It is deleted with
the version, and reviews of a person who asks to be forgotten are taken out of it (`privacy.forget`). It opens no task:
`label_audit.ask_people` does, after the training. It changes no label and no weight.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from restar_lib.artifacts import sealed_folder
from restar_lib.dataset.arrays import truth_of
from restar_lib.domain import Example, TruthSource, weak_label
from restar_lib.errors import ArtifactError
from restar_lib.feature_scaling import Features
from restar_lib.label_quality.confident_learning import FOLDS, judge, out_of_sample, rarest_class
from restar_lib.reports.page_store import ReviewReports, json_text, write_file
from restar_lib.settings import Settings

FILE: Final = "doubted.json"
MOST_NAMED: Final = 500
"""Reviews named in a file: more than are asked about at once, because people may have answered the first ones."""


class DoubtedLabels(BaseModel):
    """What a training says about the stars of reviews that no person has answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged: int = 0
    """Reviews whose stars were judged."""
    doubted: int = 0
    """How many of those stars confident learning takes for wrong."""
    most: tuple[tuple[str, float], ...] = ()
    """Review ids with their doubt in [0, 1], the most doubted first."""
    unjudged: str = ""
    """Why no stars were judged; empty where they were."""

    def write(self, models_dir: Path, version: str) -> None:
        """Write it beside the sealed folder."""
        write_file(sealed_folder.sibling(models_dir, version, FILE), json_text(self))


FILES: Final = ReviewReports(
    title="what a training wrote",
    command="the training",
    report_type=DoubtedLabels,
    review_ids=lambda found: [review_id for review_id, _ in found.most],
    beside_models=FILE,
)


def most_doubted(
    rows: Sequence[Example], features: Features, weights: NDArray[np.float64], *, seed: int
) -> DoubtedLabels:
    """Judge the stars of training rows, one a review, by models that have not learned from them; all of them learn.

    `features` [n, d] must come from an encoder that has not learned from these stars; `weights` [n] are row weights.
    """
    truth = truth_of(rows)
    rated = np.array([at for at, row in enumerate(rows) if row.rating is not None], dtype=np.int64)
    given = np.array([weak_label(rows[at].rating or 0).position for at in rated], dtype=np.int64)
    fewest = min(rarest_class(one)[1] for one in (truth, given))
    if fewest < FOLDS:
        return DoubtedLabels(unjudged=f"a class has {fewest} reviews, too few to say what stars should be")
    answers = out_of_sample(features, truth, weights, folds=FOLDS, seed=seed)
    found = judge(given, answers[rated])
    unanswered = np.array([rows[at].truth_source is TruthSource.STARS for at in rated])
    doubted = sorted(
        (float(found.quality[at]), rows[rated[at]].review_id) for at in np.flatnonzero(found.doubted & unanswered)
    )
    return DoubtedLabels(
        judged=int(unanswered.sum()),
        doubted=len(doubted),
        most=tuple((review_id, round(1 - quality, 4)) for quality, review_id in doubted[:MOST_NAMED]),
    )


def read(models_dir: Path, version: str) -> DoubtedLabels | None:
    """What the training of a version doubts; None where there is no file (made elsewhere, or by an older Re*Star)."""
    path = sealed_folder.sibling(models_dir, version, FILE)
    try:
        return DoubtedLabels.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not what a training wrote ({error}); delete the file") from None


def naming(settings: Settings, review_ids: Collection[str]) -> tuple[Path, ...]:
    """The files that name one of these reviews, or that cannot be read."""
    return FILES.naming(settings, review_ids)


def unreadable(settings: Settings) -> tuple[Path, ...]:
    """The files that cannot be read."""
    return FILES.unreadable(settings)


def shown(settings: Settings) -> set[str]:
    """The ids of all reviews that such a file names."""
    return FILES.shown(settings)


def forget(settings: Settings, review_ids: Collection[str]) -> int:
    """Take these reviews out of every file, and delete what cannot be read; returns how many files that were."""
    return FILES.rewrite(settings, review_ids, without=_without, draw=None)


def _without(found: DoubtedLabels, review_ids: Collection[str]) -> DoubtedLabels:
    return found.model_copy(update={"most": tuple(one for one in found.most if one[0] not in review_ids)})
