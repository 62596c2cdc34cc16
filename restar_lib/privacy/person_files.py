"""The files that hold a person's words, and those that cannot be read and so may hold them.

`look` finds them before anything is changed, `erase` erases them, `remedy` says what to do about one that is left. What
is damaged is deleted, because it can be made again; what this process may not read or delete is left and named. One bad
file never stops the others. Snapshots are only looked at here (`privacy.snapshot_rewriting` rewrites them, by
tombstone), sealed models and the files of the databases are not touched. Called by `privacy.forget`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from restar_lib.dataset.snapshot_folder import NOTE
from restar_lib.evaluation.report import report_store
from restar_lib.label_audit import audit_store
from restar_lib.label_quality import doubted_labels
from restar_lib.privacy import snapshot_rewriting, traces
from restar_lib.settings import Settings

log = logging.getLogger(__name__)
STORES = (report_store, audit_store, doubted_labels)
"""Stored reports that name reviews by their ids."""


@dataclass(frozen=True, kw_only=True)
class PersonFiles:
    """What was found before anything was changed."""

    traces: tuple[traces.TraceFile, ...]
    snapshots: tuple[snapshot_rewriting.AffectedSnapshot, ...]
    changed: tuple[Path, ...]
    """Files that are rewritten, or deleted because they show the person."""
    damaged: tuple[Path, ...]
    """What cannot be read and is deleted."""
    refused: tuple[Path, ...]
    """What this process may not read, or what is being written: it stays."""


def look(settings: Settings, review_ids: Collection[str], wanted: traces.SearchTerms) -> PersonFiles:
    """Every file that holds them or may. Changes nothing."""
    searched = [traces.find(folder, wanted) for folder in _searched(settings)]
    found = [trace for one in searched for trace in one.files]
    shown = {path for store in STORES for path in store.naming(settings, review_ids)}
    broken = {path for store in STORES for path in store.unreadable(settings)}
    seen = snapshot_rewriting.affected_snapshots(settings.snapshots_dir, review_ids)
    unread = [settings.snapshots_dir / one.snapshot_hash for one in seen if not one.readable]
    closed = [folder for folder in unread if not snapshot_rewriting.may_be_read(folder)]
    published = [path for path in _published(settings) if _holds(path, review_ids) is None]
    return PersonFiles(
        traces=tuple(found),
        snapshots=tuple(seen),
        changed=tuple(sorted(({trace.path for trace in found} | shown) - broken)),
        damaged=tuple(sorted({*broken, *published, *(set(unread) - set(closed))})),
        refused=tuple(
            sorted(
                {path for one in searched for path in one.refused}
                | {*closed, *snapshot_rewriting.unfinished(settings.snapshots_dir)}
            )
        ),
    )


def erase(
    settings: Settings, files: PersonFiles, review_ids: Collection[str], wanted: traces.SearchTerms
) -> list[Path]:
    """Erase what `look` found, but for snapshots; returns what could not be erased."""
    # Before the traces: reports are found by the ids in their data, which must not be overwritten yet.
    for store in STORES:
        store.forget(settings, review_ids)
    left = traces.erase(files.traces, wanted)
    left += [path for store in STORES for path in store.naming(settings, review_ids)]
    return left + _delete_published(settings, review_ids)


def withdraw_rewritten(settings: Settings) -> None:
    """Delete the published copies, in our own folder, of snapshots that were rewritten."""
    for note in settings.snapshots_dir.glob(f"*/{NOTE}"):
        shutil.rmtree(settings.published_dir / "datasets" / note.parent.name, ignore_errors=True)


def relative_name(path: Path, settings: Settings) -> str:
    """A path as the report shows it: below the state folder where it is there."""
    return (path.relative_to(settings.home) if path.is_relative_to(settings.home) else path).as_posix()


def remedy(path: Path, settings: Settings) -> str:
    """What a person does about a file that is left, after its name."""
    name = relative_name(path, settings)
    if path.parent == settings.snapshots_dir and path.name.startswith("."):
        return f"{name}: a training set that is being written, or that a kill has left; housekeeping sees to both"
    if path.parent == settings.snapshots_dir:
        return f"{name}: make it readable and writable (housekeeping then takes them out), or delete it"
    return f"{name}: delete it; or make it readable and run this again, which then looks for their id alone"


def _searched(settings: Settings) -> list[Path]:
    """Where traces may be: the state folder, and Airflow's logs where they are elsewhere."""
    elsewhere = settings.housekeeping.airflow_logs
    return [settings.home, *([Path(elsewhere)] if elsewhere else [])]


def _published(settings: Settings) -> Iterator[Path]:
    """Training sets that were published in our own folder, also those that a kill has left half-written."""
    yield from sorted((settings.published_dir / "datasets").glob("*/"))


def _delete_published(settings: Settings, review_ids: Collection[str]) -> list[Path]:
    """Delete those that hold one of these reviews, with or without their snapshot; returns those that stay."""
    left = []
    for published in _published(settings):
        if _holds(published, review_ids) is False:
            continue
        try:
            shutil.rmtree(published)
        except OSError as error:
            log.warning("%s: cannot be deleted (%s)", published, error)
            left.append(published)
    return left


def _holds(published: Path, review_ids: Collection[str]) -> bool | None:
    """Whether a published set holds one of these reviews; None where it cannot be read."""
    if not os.access(published, os.R_OK | os.X_OK):
        return None
    try:
        lines = (line for path in published.glob("data/*/*.jsonl") for line in path.open("rb"))
        return any(json.loads(line)["review_id"] in review_ids for line in lines)
    except (OSError, ValueError, KeyError, TypeError):
        return None
