"""Why a model does not answer: on a tiny network behind the packaged encoder's own tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from restar_lib.domain import AbstainReason
from restar_lib.inference.answers import Answer, answer_all
from restar_lib.inference.engine import InferenceEngine
from restar_lib.training.encoder import PACKAGED, find_encoder
from tests.tiny_model import make_tiny_model

SURELY_POSITIVE = (0.0, 0.0, 5.0)
FOREIGN = (
    "この電気ケトルはすぐ壊れました。", "Чайник сломался через неделю", "Der Wasserkocher war nach einer Woche kaputt",
    "물이 새고 소리가 너무 커요", "水壶用了一周就坏了", "กาน้ำรั่วตั้งแต่วันแรก", "La tetera se rompió a la semana",
)  # fmt: skip
NO_WORDS = (
    "😡 👎👎", "👍🏽", "❤️", "98765", "4/5", "?!", "qwer asdf uiop", "sdfg hjkl", "zxcvb nmlkj", "asdasd", "qweqweqwe",
    "gggggggg", "fdsa lkjh rewq poiu",
)  # fmt: skip
ENGLISH = (
    "Broke after a week.", "ok", "A+", "Yum!", "luv it", "gr8", "Flimsy", "Meh", "sooo gooood", "WubbaNub", "Good 👍👍",
    "Tic tac", "DOA", "thx", "I", "AAA", "Mmm", "Hydrating shampoo", "5 stars", "Awsome prodct", "NOOOO!",
)  # fmt: skip


def model(folder: Path, **options: object) -> InferenceEngine:
    """A model that takes everything for positive, with the vocabulary of the packaged encoder."""
    tokenizer = find_encoder(PACKAGED).folder / "tokenizer.json"
    return InferenceEngine.load(make_tiny_model(folder, bias=SURELY_POSITIVE, tokenizer=tokenizer, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> InferenceEngine:
    """Its folder says no languages, as those of older models."""
    return model(tmp_path_factory.mktemp("english"))


def reasons(engine: InferenceEngine, texts: tuple[str, ...]) -> dict[str, AbstainReason | None]:
    """By text why it is not answered."""
    return dict(zip(texts, [answer.abstain_reason for answer in answer_all(engine, texts)], strict=True))


def test_other_languages_are_not_answered(english: InferenceEngine) -> None:
    """By their script or their words; an older model, whose folder names no language, reads English."""
    assert reasons(english, FOREIGN) == dict.fromkeys(FOREIGN, AbstainReason.LANGUAGE)


def test_texts_without_a_word_are_not_answered(english: InferenceEngine) -> None:
    """Signs and numbers alone, and what hands leave on a keyboard."""
    assert reasons(english, NO_WORDS) == dict.fromkeys(NO_WORDS, AbstainReason.UNREADABLE)


def test_short_and_misspelt_english_is_answered(english: InferenceEngine) -> None:
    """A model claims no less of what it reads."""
    assert reasons(english, ENGLISH) == dict.fromkeys(ENGLISH)


def test_a_reason_leaves_the_models_own_probabilities(english: InferenceEngine) -> None:
    """The confidence is what the network says, whatever it was given."""
    (answer,) = answer_all(english, [FOREIGN[0]])
    assert isinstance(answer, Answer)
    assert answer.confidence > 0.95
    assert answer.abstained


def test_doubt_is_a_reason_of_its_own(tmp_path: Path) -> None:
    """The confidence is under the threshold."""
    unsure = InferenceEngine.load(make_tiny_model(tmp_path))
    assert reasons(unsure, ("a table", "excellent, great")) == {
        "a table": AbstainReason.LOW_CONFIDENCE,
        "excellent, great": None,
    }


def test_a_model_that_declares_languages_reads_them(tmp_path: Path) -> None:
    """Then English may be what it does not read."""
    german = model(tmp_path, languages=["de"])
    texts = (FOREIGN[2], FOREIGN[1], "The kettle broke after a week and nobody answers.")
    assert list(reasons(german, texts).values()) == [None, AbstainReason.LANGUAGE, AbstainReason.LANGUAGE]
    every = model(tmp_path / "every", languages=["*"])
    assert reasons(every, FOREIGN) == dict.fromkeys(FOREIGN)


def test_the_languages_of_a_model_stand_in_its_folder(tmp_path: Path) -> None:
    """Read and written as a list of codes."""
    engine = model(tmp_path, languages=["en", "fr"])
    assert engine.info.languages == ("en", "fr")
    engine.info.write(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["languages"] == ["en", "fr"]


def test_a_small_vocabulary_says_nothing_about_words(tmp_path: Path) -> None:
    """What a few dozen words lack may be English all the same."""
    tiny = InferenceEngine.load(make_tiny_model(tmp_path, bias=SURELY_POSITIVE))
    assert list(reasons(tiny, ("Flimsy qwer", "👎", FOREIGN[0])).values()) == [
        None,
        AbstainReason.UNREADABLE,
        AbstainReason.LANGUAGE,
    ]
