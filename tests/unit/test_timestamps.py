"""The moments that review files write down."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from restar_lib.ingest.cleaning.timestamps import parse_timestamp

DAY = datetime(2013, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        1378944000,
        1378944000000,
        1378944000.0,
        "1378944000",
        "1378944000000",
        " 2013-09-12 ",
        "20130912",
        "2013-09-12T00:00:00Z",
        "2013-09-12 02:00:00+02:00",
        "09 12, 2013",
        "9 12, 2013",
        "September 12, 2013",
        "Sep 12, 2013",
    ],
)
def test_every_common_spelling_is_the_same_moment(written: object) -> None:
    """Seconds, milliseconds, ISO with and without a zone, and Amazon's written dates, all in UTC."""
    assert parse_timestamp(written) == DAY


def test_milliseconds_are_kept() -> None:
    """A moment within the second is not rounded away."""
    assert parse_timestamp(1588687728923) == datetime(2020, 5, 5, 14, 8, 48, 923000, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [None, True, 0, 1, -5, "", "soon", "8/7/2015", "13 13, 2013", "1970-01-01", "0001-01-01T00:00:00+23:00", 10**30,
     float("nan"), float("inf"), "9" * 400, "\uff12\uff10\uff11\uff13\uff10\uff19\uff11\uff12", [1378944000], {"$date": 1}],
)  # fmt: skip
def test_no_moment_is_guessed(written: object) -> None:
    """Missing, impossible, ambiguous and absurd ones are none, and none of them raises."""
    assert parse_timestamp(written) is None


def test_milliseconds_before_2001_are_no_written_date() -> None:
    """They have twelve digits, like a date with hours and minutes."""
    assert parse_timestamp(893721600000) == parse_timestamp("893721600000") == datetime(1998, 4, 28, tzinfo=UTC)
    assert parse_timestamp("199804280000") == datetime(1998, 4, 28, tzinfo=UTC)
