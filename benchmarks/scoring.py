"""Scoring from table to table, beside transformers' pipeline and beside the bare session. Aims: 2 times, and 80 %.

All three read the same reviews with the same float32 model, in turns, `--rounds` times; the median counts.
`score_new` is the whole of scoring: verify and load the model, read the table, tokenise, predict, select, store. The
pipeline is `transformers.pipeline("text-classification")` on the torch network that the artifact was exported from,
the faster of batch size 1 and 32, with texts in memory. The bare session answers batches of token ids made beforehand.
The stored sentiments must agree with the pipeline's on 99 % of the rows.

Without `--home` (a state folder with a champion) a small model is trained first: a minute or two.

    python benchmarks/scoring.py [--reviews FILE] [--rows 500] [--rounds 1] [--home var]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import measuring
from sqlalchemy import Engine, delete, select, text, update

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.pointer import read_pointer
from restar_lib.dataset.snapshot import freeze
from restar_lib.domain import SENTIMENTS
from restar_lib.inference import engine as inference
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.scoring.batch import score_new
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for
from restar_lib.store.tables import IngestRun, LabelTask, PredictionRow, ReviewRow

TRAINED_ON = {"max_rows": 400, "max_validation_rows": 100, "max_test_rows": 100}
HISTORY = 1500


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    with (
        tempfile.TemporaryDirectory(prefix="restar-bench-") as folder,
        measuring.postgres() as server,
        measuring.database(server, "restar_scoring") as url,
    ):
        settings = configured(Path(folder), arguments)
        engine = engine_for(url)
        model_folder = model_of(engine, settings, arguments)
        texts = reviews_to_score(engine, settings, rows=arguments.rows)
        result = measure(engine, settings, model_folder, texts, rounds=arguments.rounds)
        result["agreement"] = agreement(engine, result.pop("answers"))
        engine.dispose()
    table = [(name, per_second, ours(result) / per_second) for name, per_second in result["per_second"].items()]
    title = f"{len(texts):,} reviews, {result['words']:.0f} words on average; agreement {result['agreement']:.2%}"
    print(measuring.table(title, ("", "reviews/s", "scoring is times"), table))
    print(measuring.save("scoring", result | {"rows": len(texts), "reviews": Path(arguments.reviews).name}))
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reviews", default="", help="JSON Lines, plain or .gz; default: simulated reviews")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--home", type=Path, help="state folder with a champion; default: a model is trained")
    return parser.parse_args()


def configured(folder: Path, arguments: argparse.Namespace) -> Settings:
    """The defaults, from the given reviews."""
    kind = "files" if arguments.reviews else "simulated"
    source = {"kind": kind, "name": "benchmark", "path": arguments.reviews}
    return measuring.settings_for(folder / "var", source=source, dataset={} if arguments.home else TRAINED_ON)


def model_of(engine: Engine, settings: Settings, arguments: argparse.Namespace) -> Path:
    """The champion of the given state folder, or a small model that is trained on the first reviews."""
    if arguments.home:
        pointer = read_pointer(arguments.home / settings.pointer_path.relative_to(settings.home))
        if pointer is None:
            raise SystemExit(f"no champion in {arguments.home}: run `make run ONCE=1` first")
        return Path(arguments.home / pointer.folder)
    from restar_lib.training.train import train

    _ingest(engine, settings, rows=HISTORY)
    work = sealed_folder.new_work_folder(settings.models_dir)
    train(freeze(engine, settings, now=datetime.now(UTC)), settings, out=work, progress=print)
    return settings.models_dir / sealed_folder.seal(work, settings.models_dir)


def reviews_to_score(engine: Engine, settings: Settings, *, rows: int) -> dict[str, str]:
    """Texts by id, in the table and unread."""
    _ingest(engine, settings, rows=round(rows * 1.5) + 50)  # some are refused, some are copies
    with engine.begin() as connection:
        newest = select(IngestRun.ingest_run_id).order_by(IngestRun.ingest_run_id.desc()).limit(1).scalar_subquery()
        mine = (ReviewRow.ingest_run_id == newest, ReviewRow.duplicate_of.is_(None))
        wanted = select(ReviewRow.review_id, ReviewRow.text).where(*mine).order_by(ReviewRow.review_id).limit(rows)
        texts = dict(connection.execute(wanted).tuples().all())
        too_many = ReviewRow.review_id.not_in(list(texts)) & ReviewRow.duplicate_of.is_(None)
        connection.execute(update(ReviewRow).where(mine[0], too_many).values(duplicate_of=next(iter(texts))))
    return texts


def measure(
    engine: Engine, settings: Settings, model_folder: Path, texts: dict[str, str], *, rounds: int
) -> dict[str, Any]:
    """Reviews per second of each way, the median of the rounds, and what the pipeline answered."""
    listed = list(texts.values())
    pipeline = pipeline_of(model_folder, settings)
    session, batches = ready_made(model_folder, listed, size=settings.scoring.batch_size)
    answers: list[dict[str, Any]] = []

    def by_pipeline(size: int) -> None:
        answers[:] = pipeline(listed, batch_size=size, truncation=True)

    ways: dict[str, Callable[[], Any]] = {
        "table to table": lambda: score_again(engine, settings, model_folder),
        "pipeline, batch size 1": lambda: by_pipeline(1),
        "pipeline, batch size 32": lambda: by_pipeline(32),
        "bare session": lambda: [session.run(["logits"], batch) for batch in batches],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, do in ways.items():
            began = time.perf_counter()
            do()
            seconds[name].append(time.perf_counter() - began)
    return {
        "per_second": {name: len(texts) / median(found) for name, found in seconds.items()},
        "words": sum(len(one.split()) for one in listed) / len(listed),
        "answers": dict(zip(texts, (one["label"] for one in answers), strict=True)),
    }


def ours(result: dict[str, Any]) -> float:
    """Reviews per second from table to table."""
    return float(result["per_second"]["table to table"])


def score_again(engine: Engine, settings: Settings, model_folder: Path) -> None:
    """One whole scoring of what nobody has read."""
    with engine.begin() as connection:
        for stored in (LabelTask, PredictionRow):
            connection.execute(delete(stored))
        connection.execute(text("update ingest_run set scored_at = null"))
    score_new(engine, settings, model_folder=model_folder, now=datetime.now(UTC))


def ready_made(model_folder: Path, texts: Sequence[str], *, size: int) -> tuple[Any, list[dict[str, Any]]]:
    """The session of the artifact, and the batches that it answers."""
    info = inference.ModelInfo.read(model_folder)
    tokenizer = inference.open_tokenizer(model_folder / inference.TOKENIZER)
    ending = inference.ending_of(tokenizer)
    read = [
        inference.window(ids, max_tokens=info.max_tokens, long_texts=info.long_texts, ending=ending)
        for ids in inference.tokens(tokenizer, texts)
    ]
    padding = inference.padding_of(tokenizer)
    batches = [
        inference.padded([read[row] for row in rows], padding=padding)
        for rows in inference.batches_by_length(read, size=size)
    ]
    return inference.open_session(model_folder / inference.MODEL, threads=0), batches


def pipeline_of(model_folder: Path, settings: Settings) -> Any:
    """The torch network of the artifact as transformers' own pipeline takes it."""
    import transformers

    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.network import load_model, load_tokenizer, load_weights

    info = inference.ModelInfo.read(model_folder)
    encoder = find_encoder(info.encoder)
    network = load_model(encoder, pooled_layers=settings.training.pooled_layers)
    load_weights(network, model_folder)

    class Classifier(transformers.PreTrainedModel):  # type: ignore[misc]
        """Our network behind the interface that the pipeline asks for."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.network = network

        def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> Any:
            logits = self.network(input_ids, attention_mask)
            return transformers.modeling_outputs.SequenceClassifierOutput(logits=logits)

    config = network.encoder.config
    config.id2label = {sentiment.position: sentiment.value for sentiment in SENTIMENTS}
    tokenizer = load_tokenizer(encoder, max_tokens=info.max_tokens)
    transformers.utils.logging.set_verbosity_error()  # it would list every class that is not ours
    return transformers.pipeline("text-classification", model=Classifier(config), tokenizer=tokenizer, device="cpu")


def agreement(engine: Engine, answers: dict[str, str]) -> float:
    """The share of rows on which the stored sentiment is the pipeline's."""
    with engine.connect() as connection:
        stored = dict(connection.execute(select(PredictionRow.review_id, PredictionRow.sentiment)).tuples().all())
    return sum(stored[review_id].value == label for review_id, label in answers.items()) / len(answers)


def _ingest(engine: Engine, settings: Settings, *, rows: int) -> None:
    ingest(engine, open_source(settings), settings, run_key="benchmark", now=datetime.now(UTC), max_rows=rows)


if __name__ == "__main__":
    sys.exit(main())
