"""The HTTP API: `create_app(settings)`; `run` serves it with uvicorn.

Answers with the model that the pointer names, and changes to a new one without a failed request (`release_watcher`).
Texts are cleaned as ingest cleans them, so that the model reads here what it read in training. Predictions run in
threads, a bounded number of them (`in_flight`); what is asked about the state is answered by the event loop itself, so
that it never waits for a prediction. No Airflow, no MLflow, no database and no training code.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from restar_lib.domain import SENTIMENTS
from restar_lib.inference.answers import Answer, answer_all, answer_sentences
from restar_lib.sentences import split
from restar_lib.serving.api_docs import add_docs
from restar_lib.serving.body_limit import BodyLimit
from restar_lib.serving.cross_origin import CrossOrigin
from restar_lib.serving.error_responses import (
    ERRORS,
    NoModel,
    TooLarge,
    add_error_shapes,
)
from restar_lib.serving.in_flight import InFlight, by_sentences
from restar_lib.serving.prometheus import MeasuredRequests, ServingMetrics
from restar_lib.serving.release_watcher import ReleaseWatcher, ServedModel
from restar_lib.serving.review_texts import model_texts, readable
from restar_lib.serving.schemas import (
    BatchIn,
    BatchOut,
    HealthOut,
    ModelInfoOut,
    Prediction,
    Probabilities,
    RefusedModel,
    ReviewIn,
    SentencePrediction,
    SentencesOut,
)
from restar_lib.settings import Settings

BYTES_PER_CHARACTER: Final = 12
"""The longest JSON form of one character: two \\uXXXX escapes."""
BODY_OVERHEAD: Final = 65_536


def create_app(settings: Settings) -> FastAPI:
    """The API; it begins to follow releases when it starts, and has no model before the first one is loaded."""
    watcher = ReleaseWatcher(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watcher.start()
        yield
        watcher.stop()

    app = FastAPI(
        title="Re*Star",
        version=version("restar"),
        description=_description(settings),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    in_flight = InFlight(settings.serving.max_in_flight)
    metrics = ServingMetrics(watcher, in_flight)
    app.state.settings, app.state.watcher, app.state.metrics = settings, watcher, metrics
    app.state.in_flight = in_flight
    largest = settings.serving.max_batch * settings.serving.max_chars * BYTES_PER_CHARACTER + BODY_OVERHEAD
    app.add_middleware(BodyLimit, max_bytes=largest)
    if settings.serving.allowed_origins:
        app.add_middleware(CrossOrigin, origins=settings.serving.allowed_origins)
    app.add_middleware(MeasuredRequests, metrics=metrics)  # outermost: it also counts what the limit refuses
    add_error_shapes(app)
    _add_routes(app)
    add_docs(app)
    return app


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import uvicorn

    uvicorn.run(
        create_app(settings),
        host=settings.serving.host,
        port=settings.serving.port,
        access_log=False,
        timeout_graceful_shutdown=10,
    )


def _add_routes(app: FastAPI) -> None:
    app.get("/health", tags=["state"])(health)
    app.get("/ready", tags=["state"], responses=ERRORS)(ready)
    app.get("/model/info", tags=["state"])(model_info)
    app.get("/metrics", include_in_schema=False)(metrics_page)
    app.post("/predict", tags=["predict"], responses=ERRORS)(predict)
    app.post("/predict/batch", tags=["predict"], responses=ERRORS)(predict_batch)
    app.post("/predict/sentences", tags=["predict"], responses=ERRORS)(predict_sentences)


# Coroutines, all of them: FastAPI runs a plain function in a thread, where it would wait behind the predictions.
async def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


async def _watcher(request: Request) -> ReleaseWatcher:
    found: ReleaseWatcher = request.app.state.watcher
    return found


async def _metrics(request: Request) -> ServingMetrics:
    found: ServingMetrics = request.app.state.metrics
    return found


async def _in_flight(request: Request) -> InFlight:
    found: InFlight = request.app.state.in_flight
    return found


async def _serving(watcher: Annotated[ReleaseWatcher, Depends(_watcher)]) -> ServedModel:
    """The model that serves, read once: a request ends with the model that it began with."""
    if watcher.serving is not None:
        return watcher.serving
    if watcher.refused is not None:
        raise NoModel(f"{watcher.refused.model_version} was refused: {watcher.refused.reason}")
    raise NoModel("nothing was released yet, or it is still loading; ask GET /ready again")


async def health() -> HealthOut:
    """The process is alive; it may still have no model."""
    return HealthOut(status="alive")


async def ready(serving: Annotated[ServedModel, Depends(_serving)]) -> HealthOut:
    """A model is loaded and has answered its probe."""
    return HealthOut(status="ready", model_version=serving.model.version)


async def model_info(
    watcher: Annotated[ReleaseWatcher, Depends(_watcher)], settings: Annotated[Settings, Depends(_settings)]
) -> ModelInfoOut:
    """What serves, since when, whether it is provisional, and what was refused."""
    refused = RefusedModel.model_validate(watcher.refused, from_attributes=True) if watcher.refused else None
    if watcher.serving is None:
        return ModelInfoOut(refused=refused, notice=settings.simulated_notice)
    return _info_of(watcher.serving, refused)


async def metrics_page(metrics: Annotated[ServingMetrics, Depends(_metrics)]) -> Response:
    """What Prometheus reads."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def predict(
    review: ReviewIn,
    serving: Annotated[ServedModel, Depends(_serving)],
    settings: Annotated[Settings, Depends(_settings)],
    metrics: Annotated[ServingMetrics, Depends(_metrics)],
    in_flight: Annotated[InFlight, Depends(_in_flight)],
) -> Prediction:
    """What one review expresses."""
    with in_flight.hold(1):
        return (await run_in_threadpool(_answers, serving, [("text", review)], settings, metrics=metrics))[0]


