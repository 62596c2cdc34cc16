"""The command that reads one text with the model that serves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from restar_lib.cli.shared import CHAMPION
from restar_lib.domain import AbstainReason
from restar_lib.errors import ArtifactError
from restar_lib.settings import Settings, settings

if TYPE_CHECKING:  # the engine takes a second to import, and `--help` needs none
    from restar_lib.inference.answers import Answer
    from restar_lib.inference.engine import ModelInfo

commands = typer.Typer()

NO_ANSWER: Final = {
    AbstainReason.LOW_CONFIDENCE: "not sure",
    AbstainReason.LANGUAGE: "no answer: a language that this model does not read",
    AbstainReason.UNREADABLE: "no answer: no word in it that this model knows",
}


@commands.command()
def predict(
    text: Annotated[str, typer.Argument(help="The text; - reads it from standard input.")],
    *,
    sentences: Annotated[bool, typer.Option("--sentences", help="Read each sentence as well.")] = False,
    title: Annotated[str, typer.Option(help="The review's title, for models that read titles.")] = "",
    version: Annotated[str, typer.Option(help="A model version, or `champion`: the one that serves.")] = CHAMPION,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, as the API answers.")] = False,
) -> None:
    """Say what a text expresses, how sure the model is, and the stars to expect."""
    from restar_lib.domain import with_title
    from restar_lib.inference.answers import answer_sentences
    from restar_lib.inference.engine import InferenceEngine
    from restar_lib.ingest.cleaning.clean import readable_title
    from restar_lib.sentences import split
    from restar_lib.text import plain_text

    current = settings()
    read = plain_text(sys.stdin.read() if text == "-" else text)
    if not read:
        raise typer.BadParameter("there is nothing to read in it but markup and blanks")
    model = InferenceEngine.load(_folder(current, version), threads=current.scoring.threads)
    heading = readable_title(title) if model.info.reads_titles else None
    found = answer_sentences(model, with_title(read, heading), split(read) if sentences else ())
    for remark in _remarks(model.info, found.whole, title=title, read=heading):
        print(f"restar: {remark}", file=sys.stderr)
    if as_json:
        parts = [
            {"text": one.text, "start": one.start, "end": one.end} | _fields(answer) for one, answer in found.sentences
        ]
        whole = {"text": read, "model_version": model.version, "prediction": _fields(found.whole)}
        print(json.dumps(whole | ({"sentences": parts} if sentences else {}), indent=1, ensure_ascii=False))
        return
    print(f"{_line(found.whole)}   ({model.version}{', trained on simulated reviews' if model.info.simulated else ''})")
    for one, answer in found.sentences:
        print(f"  {_line(answer)}   {one.text}")


def _folder(current: Settings, version: str) -> Path:
    from restar_lib.artifacts import sealed_folder
    from restar_lib.artifacts.pointer import read_pointer

    if version != CHAMPION:
        return sealed_folder.locate(current.models_dir, version)
    pointer = read_pointer(current.pointer_path)
    if pointer is None:
        raise ArtifactError("nothing was released yet: name a version (`restar predict --version rs-... TEXT`)")
    return sealed_folder.locate(current.models_dir, pointer.model_version)


def _remarks(info: ModelInfo, whole: Answer, *, title: str, read: str | None) -> Iterator[str]:
    """What was not read, and why."""
    if title and not info.reads_titles:
        yield "the title was not read: this model has learned from texts alone (dataset.titles)"
    elif title and read is None:
        yield "the title was not read: it says nothing, or it names the stars"
    if whole.truncated:
        part = "its beginning" if info.long_texts == "head" else "its beginning and its end"
        yield f"the text is longer than the {info.max_tokens} tokens that this model reads: only {part} was read"


def _line(answer: Answer) -> str:
    unsure = f", {NO_ANSWER[answer.abstain_reason]}" if answer.abstain_reason else ""
    return f"{answer.sentiment:<8}  {100 * answer.confidence:3.0f} %  {answer.stars:.1f} stars{unsure}"


def _fields(answer: Answer) -> dict[str, Any]:
    from restar_lib.domain import SENTIMENTS

    return {
        "sentiment": answer.sentiment,
        "confidence": answer.confidence,
        "probabilities": dict(zip(SENTIMENTS, answer.probabilities, strict=True)),
        "abstained": answer.abstained,
        "abstain_reason": answer.abstain_reason,
        "stars": round(answer.stars, 2),
        "score": round(answer.score, 4),
        "truncated": answer.truncated,
    }
