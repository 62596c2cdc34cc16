"""The texts that the model reads of a request's reviews, cleaned as ingest cleans them, or which ones it cannot read.

No HTTP: the errors name the places in the body, `error_responses` makes answers of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from restar_lib.domain import with_title
from restar_lib.errors import RestarError
from restar_lib.ingest.cleaning.clean import readable_title
from restar_lib.serving.error_responses import EMPTY, NothingToRead, TooLarge, together
from restar_lib.serving.release_watcher import ServedModel
from restar_lib.serving.schemas import ReviewIn
from restar_lib.settings import Settings
from restar_lib.text import plain_text


def model_texts(serving: ServedModel, reviews: Sequence[tuple[str, ReviewIn]], settings: Settings) -> list[str]:
    """The texts that the model reads. Raises one error that names the places of all that cannot be read."""
    texts: list[str] = []
    problems: list[tuple[str, RestarError]] = []
    for place, review in reviews:
        try:
            texts.append(_read(review, serving, settings))
        except (NothingToRead, TooLarge) as error:
            problems.append((place, error))
    if problems:
        raise together(problems)
    return texts


def _read(review: ReviewIn, serving: ServedModel, settings: Settings) -> str:
    """The text that the model reads of a review."""
    text = readable(review.text, settings.serving.max_chars)
    return with_title(text, readable_title(review.title)) if serving.model.info.reads_titles else text


def readable(text: str, max_chars: int) -> str:
    """A text as it is read, without its title. Raises `NothingToRead` or `TooLarge`."""
    if len(text) > max_chars:
        raise TooLarge(f"the text has {len(text):,} characters; at most {max_chars:,} are read")
    cleaned = plain_text(text)
    if not cleaned:
        raise NothingToRead(EMPTY)
    if len(cleaned) > max_chars:  # some characters have a plain form of up to eighteen
        raise TooLarge(f"the text has {len(cleaned):,} characters in its plain form; at most {max_chars:,} are read")
    return cleaned