async def predict_batch(
    batch: BatchIn,
    serving: Annotated[ServedModel, Depends(_serving)],
    settings: Annotated[Settings, Depends(_settings)],
    metrics: Annotated[ServingMetrics, Depends(_metrics)],
    in_flight: Annotated[InFlight, Depends(_in_flight)],
) -> BatchOut:
    """What several reviews express, in their order."""
    started = time.perf_counter()
    if len(batch.reviews) > settings.serving.max_batch:
        raise TooLarge(f"{len(batch.reviews)} reviews; at most {settings.serving.max_batch} in one request")
    with in_flight.hold(len(batch.reviews)):
        placed = [(f"reviews.{place}", review) for place, review in enumerate(batch.reviews)]
        answers = await run_in_threadpool(_answers, serving, placed, settings, metrics=metrics)
    return BatchOut(predictions=answers, total_count=len(answers), processing_time_ms=_milliseconds_since(started))


async def predict_sentences(
    review: ReviewIn,
    serving: Annotated[ServedModel, Depends(_serving)],
    settings: Annotated[Settings, Depends(_settings)],
    metrics: Annotated[ServingMetrics, Depends(_metrics)],
    in_flight: Annotated[InFlight, Depends(_in_flight)],
) -> SentencesOut:
    """What a review expresses, as a whole and sentence by sentence."""
    with in_flight.hold(by_sentences(review.text)):
        return await run_in_threadpool(_sentence_answers, serving, review, settings, metrics=metrics)


def _sentence_answers(
    serving: ServedModel, review: ReviewIn, settings: Settings, *, metrics: ServingMetrics
) -> SentencesOut:
    started = time.perf_counter()
    (whole,) = model_texts(serving, [("text", review)], settings)  # with its title, which no sentence has
    text = readable(review.text, settings.serving.max_chars)
    sentences = split(text)
    if len(sentences) > settings.serving.max_sentences:
        raise TooLarge(f"{len(sentences)} sentences; at most {settings.serving.max_sentences} in one request")
    found = answer_sentences(serving.model, whole, sentences, batch_size=settings.scoring.batch_size)
    # Sentences are not counted: the metric is about reviews.
    metrics.predicted([found.whole])
    version = serving.model.version
    answers = [
        SentencePrediction(text=one.text, start=one.start, end=one.end, **_fields(answer, version))
        for one, answer in found.sentences
    ]
    return SentencesOut(
        text=text,
        prediction=Prediction(**_fields(found.whole, version)),
        sentences=answers,
        total_count=len(answers),
        processing_time_ms=_milliseconds_since(started),
    )


def _answers(
    serving: ServedModel, reviews: Sequence[tuple[str, ReviewIn]], settings: Settings, *, metrics: ServingMetrics
) -> list[Prediction]:
    """The answers to reviews, each with its place in the body."""
    texts = model_texts(serving, reviews, settings)
    answers = answer_all(serving.model, texts, batch_size=settings.scoring.batch_size)
    metrics.predicted(answers)
    return [Prediction(**_fields(answer, serving.model.version)) for answer in answers]


def _fields(answer: Answer, version: str) -> dict[str, Any]:
    return {
        "sentiment": answer.sentiment,
        "confidence": answer.confidence,
        "probabilities": Probabilities(**dict(zip(SENTIMENTS, answer.probabilities, strict=True))),
        "abstained": answer.abstained,
        "abstain_reason": answer.abstain_reason,
        "stars": round(answer.stars, 2),
        "score": round(answer.score, 4),
        "model_version": version,
        "truncated": answer.truncated,
    }


def _milliseconds_since(started: float) -> float:
    return round(1000 * (time.perf_counter() - started), 2)


def _info_of(serving: ServedModel, refused: RefusedModel | None) -> ModelInfoOut:
    info, pointer = serving.model.info, serving.pointer
    return ModelInfoOut(
        model_version=serving.model.version,
        release_id=pointer.release_id,
        provisional=pointer.provisional,
        simulated=info.simulated,
        released_at=pointer.released_at,
        loaded_at=serving.loaded_at,
        mode=info.mode,
        encoder=info.encoder,
        snapshot_hash=info.snapshot_hash,
        created_at=info.created_at,
        max_tokens=info.max_tokens,
        reads_titles=info.reads_titles,
        languages=info.languages,
        abstain_below=info.abstain_below,
        notice=_notice(serving),
        refused=refused,
    )


def _notice(serving: ServedModel) -> str | None:
    notices = (
        (serving.pointer.provisional, "provisional model: under the floors of the gate"),
        (serving.model.info.simulated, "trained on simulated reviews"),
    )
    return "; ".join(text for holds, text in notices if holds) or None


def _description(settings: Settings) -> str:
    notice = f" **Note: {settings.simulated_notice}.**" if settings.simulated_notice else ""
    return f"Reads what a product review really expresses.{notice}"
