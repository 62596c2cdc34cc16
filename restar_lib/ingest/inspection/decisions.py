"""From what was seen in a file to how it is read (`FileShape`), or to the reasons why it is not read.

Pure. In this order: are the columns there, is the text in the column that is called so; then, all together, which scale
do the ratings have, which order the dates, and where is the time; then whether enough of the rows can be read by that.
A file is refused as a whole where more than `source.max_refused` of its rows cannot be read: then most probably they
are misread, and none of its rows counts as read. Rows that are only too short or too long are read rightly, and do not
count here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from restar_lib.domain import QuarantineReason
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning.timestamps import DateOrder, has_day_before_month, parse_timestamp
from restar_lib.ingest.inspection.rating_scales import find_scale
from restar_lib.ingest.inspection.shape import STARS, FileOptions, FileShape, stars_of
from restar_lib.ingest.inspection.survey import Survey, TimeKind, missing_fields
from restar_lib.ingest.inspection.undecided import Choice, Question, Undecided
from restar_lib.ingest.raw_rows import NEEDED, SHOWN_NAMES, FieldMapping, RawRow, plain_name, refuse_columns

SHORT_TEXT_CHARS: Final = 20
"""On average, in the column of texts, ..."""
REPEATED: Final = 0.5
"""... of which so few are different, where the titles are longer and nearly all different: then those are the texts."""
CONTRADICTING: Final = 3
"""So many appended ratings that are not on the scale of the file are no mistakes, where they are a large share."""
YEAR_DAY_MONTH: Final = 0.01
"""A smaller share of dates such as 2024-13-05 are mistakes."""
GROWN_REFUSED: Final = 5
"""Of the rows that were appended to a known file: one bad row of the two that came last says nothing of the file."""
SHOWN_CHARS: Final = 160
TIMES: Final = (
    Choice("file", "all such reviews get the time at which the file was written"),
    Choice("reading", "the time of the reading"),
)


def decide(
    found: Survey, options: FileOptions, known: FileShape | None, *, columns: Sequence[str] | None, address: str
) -> FileShape:
    """How the file is read; what is `known` from an earlier reading stays, what the configuration says goes before.

    Raises `Undecided` where it can be read in several ways, `SourceError` where it cannot be read.
    """
    if known is not None:
        return _decide_again(found, options, known, address=address)
    if not found.rows:
        return FileShape(rating_scale=options.rating_scale or STARS, date_order=options.date_order)
    names = found.names() if columns is None else list(columns)
    _require_fields(found, options, names, has_columns=columns is not None, address=address)
    if found.days_before_months > YEAR_DAY_MONTH * found.rows:
        values = [_value(row, "reviewed_at") for row in found.examples[TimeKind.UNREADABLE]]
        example = next(filter(has_day_before_month, values), values[0])
        raise SourceError(
            f"{address}: {found.days_before_months:,} of its dates have the day before the month behind the year, as "
            f"{example}; the others would be read exchanged. Write them as year, month, day. Nothing of this file was "
            "read"
        )
    found_scale = options.rating_scale or find_scale(found.ratings, column=rating_column(names, options.mapping))
    order = options.date_order or _order(found)
    time = _time_question(found, options, names, has_columns=columns is not None)
    if isinstance(found_scale, Question) or isinstance(order, Question) or time is not None:
        questions = [one for one in (found_scale, order, time) if isinstance(one, Question)]
        raise Undecided(address=address, questions=questions)
    shape = FileShape(rating_scale=found_scale, date_order=order, swapped=_is_swapped(found))
    _refuse_in_bulk(found, shape, options, at_least=1, address=address)
    return shape


def _decide_again(found: Survey, options: FileOptions, known: FileShape, *, address: str) -> FileShape:
    """How what was appended to a known file is read: as what was there before, unless that does not fit.

    Raises `SourceError` where the ratings contradict the scale, `Undecided` where dates need an order only now.
    """
    order = options.date_order or known.date_order or _order(found)
    if isinstance(order, Question):
        raise Undecided(address=address, questions=[order])
    shape = replace(known, rating_scale=options.rating_scale or known.rating_scale, date_order=order)
    off = refused(found, shape, options)[QuarantineReason.BAD_RATING]
    if off >= CONTRADICTING and off > options.max_refused * found.rows:
        shown = ", ".join(str(rating) for rating, _ in found.ratings.most_common(8))
        raise SourceError(
            f"{address}: {off:,} of the {found.rows:,} ratings that were appended ({shown}) are not on the scale "
            f"{shape.rating_scale} that it was read by so far. Set source.rating_scale; and give the source another "
            "source.name to read again what is stored. Nothing of what was appended was read"
        )
    _refuse_in_bulk(found, shape, options, at_least=GROWN_REFUSED, address=address)
    return shape


def rating_column(names: Sequence[str], mapping: FieldMapping) -> str:
    """What the column with the ratings is called; empty where there is none."""
    places = dict(mapping.places(names)).get("rating", [])
    return places[0][-1] if places else ""


def refused(found: Survey, shape: FileShape, options: FileOptions) -> Counter[QuarantineReason]:
    """Rows that cannot be read in this shape, by their first reason."""
    reasons: Counter[QuarantineReason] = Counter()
    reasons[QuarantineReason.MALFORMED] = found.malformed
    reasons[QuarantineReason.MISSING_TEXT] = found.missing_text
    for (rating, time), rows in found.ratings_and_times.items():
        if stars_of(rating, shape.rating_scale) is None:
            reasons[QuarantineReason.BAD_RATING] += rows
        elif time not in _readable(shape, options):
            reasons[QuarantineReason.BAD_TIMESTAMP] += rows
    return +reasons


def _require_fields(
    found: Survey, options: FileOptions, names: Sequence[str], *, has_columns: bool, address: str
) -> None:
    """Raise `SourceError` where the columns, or all rows, have no text or no rating."""
    if has_columns:
        refuse_columns(names, options.mapping, address=address, where="the row of names")
        _refuse_twins(names, options.mapping, address=address)
        return
    missing = [name for name in missing_fields(found) if name != "reviewed_at"]
    if missing and names and options.max_refused < 1:
        named = dict(options.mapping.places(names))
        # A column may be called right and hold nothing that is of use, such as an object.
        useless = {place[0] for name in missing for place in named.get(name, ())}
        there = [name for name in names if name not in useless]
        refuse_columns(there, options.mapping, address=address, where="its rows")


def _refuse_twins(names: Sequence[str], mapping: FieldMapping, *, address: str) -> None:
    """Raise `SourceError` where two columns have the one name that is taken for something that is needed."""
    often = {name for name, times in Counter(map(plain_name, names)).items() if times > 1}
    for field, places in mapping.places(names):
        if field in {*NEEDED, "reviewed_at"} and plain_name(places[0][0]) in often:
            raise SourceError(
                f"{address}: several columns are called {places[0][0]!r}, and one of them would be the {field}. Give "
                "them different names. Nothing of this file was read"
            )


def _time_question(found: Survey, options: FileOptions, names: Sequence[str], *, has_columns: bool) -> Question | None:
    """Where the time is to come from, if neither the file nor the configuration says it."""
    if options.reviewed_at or (options.max_refused >= 1 and not has_columns):
        return None
    times = found.times
    if times[TimeKind.RELATIVE] > options.max_refused * found.rows:
        example = _value(found.examples[TimeKind.RELATIVE][0], "reviewed_at")
        what = f"its times count from the day of reading ({example!r}), so they say nothing later"
        return Question(found=what, key="reviewed_at", choices=TIMES)
    if not times or times[TimeKind.MISSING] < times.total():
        return None
    shown = ", ".join(name[:40] for name in names[:SHOWN_NAMES] if name)
    what = f"no column for the time. Found are: {shown}. If it is one of them, name it in source.fields.reviewed_at"
    return Question(found=what, key="reviewed_at", choices=TIMES)


def _refuse_in_bulk(found: Survey, shape: FileShape, options: FileOptions, *, at_least: int, address: str) -> None:
    """Raise `SourceError` where too large a share of the rows, and `at_least` so many, cannot be read."""
    reasons = refused(found, shape, options)
    without_text = reasons.pop(QuarantineReason.MISSING_TEXT, 0)  # many people give stars alone
    total, judged = reasons.total(), found.rows - without_text
    if judged == 0 and without_text >= max(at_least, 2) and options.max_refused < 1:
        raise SourceError(f"{address}: none of its {without_text:,} rows has a text. Nothing of this file was read")
    if total < at_least or total <= options.max_refused * judged:
        return
    counted = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.most_common())
    raise SourceError(
        f"{address}: {total:,} of {judged:,} rows cannot be read ({counted}), more than source.max_refused "
        f"({options.max_refused:.0%}). {_examples(found, shape, options)}`restar inspect` shows what was understood; "
        f"mend source.fields or the file, {_way_out(reasons)}or raise source.max_refused. Nothing of this file was read"
    )


def _way_out(reasons: Counter[QuarantineReason]) -> str:
    """What helps against the commonest reason, where something does."""
    commonest = reasons.most_common(1)[0][0]
    return {
        QuarantineReason.BAD_RATING: "set source.rating_scale (1-10, 0-100, thumbs, ...), ",
        QuarantineReason.BAD_TIMESTAMP: "set source.date_order or source.reviewed_at, ",
    }.get(commonest, "")


def _readable(shape: FileShape, options: FileOptions) -> set[TimeKind]:
    if options.reviewed_at:
        return set(TimeKind)
    return {TimeKind.READ, TimeKind.NEEDS_ORDER} if shape.date_order else {TimeKind.READ}


def _order(found: Survey) -> DateOrder | Question | None:
    """The order of the dates; None where each says it itself."""
    needed = found.times[TimeKind.NEEDS_ORDER]
    if len(found.orders) == 1 and (needed or DateOrder.MONTH in found.orders):
        return next(iter(found.orders))
    if not needed and not found.orders.keys() >= set(DateOrder):
        return None
    what = f"none of its {needed:,} dates says whether the day or the month is first"
    if found.orders:
        day, month = found.orders[DateOrder.DAY], found.orders[DateOrder.MONTH]
        what = f"{day:,} of its dates have the day first, {month:,} the month, and {needed:,} do not say it"
    unsure = found.examples.get(TimeKind.NEEDS_ORDER)
    example = _value(unsure[0], "reviewed_at") if unsure else "5/6/2024"
    choices = [Choice("day", f"{example} has the day first"), Choice("month", f"{example} has the month first")]
    return Question(found=what, key="date_order", choices=choices)


def _is_swapped(found: Survey) -> bool:
    """Whether the longer texts stand in the column that is called the title, as in Flipkart's exports."""
    texts = sum(found.ratings_and_times.values())
    if texts < 5 or found.text_chars >= SHORT_TEXT_CHARS * texts or found.title_chars <= 2 * found.text_chars:
        return False
    first = [row.fields for row in found.first if row.fields and row.fields.get("title")]
    headlines, sentences = ({str(fields.get(name)) for fields in first} for name in ("text", "title"))
    return len(headlines) <= REPEATED * len(first) and len(sentences) > REPEATED * len(first)


