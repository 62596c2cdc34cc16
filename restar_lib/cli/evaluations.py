"""The commands that write reports: on a model version, on a snapshot, and on the stars in a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restar_lib.cli.shared import CHAMPION, find_snapshot, now
from restar_lib.errors import ArtifactError, SnapshotError
from restar_lib.settings import Settings, settings

if TYPE_CHECKING:  # for `--help` nothing of it is needed
    from restar_lib.dataset.snapshot import Snapshot

commands = typer.Typer()

PRINTED = 10
"""Doubted reviews that the terminal shows."""
WIDTH = 100
"""Characters of each."""

SnapshotHash = Annotated[str, typer.Option(help="Hash of the snapshot; the beginning is enough.")]


@commands.command()
def evaluate(
    *,
    version: Annotated[str, typer.Option(help="A model version, or `champion`.")] = CHAMPION,
    snapshot: SnapshotHash = "",
) -> None:
    """Report how good a model is: on the test rows of its own snapshot, or of another one."""
    from restar_lib.evaluation.report import report_store
    from restar_lib.evaluation.report.evaluate import evaluate_version
    from restar_lib.evaluation.report.report_text import summary
    from restar_lib.evaluation.review_origins import sources_of

    current = settings()
    folder = _model(current, version)
    chosen = _snapshot(current, folder, snapshot)
    report = evaluate_version(current, folder=folder, snapshot=chosen, sources=sources_of(current, chosen), now=now())
    written = report_store.save(current, report)
    for line in summary(report):
        print(line)
    print(f"page: {written.html}")
    print(f"json: {written.json}")


@commands.command()
def explore(*, snapshot: SnapshotHash = "") -> None:
    """Look at a snapshot: classes, lengths, words, copies, leaks, stars against length, over time. The newest one."""
    from restar_lib.dataset.snapshot import load
    from restar_lib.evaluation.profile import page
    from restar_lib.evaluation.profile.measure import explore as look
    from restar_lib.evaluation.review_origins import stored_of

    current = settings()
    chosen = load(find_snapshot(current, snapshot))
    found = look(current, chosen, stored=stored_of(current, chosen), now=now())
    written = page.save(current, found)
    print(page.headline(found))
    for line in (*page.points(found), *(f"{one.name}: {one.found:,} of {one.of:,}" for one in found.leaks)):
        print(f" - {line}")
    print(f"page: {written.html}")
    print(f"json: {written.json}")


@commands.command("audit-stars")
def audit_stars(
    *,
    snapshot: Annotated[str, typer.Option(help="A frozen one, by its hash; empty: the newest.")] = "",
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many reviews are listed.")] = 100,
    stars: Annotated[list[int] | None, typer.Option(min=1, max=5, help="List these alone, e.g. --stars 5.")] = None,
    enqueue: Annotated[
        bool, typer.Option("--enqueue", help="Ask people about the listed ones (training side).")
    ] = False,
) -> None:
    """List the reviews whose stars their text contradicts most; writes a page, JSON and CSV, and changes no label."""
    from restar_lib.dataset.snapshot import load
    from restar_lib.label_audit.ask_people import ask_people
    from restar_lib.label_audit.audit import audit
    from restar_lib.label_audit.audit_store import save
    from restar_lib.label_audit.page import headline, in_words
    from restar_lib.label_audit.read_features import read

    current = settings()
    found = audit(
        read(load(find_snapshot(current, snapshot)), current.training, progress=print),
        top=top,
        stars=stars or (),
        simulated=current.simulated_notice is not None,
        seed=current.training.seed,
        now=now(),
    )
    print(f"{headline(found)}.")
    if found.agreement:
        print(in_words(found.agreement))
    for one in found.listed[:PRINTED]:
        text = one.text if len(one.text) <= WIDTH else f"{one.text[: WIDTH - 1]}\u2026"
        print(f"  {one.review_id}  {one.stars} stars, reads {one.expresses} ({100 * one.sure:.0f} % sure): {text}")
    written = save(current, found)
    print(f"page: {written.html}\njson: {written.json}\ncsv: {written.csv}\nin Airflow: {written.url}")
    if enqueue:
        from restar_lib.store.database import engine

        new = ask_people(engine(), found, current.selection, languages=current.asked_languages)
        print(f"{new} new tasks in the queue, with reason disagreement")


def _snapshot(current: Settings, folder: Path, wanted: str) -> Snapshot:
    from restar_lib.dataset.snapshot import load
    from restar_lib.inference.engine import ModelInfo

    if wanted:
        return load(find_snapshot(current, wanted))
    own = ModelInfo.read(folder).snapshot_hash
    try:
        return load(find_snapshot(current, own))
    except SnapshotError as error:
        raise SnapshotError(
            f"{folder.name} cannot be evaluated on its own snapshot {own}: {error}. Name another one: "
            f"`restar evaluate --version {folder.name} --snapshot HASH`"
        ) from None


def _model(current: Settings, version: str) -> Path:
    from restar_lib.artifacts import sealed_folder

    if version != CHAMPION:
        return sealed_folder.locate(current.models_dir, version)
    from restar_lib.releases.release import champion_folder
    from restar_lib.store.database import engine

    folder = champion_folder(engine(), current)
    if folder is None:
        raise ArtifactError("there is no champion yet: name a version (`restar evaluate --version rs-...`)")
    return folder
