"""A data set on the hub as a source: pinned, resumable at any row, fair to small categories, and waiting for a busy hub."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.readers.lines import MAX_LINE_BYTES
from restar_lib.ingest.sources.configured import open_source
from restar_lib.ingest.sources.hub import HubSource
from restar_lib.ingest.sources.hub_files import HubFiles
from restar_lib.ingest.sources.hub_retry import asked_pause
from restar_lib.settings import load
from tests.hub_stand_in import Hub, Repository, Trouble, hub_stand_in

DATASET = "shop/reviews"
SIZES = {"Big": 40, "Middle": 10, "Small": 3}
BYTES = "/stored/"
"""What the addresses of a file's bytes have in common."""


def line(name: str) -> bytes:
    return json.dumps({"text": f"text {name}", "rating": 5.0, "user_id": name}).encode() + b"\n"


def content(category: str, rows: int) -> bytes:
    return b"".join(line(f"{category}-{number}") for number in range(rows))


def files(**changed: bytes) -> dict[str, bytes]:
    """The files of the data set, some of them changed."""
    found = {category: content(category, rows) for category, rows in SIZES.items()} | changed
    return {f"raw/{category}.jsonl": held for category, held in found.items()}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with one data set of three categories."""
    with hub_stand_in() as running:
        running.repository("dataset", DATASET).commit(files())
        yield running


def dataset(hub: Hub) -> Repository:
    return hub.repository("dataset", DATASET)


def source(hub: Hub, *, pauses: list[float] | None = None, **config: Any) -> HubSource:
    """The source `shop` as it is configured; what it would sleep is noted in `pauses`."""
    keys = {
        "ENDPOINT": hub.endpoint,
        "DATASET": DATASET,
        "PATH": "raw/{category}.jsonl",
        "CATEGORIES": list(SIZES),
        "BLOCK_BYTES": 1024,
        "TRIES": 4,
        "TIMEOUT_SECONDS": 5,
    }
    keys |= {name.upper(): value for name, value in config.items()}
    environment = {f"RESTAR_HUB__{name}": json.dumps(value) for name, value in keys.items()}
    opened = open_source(
        load(environment=environment | {"RESTAR_SOURCE__KIND": "hub", "RESTAR_SOURCE__NAME": "shop"}).settings
    )
    assert isinstance(opened, HubSource)
    noted = (pauses if pauses is not None else []).append
    return replace(opened, files=replace(opened.files, sleep=noted))


def read(opened: HubSource, cursor: Any = None) -> list[RawRow]:
    """All rows behind `cursor`, which has been through JSON like the stored one."""
    return list(opened.rows(json.loads(json.dumps(cursor))))


def users(rows: list[RawRow]) -> list[str]:
    return [row.fields["user_id"] if row.fields else row.problem for row in rows]


def everything() -> set[str]:
    return {f"{category}-{number}" for category, rows in SIZES.items() for number in range(rows)}


def test_every_row_of_every_category_is_read_once_with_its_category(hub: Hub) -> None:
    """The rows do not say what they are about; the name of their file does."""
    rows = read(source(hub))
    assert sorted(users(rows)) == sorted(everything())
    assert all(row.fields and row.fields["product_category"] == row.fields["user_id"].partition("-")[0] for row in rows)


def test_categories_take_turns_whatever_their_sizes(hub: Hub) -> None:
    """In each round every category that has rows left gives one, and not always in the same order."""
    found = [user.partition("-")[0] for user in users(read(source(hub)))]
    rounds = [tuple(found[place : place + 3]) for place in range(0, 9, 3)]
    assert all(set(one) == set(SIZES) for one in rounds)
    assert len(set(rounds)) > 1
    assert Counter(found[9:23]) == {"Big": 7, "Middle": 7}
    assert set(found[23:]) == {"Big"}


def test_reading_goes_on_behind_any_row(hub: Hub) -> None:
    """Whichever row was the last that was stored, the next run reads the rest, each row once and in the same order."""
    whole = read(source(hub))
    for place in (0, 1, 7, 8, 9, 30, len(whole) - 1):
        rest = read(source(hub), whole[place].cursor_after)
        assert users(rest) == users(whole)[place + 1 :]


def test_only_what_is_wanted_is_fetched_by_range(hub: Hub) -> None:
    """Reading on in the middle asks for bytes from there; a category that is at its end is not asked for again."""
    cursor = read(source(hub))[-5].cursor_after
    hub.requests.clear()
    read(source(hub), cursor)
    asked = [request for request in hub.requests if BYTES in request]
    assert len(asked) == 1
    begin = int(asked[0].rpartition("bytes=")[2].partition("-")[0])
    assert begin == cursor["offsets"]["Big"] > 1024
    assert not [request for request in hub.requests if "/api/" in request]


def test_the_commit_is_pinned_though_the_branch_moves_on(hub: Hub) -> None:
    """A new commit in the middle of the reading changes nothing: the bytes behind the cursor are those of the first."""
    first = dataset(hub).names["main"]
    rows = read(source(hub))
    dataset(hub).commit(files(Big=content("Other", 60)))
    rest = read(source(hub), rows[4].cursor_after)
    assert users(rest) == users(rows)[5:]
    assert rest[-1].cursor_after["revision"] == first
    assert "Other-59" in users(read(source(hub)))


def test_another_commit_or_data_set_under_the_same_name_is_refused(hub: Hub) -> None:
    """Byte offsets of one commit mean nothing in another one."""
    cursor = read(source(hub))[0].cursor_after
    with pytest.raises(
        SourceError, match=r"'shop' was read from shop/reviews at .* give the new one another source.name"
    ):
        read(source(hub, revision="0" * 40), cursor)
    with pytest.raises(SourceError, match=r"is shop/others at main now"):
        read(source(hub, dataset="shop/others"), cursor)
    with pytest.raises(SourceError, match="was read as 'files' so far"):
        read(source(hub), {"kind": "files"})


def test_a_category_that_joins_later_takes_its_turns(hub: Hub) -> None:
    """It begins at its first row, the others go on."""
    cursor = read(source(hub, categories=["Big", "Small"]))[5].cursor_after
    rest = users(read(source(hub), cursor))
    assert sorted(rest) == sorted(
        everything() - {f"{name}-{number}" for name in ("Big", "Small") for number in range(3)}
    )


def test_a_missing_category_is_named_before_anything_is_read(hub: Hub) -> None:
    """With the names that are there, so that a typing error costs one look."""
    with pytest.raises(
        SourceError, match=r"'Bag' has no file raw/Bag\.jsonl in shop/reviews .*raw/Big\.jsonl, raw/Mid"
    ):
        read(source(hub, categories=["Bag", "Big"]))
    assert not [request for request in hub.requests if "/resolve/" in request]


def test_a_broken_line_stops_nothing(hub: Hub) -> None:
    """One malformed and one endless line become rows with their problem; the rows around them are read."""
    broken = line("Small-0") + b'{"text": "cut' + b"\n" + b"x" * (MAX_LINE_BYTES + 9) + b"\n" + line("Small-1")
    dataset(hub).commit(files(Small=broken))
    rows = read(source(hub, categories=["Small"], block_bytes=65536))
    assert [row.fields is not None for row in rows] == [True, False, False, True]
    assert "not JSON" in rows[1].problem
    assert rows[2].problem == f"longer than {MAX_LINE_BYTES:,} bytes"


def test_a_file_without_a_last_newline_and_an_empty_file_are_read_to_their_ends(hub: Hub) -> None:
    """At a pinned commit the last line is whole, whatever it ends with."""
    dataset(hub).commit(files(Small=content("Small", 2).rstrip(), Middle=b""))
    rows = read(source(hub, categories=["Small", "Middle"]))
    assert users(rows) == ["Small-0", "Small-1"]
    assert read(source(hub, categories=["Small", "Middle"]), rows[-1].cursor_after) == []


def test_a_busy_hub_gets_the_pause_that_it_asks_for(hub: Hub) -> None:
    """429 with Retry-After, and the hub's own RateLimit header; then every row is there, once."""
    hub.troubles.append(Trouble(where="/api/", status=429, headers={"Retry-After": "17"}))
    hub.troubles.append(Trouble(where=BYTES, status=429, headers={"RateLimit": '"resolvers";r=0;t=41'}))
    hub.troubles.append(Trouble(where=BYTES, status=503))
    pauses: list[float] = []
    assert sorted(users(read(source(hub, pauses=pauses)))) == sorted(everything())
    assert pauses == [17, 41, 2]


