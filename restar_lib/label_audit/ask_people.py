"""Opens labeling tasks for reviews whose stars are doubted, with reason `disagreement`.

For training rows only: if test rows were corrected only where one kind of model doubts them, every model of that kind
would look better than it is. A review that scoring has not read yet keeps its random draw for the audit. Some tasks are
opened after each training (`ask_doubted`, by DAG `retrain_sentiment`), more by `restar audit-stars --enqueue`
(`ask_people`); calling either again opens no task twice. Nobody is asked in a language that is not in `languages`:
`selection.languages`, else those that the model reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from restar_lib.domain import Side
from restar_lib.ingest.stored_reviews import ids_in_languages
from restar_lib.label_audit.audit import Audit
from restar_lib.label_quality.doubted_labels import DoubtedLabels
from restar_lib.labeling.queue import asked_about, enqueue
from restar_lib.scoring.pending import unread_of
from restar_lib.selection import select_doubted
from restar_lib.settings import SelectionSettings


@dataclass(frozen=True, kw_only=True)
class QueuedDoubts:
    """How many of the doubted reviews were put into the queue."""

    chosen: int
    """Reviews that this training set may ask about."""
    new: int
    """How many of them had no task yet."""


def ask_people(engine: Engine, found: Audit, config: SelectionSettings, *, languages: Collection[str]) -> int:
    """Open a task for each listed training review that has none and is in the tables; how many are new."""
    doubt = {one.review_id: one.doubt for one in found.listed if one.side is Side.TRAIN and one.people is None}
    with engine.begin() as connection:
        return _open(connection, _askable(connection, doubt, languages), config, model_version=None)


def ask_doubted(
    engine: Engine,
    found: DoubtedLabels,
    config: SelectionSettings,
    *,
    version: str,
    same_set: Collection[str],
    languages: Collection[str],
) -> QueuedDoubts:
    """Open a task for the most doubted reviews that nobody was asked about, `config.doubted_tasks` at most.

    `version` is the model whose training doubts them, `same_set` the others of the same training set: what they have
    asked for counts as chosen. So the choice is the same again however often a set is trained on and this is called.
    """
    with engine.begin() as connection:
        doubt = _askable(connection, dict(found.most), languages)
        before = asked_about(connection, doubt, but_for={version, *same_set})
        fresh = [review_id for review_id in doubt if review_id not in before]
        chosen = {review_id: doubt[review_id] for review_id in fresh[: config.doubted_tasks]}
        return QueuedDoubts(chosen=len(chosen), new=_open(connection, chosen, config, model_version=version))


def _askable(connection: Connection, doubt: Mapping[str, float], languages: Collection[str]) -> dict[str, float]:
    """Those in the tables and in these languages, in their order: one may be from elsewhere, or forgotten."""
    stored = ids_in_languages(connection, list(doubt), languages)
    return {review_id: one for review_id, one in doubt.items() if review_id in stored}


def _open(
    connection: Connection, doubt: Mapping[str, float], config: SelectionSettings, *, model_version: str | None
) -> int:
    selected = select_doubted(doubt, unread=unread_of(connection, doubt), config=config)
    return enqueue(connection, selected, model_version=model_version)
