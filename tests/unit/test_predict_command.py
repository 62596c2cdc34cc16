"""`restar predict`: the model that serves reads a text in the terminal, as the API would."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from restar_lib.artifacts.pointer import Pointer, write_pointer
from restar_lib.cli import app
from restar_lib.errors import ArtifactError
from restar_lib.settings import settings
from tests.tiny_model import sealed_tiny_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of its own."""
    monkeypatch.setenv("RESTAR_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


@pytest.fixture
def version() -> str:
    """A model that serves."""
    found = sealed_tiny_model(settings().models_dir).name
    pointer = Pointer(
        release_id=1, model_version=found, folder=f"models/{found}", provisional=False, released_at=datetime.now(UTC)
    )
    write_pointer(settings().pointer_path, pointer)
    return found


def predict(*arguments: str, typed: str | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["predict", *arguments], input=typed)


def test_it_reads_a_text_and_its_sentences(version: str) -> None:
    """One line for the whole, one for each sentence, and it says when the model is a made-up one."""
    whole, good, bad = predict("Excellent lamp, I love it. It arrived broken.", "--sentences").output.splitlines()
    assert version in whole
    assert "simulated" in whole
    assert good.split()[0] == "positive"
    assert good.endswith("Excellent lamp, I love it.")
    assert bad.split()[0] == "negative"


def test_it_says_why_there_is_no_answer(version: str) -> None:
    """In words, and for programs as the API does."""
    text = "Zerbrochen angekommen und niemand antwortet"
    assert f"a language that this model does not read   ({version}" in predict(text).output
    assert "no word in it" in predict("10/10").output
    found = json.loads(predict(text, "--json").output)["prediction"]
    assert (found["abstained"], found["abstain_reason"]) == (True, "language")


def test_programs_get_json_and_texts_come_from_standard_input(version: str) -> None:
    """The fields are those of the API."""
    found = json.loads(predict("-", "--json", typed="so<br/>excellent, love it\n").output)
    assert (found["text"], found["model_version"]) == ("so excellent, love it", version)
    assert found["prediction"]["sentiment"] == "positive"
    assert found["prediction"]["score"] == pytest.approx((found["prediction"]["stars"] - 1) / 4, abs=0.002)
    assert "sentences" not in found


def test_without_a_release_it_says_what_to_do() -> None:
    """And with a version it needs none."""
    assert isinstance(predict("good").exception, ArtifactError)
    named = sealed_tiny_model(settings().models_dir).name
    assert named in predict("good", "--version", named).output
    assert predict(" ").exit_code == 2


def test_a_title_is_read_by_a_model_that_reads_titles(version: str) -> None:
    """And by no other, as in the API."""
    assert version in predict("good", "--version", "champion").stdout
    reader = sealed_tiny_model(settings().models_dir, reads_titles=True).name
    text, title = "The parcel came on a Tuesday", ("--title", "Excellent, great!")
    assert predict(text, *title).stdout == predict(text).stdout
    titled, untitled = (predict(text, "--version", reader, *more).stdout for more in (title, ()))
    assert (titled.split()[0], titled == untitled) == ("positive", False)


def test_what_was_not_read_is_said_where_no_program_reads(version: str) -> None:
    """On standard error: a title by a model without titles, one that names the stars, and the rest of a long text."""
    reader = sealed_tiny_model(settings().models_dir, reads_titles=True, max_tokens=5).name
    assert predict("good", "--version", version).stderr == ""
    ignored = predict("good", "--title", "Great", "--json")
    assert "the title was not read: this model has learned from texts alone" in ignored.stderr
    assert json.loads(ignored.stdout)["text"] == "good"
    assert "it names the stars" in predict("good", "--version", reader, "--title", "Five Stars").stderr
    assert predict("good", "--version", reader, "--title", "Great").stderr == ""
    long = predict("good one, but it was much too long", "--version", reader).stderr
    assert "longer than the 5 tokens that this model reads: only its beginning was read" in long