def test_a_pause_that_is_too_long_is_left_to_the_next_run(hub: Hub) -> None:
    """An hour is not slept in a task: the error says how long, and what was read before it is there."""
    rows: list[RawRow] = []
    hub.troubles.append(Trouble(where="Big.jsonl", status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceError, match=r"a pause of 3,600 s, hub\.longest_wait_seconds is 330.*run again after"):
        rows.extend(source(hub, categories=["Big"]).rows(None))
    hub.troubles.extend([Trouble(where="nothing"), Trouble(where="Small.jsonl", status=500)])
    assert len(read(source(hub))) == len(everything())


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Trouble(where=BYTES, cut_after=100), id="broken off"),
        pytest.param(Trouble(where=BYTES, short=7), id="short"),
        pytest.param(Trouble(where="/resolve/", seconds=0.6), id="slow"),
    ],
)
def test_an_answer_that_breaks_off_is_asked_for_again(hub: Hub, trouble: Trouble) -> None:
    """Broken in the middle, less than announced, or slower than the limit: no byte is lost or doubled."""
    hub.troubles.extend([trouble, trouble])
    pauses: list[float] = []
    assert sorted(users(read(source(hub, pauses=pauses, timeout_seconds=0.3)))) == sorted(everything())
    assert len(pauses) == 2