def _examples(found: Survey, shape: FileShape, options: FileOptions) -> str:
    """Three rows that cannot be read, each with what is wrong."""
    kept = [*found.first, *(row for rows in found.examples.values() for row in rows)]
    wrong = dict.fromkeys(filter(None, (_wrong(row, shape, options) for row in kept)))
    return f"For example: {'; '.join(list(wrong)[:3])}. " if wrong else ""


def _wrong(row: RawRow, shape: FileShape, options: FileOptions) -> str:
    """What is wrong with a row, in a few words; empty where nothing is."""
    shown = row.raw.decode("utf-8", "backslashreplace")[:SHOWN_CHARS]
    if row.fields is None:
        hint = " (rows of Python, not JSON)" if row.raw[:2] in {b"{'", b"['"} else ""
        return f"{row.problem}{hint}: {shown}"
    if not isinstance(row.fields.get("text"), str):
        return f"no text: {shown}"
    rating, time = row.fields.get("rating"), row.fields.get("reviewed_at")
    if stars_of(rating, shape.rating_scale) is None:
        return f"rating {rating!r}: {shown}"
    if not options.reviewed_at and parse_timestamp(time, shape.date_order) is None:
        return f"time {time!r}: {shown}"
    return ""


def _value(row: RawRow, name: str) -> Any:
    return (row.fields or {}).get(name)
