"""Which reviews `make run` shows, and with which profile."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from restar_lib.cli.embedded import settings_for
from restar_lib.embedded.feeds import Feed, HubFeed, ReplayFeed, SimulatedFeed, SnapshotFeed, open_feed
from restar_lib.embedded.services import EmbeddedInstallation
from restar_lib.errors import SourceError
from restar_lib.settings import Settings, load
from restar_lib.state_folder import claim_identity, load_secrets
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests.hub_stand_in import Trouble, hub_stand_in

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def configured(**environment: str) -> Settings:
    """Settings of a state folder that nobody has used: the checkout's own may say something of its own."""
    return load(environment={"RESTAR_HOME": "/nonexistent/state"} | environment).settings


@pytest.mark.parametrize(
    ("profile", "reviews", "feed"),
    [
        ("default", "", SimulatedFeed),
        ("default", "some/*.jsonl", ReplayFeed),
        ("default", "hub", HubFeed),
        ("amazon", "", HubFeed),
        ("amazon", "some/*.jsonl", ReplayFeed),
        ("snapshot", "", SnapshotFeed),
        ("tiny", "", SimulatedFeed),
    ],
)
def test_the_feed_follows_reviews_then_the_profile(profile: str, reviews: str, feed: type[Feed]) -> None:
    """What is asked for on the command line wins over the configured source."""
    assert isinstance(open_feed(configured(RESTAR_PROFILE=profile), reviews=reviews), feed)


def test_reviews_from_the_hub_bring_their_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make run REVIEWS=hub` means the profile amazon, unless another one is named."""
    monkeypatch.setenv("RESTAR_HOME", str(tmp_path))
    monkeypatch.delenv("RESTAR_PROFILE", raising=False)
    chosen = settings_for("hub")
    assert (chosen.profile, chosen.training.encoder) == ("amazon", "distilbert-base-uncased")
    assert settings_for("").profile == "default"
    monkeypatch.setenv("RESTAR_PROFILE", "smoke")
    assert settings_for("hub").profile == "smoke"


def test_a_state_remembers_its_profile(tmp_path: Path) -> None:
    """A terminal beside `RESTAR_PROFILE=tiny make run` need not repeat it; a named profile wins."""
    (tmp_path / "embedded.yaml").write_text(yaml.safe_dump({"profile": "tiny", "serving": {"port": 8111}}))
    beside = configured(RESTAR_HOME=str(tmp_path))
    assert (beside.profile, beside.embedded.history_rows, beside.serving.port) == ("tiny", 500, 8111)
    assert configured(RESTAR_HOME=str(tmp_path), RESTAR_PROFILE="smoke").profile == "smoke"


def test_a_hub_that_does_not_know_the_data_set_is_told_before_anything_is_trained() -> None:
    """The feed asks once; its state belongs to the data set."""
    with hub_stand_in() as hub:
        hub.repository("dataset", "shop/reviews").commit({"a": b""})
        keys = {"RESTAR_HUB__ENDPOINT": hub.endpoint, "RESTAR_HUB__TRIES": "1", "RESTAR_HUB__DATASET": "shop/reviews"}
        feed = open_feed(configured(**keys), reviews="hub")
        assert feed.configuration["source"]["name"] == "hub:shop/reviews"
        assert "shop/reviews at" in feed.prepare()
        hub.troubles.append(Trouble(where="/api/", status=503))
        with pytest.raises(SourceError, match="did not answer in 1 tries"):
            feed.prepare()


def test_history_from_the_hub_is_read_in_full_once() -> None:
    """After a killed run the rest of it, then a portion a turn."""
    settings = configured(RESTAR_PROFILE="smoke")
    feed = HubFeed(settings=settings)
    assert feed.history(0) == {"max_rows": 700}
    assert feed.history(650) == {"max_rows": 50}
    assert feed.history(700) is None
    portion = feed.next_batch()
    assert portion is not None
    assert portion[0] == {"max_rows": 250}


def test_a_published_set_must_be_named(tmp_path: Path) -> None:
    """The profile snapshot alone is not enough."""
    with pytest.raises(SourceError, match=r"source\.path is empty: name the folder or the data set"):
        _ = SnapshotFeed(settings=configured(RESTAR_PROFILE="snapshot")).configuration
    named = configured(RESTAR_PROFILE="snapshot", RESTAR_SOURCE__PATH=json.dumps(str(tmp_path)))
    assert SnapshotFeed(settings=named).configuration["source"]["path"] == str(tmp_path)
    with pytest.raises(SourceError, match=r"snapshot\.json: No such file"):
        SnapshotFeed(settings=named).prepare()


def test_what_is_said_of_the_files_does_not_reach_those_that_are_delivered(
    smoke: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The services read what a replay delivers as it is, whatever their environment says of its input."""
    reviews = tmp_path / "a.csv"
    reviews.write_text("text,rating,date\n")
    said = {
        "ENCODING": "utf-16-le",
        "RATING_SCALE": "0-100",
        "DATE_ORDER": "day",
        "MAX_REFUSED": "0",
        "STABLE_IDS": "true",
    }
    for key, value in said.items():
        monkeypatch.setenv(f"RESTAR_SOURCE__{key}", value)
    feed = ReplayFeed(settings=smoke, reviews=str(reviews))
    secrets = load_secrets(smoke.home)
    postgres = EmbeddedPostgres(home=smoke.home, password=secrets.postgres_password)
    installation = EmbeddedInstallation(settings=smoke, secrets=secrets, postgres=postgres)
    installation.write_overlay(claim_identity(smoke.home, source="files:a", now=NOW), feed.configuration)
    seen = load(environment=installation.environment()).settings.source
    assert (seen.encoding, seen.rating_scale, seen.date_order, seen.max_refused) == ("utf-8", "1-5", "", 1.0)
    assert seen.stable_ids
    assert seen.path == str(smoke.home / "replay" / "inbox")
