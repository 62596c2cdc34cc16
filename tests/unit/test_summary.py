"""The summary after a turn: which line refused, what is provisional, and where to look."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from restar_lib.domain import ReleaseKind
from restar_lib.embedded.services import EmbeddedInstallation
from restar_lib.embedded.turn_summary import TurnSummary, render
from restar_lib.gate.verdict import Verdict, VerdictLine
from restar_lib.ingest.stored_reviews import ReviewCounts
from restar_lib.labeling.queue import QueueCounts
from restar_lib.releases.release import Release
from restar_lib.settings import Settings
from restar_lib.state_folder import load_secrets
from restar_lib.store.embedded_postgres import EmbeddedPostgres

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHAMPION, CHALLENGER = "rs-0000000000", "rs-1111111111"


def release(version: str, *, number: int, provisional: bool) -> Release:
    """A row of the release log."""
    return Release(
        release_id=number,
        previous_release_id=None,
        model_version=version,
        kind=ReleaseKind.RELEASE,
        provisional=provisional,
        released_by="test",
        reason="test",
        released_at=NOW,
    )


def line(name: str, *, passed: bool, **numbers: float) -> VerdictLine:
    """One line of a verdict."""
    return VerdictLine(name=name, passed=passed, detail=f"{name} says {'yes' if passed else 'no'}", numbers=numbers)


@pytest.fixture
def refused() -> TurnSummary:
    """A turn whose challenger is under the floor of accuracy."""
    champion = release(CHAMPION, number=1, provisional=False)
    verdict = Verdict(
        verdict_id=2,
        challenger=CHALLENGER,
        champion=CHAMPION,
        snapshot_hash="abc",
        run_key="run",
        passed=False,
        provisional=False,
        lines=(
            line("accuracy", passed=False, value=0.801, majority=0.737),
            line("macro_f1", passed=True, value=0.655, majority=0.283),
            line("comparison", passed=True, champion_accuracy=0.842, champion_macro_f1=0.648),
        ),
        created_at=NOW,
    )
    return TurnSummary(
        ingest=None,
        scored=None,
        reviews=ReviewCounts(originals=10, copies=1, quarantined=2),
        queue=QueueCounts(open=1, claimed=0, done=0, merged=3, oldest_open_at=None),
        doubted=7,
        verdict=verdict,
        before=champion,
        after=champion,
        drift=None,
    )


@pytest.fixture
def house(tmp_path: Path, smoke: Settings) -> EmbeddedInstallation:
    """An installation that is only named, not started."""
    secrets = load_secrets(tmp_path)
    return EmbeddedInstallation(settings=smoke, secrets=secrets, postgres=EmbeddedPostgres(home=tmp_path, password="x"))


def shown(summary: TurnSummary, house: EmbeddedInstallation) -> str:
    """What stands in a wide terminal."""
    console = Console(record=True, width=160, file=io.StringIO())
    render(summary, house, house.settings, console)
    return console.export_text()


def test_a_refusal_names_its_line_and_the_champion_that_stays(
    refused: TurnSummary, house: EmbeddedInstallation
) -> None:
    """The refusing line, both models beside the commonest class, and who serves on."""
    text = shown(refused, house)
    assert "verdict: refused" in text
    assert "NO accuracy says no" in text
    for figure in ("0.801", "0.737", "0.842", "0.648", "0.655", "0.283"):
        assert figure in text
    assert f"serving: {CHAMPION} (release 1, unchanged)" in text


def test_a_class_that_is_not_asked_has_no_recall(refused: TurnSummary, house: EmbeddedInstallation) -> None:
    """Of two classes the third one's place is empty, and the line beside it says why."""
    assert refused.verdict is not None
    recalls = (
        line("recall_negative", passed=True, value=0.9),
        line("recall_neutral", passed=True, floor=0.3, rows=0),
        line("recall_positive", passed=True, value=0.8),
    )
    text = shown(replace(refused, verdict=replace(refused.verdict, lines=(*refused.verdict.lines, *recalls))), house)
    assert "0.900 / - / 0.800" in text


def test_it_says_how_many_were_asked_about_for_their_stars(refused: TurnSummary, house: EmbeddedInstallation) -> None:
    """They come from the training, not from the reviews of this turn."""
    (row,) = (line for line in shown(refused, house).splitlines() if "stars are doubted" in line)
    assert " 7 " in row


def test_a_provisional_model_is_marked(refused: TurnSummary, house: EmbeddedInstallation) -> None:
    """In the verdict and where it says what serves."""
    assert refused.verdict is not None
    verdict = replace(refused.verdict, provisional=True)
    after = release(CHALLENGER, number=2, provisional=True)
    text = shown(replace(refused, verdict=verdict, after=after), house)
    assert "verdict: provisional" in text
    assert f"serving as provisional: {CHALLENGER} (release 2, swapped in this turn)" in text


def test_simulated_reviews_are_called_so(refused: TurnSummary, house: EmbeddedInstallation) -> None:
    """Nobody takes made-up reviews for real ones."""
    assert "simulated reviews" in shown(refused, house)


def test_addresses_and_logins_can_be_copied_from_a_narrow_terminal(
    refused: TurnSummary, house: EmbeddedInstallation
) -> None:
    """No address is folded or cut."""
    console = Console(record=True, width=60, file=io.StringIO())
    render(refused, house, house.settings, console)
    text = console.export_text()
    assert f"{house.airflow_url}/plugin/label-desk" in text
    assert house.secrets.airflow_password in text