def test_a_hub_that_stays_away_is_named_after_all_tries(hub: Hub) -> None:
    """The pauses double; the rows before the failure are handed on."""
    pauses: list[float] = []
    opened = source(hub, pauses=pauses, categories=["Big"])
    rows = opened.rows(None)
    first = next(rows)
    hub.troubles.extend([Trouble(where=BYTES, status=502)] * 4)
    with pytest.raises(SourceError, match=r"raw/Big\.jsonl, byte 1,024: the hub did not answer in 4 tries.*status 502"):
        list(rows)
    assert pauses == [1, 2, 4]
    assert users([first]) == ["Big-0"]


def test_a_proxy_that_drops_the_range_is_refused(hub: Hub) -> None:
    """The whole file in place of a part would be read as the wrong rows."""
    hub.troubles.append(Trouble(where=BYTES, whole=True))
    with pytest.raises(SourceError, match="a proxy in between that drops the header Range"):
        read(source(hub))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"dataset": "shop/nothing"}, "shop/nothing at main: the hub answers 404; there is no such data set"),
        ({"revision": "gone"}, "shop/reviews at gone: the hub answers 404"),
        ({"endpoint": "http://127.0.0.1:9"}, "did not answer in 4 tries"),
    ],
)
def test_what_is_not_there_is_named(hub: Hub, config: dict[str, str], says: str) -> None:
    """A wrong name is told at once, without a second try; a hub that does not answer, after all of them."""
    pauses: list[float] = []
    with pytest.raises(SourceError, match=says):
        read(source(hub, pauses=pauses, **config))
    assert len(pauses) == (3 if "tries" in says else 0)


def test_a_refused_token_says_where_to_give_one(hub: Hub) -> None:
    """401 is not asked for again."""
    hub.troubles.append(Trouble(where="/api/", status=401))
    with pytest.raises(SourceError, match="answers 401; give a token that may do this: HF_TOKEN"):
        read(source(hub))


def test_a_pause_may_be_a_date() -> None:
    """Measured against the answer's own clock."""
    date = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2026 07:29:30 GMT"}
    assert asked_pause(date) == 90
    assert asked_pause({"Retry-After": "soon"}) is None
    assert asked_pause({}) is None


def test_the_hubs_own_variables_are_read() -> None:
    """HF_ENDPOINT and HF_TOKEN are the keys `hub.endpoint` and `hub.token`; ours win; a token is never printed."""
    loaded = load(environment={"HF_ENDPOINT": "http://a", "HF_TOKEN": "hf_secret", "RESTAR_HUB__ENDPOINT": "http://b"})
    assert loaded.settings.hub.endpoint == "http://b"
    assert loaded.settings.hub.token is not None
    assert loaded.settings.hub.token.get_secret_value() == "hf_secret"
    assert "hf_secret" not in repr(loaded) + loaded.settings.model_dump_json()
    assert HubFiles.from_config(loaded.settings.hub) == HubFiles(config=loaded.settings.hub, sleep=time.sleep)
