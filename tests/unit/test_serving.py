"""The HTTP API: one contract through every model change, and a bad model never replaces a good one."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.pointer import Pointer, write_pointer
from restar_lib.serving.api import create_app
from restar_lib.serving.error_responses import EMPTY
from restar_lib.serving.release_watcher import TRY_AGAIN_SECONDS, ReleaseWatcher
from restar_lib.settings import ServingSettings, Settings, load
from tests.tiny_model import sealed_tiny_model

GOOD = "An excellent lamp, I love it"
BAD = "Terrible, it arrived broken and I want a refund"
UNCLEAR = "The parcel came on a Tuesday"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Smoke settings that look for releases fifty times a second."""
    found = load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(tmp_path)}).settings
    return found.model_copy(
        update={"serving": ServingSettings(poll_seconds=0.02, max_batch=4, max_chars=200, max_sentences=6)}
    )


def point(settings: Settings, version: str, *, release_id: int = 1, provisional: bool = False) -> None:
    """Write the pointer as a release does."""
    pointer = Pointer(
        release_id=release_id,
        model_version=version,
        folder=f"models/{version}",
        provisional=provisional,
        released_at=datetime(2026, 1, release_id, tzinfo=UTC),
    )
    write_pointer(settings.pointer_path, pointer)


def wait_for(condition: Callable[[], Any]) -> None:
    """Until the watcher has looked."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the watcher did not follow within 10 s"
        time.sleep(0.01)


@pytest.fixture
def empty(settings: Settings) -> Iterator[TestClient]:
    """The API before the first release."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def version(settings: Settings) -> str:
    """A model that is released."""
    found = sealed_tiny_model(settings.models_dir).name
    point(settings, found)
    return found


@pytest.fixture
def client(empty: TestClient, version: str) -> TestClient:
    """The API with a model."""
    wait_for(lambda: serving(empty) == version)
    return empty


def info(client: TestClient) -> dict[str, Any]:
    """What the API says of its model."""
    answer: dict[str, Any] = client.get("/model/info").json()
    return answer


def serving(client: TestClient) -> str | None:
    """The version that answers."""
    found: str | None = info(client)["model_version"]
    return found


def test_without_a_model_it_is_alive_but_not_ready(empty: TestClient) -> None:
    """Health is 200; readiness and predictions are 503 in the one error shape."""
    assert empty.get("/health").json() == {"status": "alive", "model_version": None}
    assert info(empty)["model_version"] is None
    for answer in (empty.get("/ready"), empty.post("/predict", json={"text": GOOD})):
        assert answer.status_code == 503
        assert answer.json()["error"] == "no_model"


def test_a_prediction_holds_everything_the_contract_names(client: TestClient, version: str) -> None:
    """Sentiment, confidence, probabilities, abstention, stars, version and truncation."""
    answer = client.post("/predict", json={"text": GOOD, "title": "Five Stars", "rating": 1})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {
        "sentiment", "confidence", "probabilities", "abstained", "abstain_reason", "stars", "score", "model_version", "truncated",
    }  # fmt: skip
    assert body["sentiment"] == "positive"
    assert body["confidence"] == body["probabilities"]["positive"] == max(body["probabilities"].values())
    assert sum(body["probabilities"].values()) == pytest.approx(1)
    assert (body["abstained"], body["truncated"], body["model_version"]) == (False, False, version)
    assert body["abstain_reason"] is None
    assert 4.5 < body["stars"] <= 4.6
    assert body["score"] == pytest.approx((body["stars"] - 1) / 4, abs=0.002)


def test_what_the_model_cannot_read_is_not_answered(client: TestClient) -> None:
    """Each answer says why: too unsure, another language, no words; alone, in a batch, and sentence by sentence."""
    texts = {
        UNCLEAR: "low_confidence",
        "Zerbrochen angekommen und niemand antwortet": "language",
        "👎 👎": "unreadable",
        GOOD: None,
    }
    assert [client.post("/predict", json={"text": text}).json()["abstain_reason"] for text in texts] == [
        *texts.values()
    ]
    batch = client.post("/predict/batch", json={"reviews": list(texts)}).json()["predictions"]
    assert [one["abstain_reason"] for one in batch] == [*texts.values()]
    assert [one["abstained"] for one in batch] == [True, True, True, False]
    parts = client.post("/predict/sentences", json={"text": f"{GOOD}. 👎 👎!"}).json()
    assert [one["abstain_reason"] for one in parts["sentences"]] == [None, "unreadable"]
    assert info(client)["languages"] == ["en"]


def test_a_title_is_read_by_a_model_that_learned_from_titles_and_by_no_other(
    empty: TestClient, settings: Settings
) -> None:
    """In front of the text; one that names the stars is never read."""
    said = []
    for number, reads_titles in enumerate((False, True), start=1):
        version = sealed_tiny_model(settings.models_dir, reads_titles=reads_titles).name
        point(settings, version, release_id=number)
        wait_for(lambda expected=version: serving(empty) == expected)
        assert info(empty)["reads_titles"] is reads_titles
        bodies = [{"text": UNCLEAR, "title": title} for title in ("Excellent, great!", "Five Stars: excellent", None)]
        said.append([empty.post("/predict", json=body).json()["confidence"] for body in bodies])
    (ignored, leaking, without), (read, still_leaking, still_without) = said
    assert ignored == leaking == without == still_leaking == still_without
    assert read > without


def test_it_abstains_where_it_is_not_sure(client: TestClient) -> None:
    """Below the model's own threshold the answer says so."""
    assert client.post("/predict", json={"text": UNCLEAR}).json()["abstained"] is True


def test_a_text_longer_than_the_window_is_marked(client: TestClient) -> None:
    """Not all of it was read: which part depends on the model."""
    answer = client.post("/predict", json={"text": "a " * 70 + "excellent"}).json()
    assert (answer["truncated"], answer["abstained"]) == (True, True)


def test_texts_are_cleaned_as_ingest_cleans_them(client: TestClient) -> None:
    """Markup and entities do not hide a word from the model."""
    assert (
        client.post("/predict", json={"text": "so<br/>excellent&#44; <b>love</b> it"}).json()["sentiment"] == "positive"
    )


def test_a_batch_answers_in_order_as_single_requests_do(client: TestClient) -> None:
    """Objects and plain strings mix; the count and the time are there."""
    body = client.post("/predict/batch", json={"reviews": [GOOD, {"text": BAD, "title": "x"}, UNCLEAR]}).json()
    assert body["total_count"] == 3
    assert body["processing_time_ms"] > 0
    for text, prediction in zip([GOOD, BAD, UNCLEAR], body["predictions"], strict=True):
        alone = client.post("/predict", json={"text": text}).json()
        assert prediction == close_to(alone)


def test_a_review_of_two_minds_is_read_sentence_by_sentence(client: TestClient, version: str) -> None:
    """Each sentence has its place and the answer that it gets alone; the whole text has its own."""
    sent = "An excellent lamp, I love it!<br/>Sadly it arrived broken &amp; useless. The box is blue."
    body = client.post("/predict/sentences", json={"text": sent}).json()
    assert body["text"] == "An excellent lamp, I love it! Sadly it arrived broken & useless. The box is blue."
    assert [one["sentiment"] for one in body["sentences"][:2]] == ["positive", "negative"]
    assert [one["abstained"] for one in body["sentences"]] == [False, False, True]
    assert body["total_count"] == 3
    assert body["prediction"] == close_to(client.post("/predict", json={"text": sent}).json())
    for one in body["sentences"]:
        text = body["text"][one.pop("start") : one.pop("end")]
        assert one.pop("text") == text
        assert one == close_to(client.post("/predict", json={"text": text}).json())
        assert one["model_version"] == version


@pytest.mark.parametrize("text", [UNCLEAR, f"{UNCLEAR}. {UNCLEAR}."])
def test_a_review_read_by_sentences_has_the_title_that_predict_reads(
    empty: TestClient, settings: Settings, text: str
) -> None:
    """The whole is the same answer as that of `/predict`; the sentences are read as they stand."""
    version = sealed_tiny_model(settings.models_dir, reads_titles=True).name
    point(settings, version)
    wait_for(lambda: serving(empty) == version)
    body = {"text": text, "title": "Excellent, great!"}
    found, alone = (empty.post(path, json=body).json() for path in ("/predict/sentences", "/predict"))
    assert found["prediction"] == close_to(alone)
    assert found["text"] == text
    untitled = empty.post("/predict", json={"text": found["sentences"][0]["text"]}).json()
    assert found["sentences"][0]["confidence"] == pytest.approx(untitled["confidence"])
    assert untitled["confidence"] < alone["confidence"]


def test_sentences_do_not_count_as_reviews(client: TestClient) -> None:
    """The class mix that is watched is the stream's, however somebody reads it."""
    client.post("/predict/sentences", json={"text": f"{GOOD}. {GOOD}. {GOOD}. {GOOD}."})
    assert 'restar_predictions_total{sentiment="positive"} 1.0' in client.get("/metrics").text


def close_to(answer: dict[str, Any]) -> dict[str, Any]:
    """The same answer, give or take what the batch that a text shares does to floats."""
    probabilities = {name: pytest.approx(value) for name, value in answer["probabilities"].items()}
    return answer | {"confidence": pytest.approx(answer["confidence"]), "probabilities": probabilities}


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/predict", b"", 422, "invalid_body"),
        ("/predict", b"{", 422, "invalid_body"),
        ("/predict", b"[]", 422, "invalid_body"),
        ("/predict", b'{"txt": "good"}', 422, "invalid_body"),
        ("/predict", b'{"text": ""}', 422, "invalid_body"),
        ("/predict", b'{"text": 5}', 422, "invalid_body"),
        ("/predict", b'{"text": " \\u200b<p></p> "}', 422, "invalid_body"),
        ("/predict", b'{"text": "\\ud800"}', 422, "invalid_body"),
        ("/predict", b"\xff\xfe", 422, "invalid_body"),
        ("/predict", json.dumps({"text": "x" * 201}).encode(), 413, "too_large"),
        ("/predict", json.dumps({"text": "x" * 200_000}).encode(), 413, "too_large"),
        ("/predict", json.dumps({"text": "\ufdfa" * 12}).encode(), 413, "too_large"),
        ("/predict/batch", b'{"reviews": []}', 422, "invalid_body"),
        ("/predict/batch", b'{"reviews": ["good", 7]}', 422, "invalid_body"),
        ("/predict/batch", b'{"reviews": ["a", "b", "c", "d", "e"]}', 413, "too_large"),
        ("/predict/sentences", b'{"text": " <p></p> "}', 422, "invalid_body"),
        ("/predict/sentences", json.dumps({"text": "x" * 201}).encode(), 413, "too_large"),
        ("/predict/sentences", b'{"text": "Good. Bad. Good. Bad. Good. Bad. Good."}', 413, "too_large"),
        ("/predict/other", b"{}", 404, "not_found"),
        ("/health", b"{}", 405, "method_not_allowed"),
    ],
)
def test_every_error_has_the_one_shape(client: TestClient, path: str, body: bytes, status: int, error: str) -> None:
    """A code, a name and a sentence; and the API still answers afterwards."""
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert set(answer.json()) == {"error", "detail"}
    assert answer.json()["detail"]
    assert client.post("/predict", json={"text": GOOD}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/predict/batch", {"reviews": ["good", " ", "bad"]}, 422, f"reviews.1: {EMPTY}"),
        ("/predict/batch", {"reviews": ["<p></p>", "good", {"text": ""}]}, 422, f"reviews.2: {EMPTY}"),
        ("/predict/batch", {"reviews": ["<p></p>", "good", "<br/>"]}, 422, f"reviews.0: {EMPTY}; reviews.2: {EMPTY}"),
        ("/predict/batch", {"reviews": ["x" * 201, "good"]}, 413, "reviews.0: the text has 201 characters; at most 200 are read"),
        ("/predict/batch", {"reviews": ["<p></p>", "x" * 201]}, 422, f"reviews.0: {EMPTY}; reviews.1: the text has 201 characters; at most 200 are read"),
        (
            "/predict/batch",
            {"reviews": [None, 7, {"txt": "good"}, {"text": None}]},
            422,
            "reviews.0: expected a text, or an object with a `text`; reviews.1: expected a text, or an object with a `text`; reviews.2: the text is missing; reviews.3: the text is not a string",
        ),
        ("/predict/batch", {"reviews": [""] * 8}, 422, "; ".join(f"reviews.{place}: {EMPTY}" for place in range(5)) + "; and 3 more"),
        ("/predict/batch", {"reviews": [{"text": "good", "title": "x" * 2001}]}, 422, "reviews.0.title: String should have at most 2000 characters"),
        ("/predict", {"text": "\t"}, 422, f"text: {EMPTY}"),
        ("/predict", {"text": "<p></p>"}, 422, f"text: {EMPTY}"),
        ("/predict", {"text": ["good"]}, 422, "text: the text is not a string"),
        ("/predict", {}, 422, "text: the text is missing"),
        ("/predict", ["good"], 422, "body: expected an object with a `text`"),
        ("/predict/sentences", {"text": "x" * 201}, 413, "text: the text has 201 characters; at most 200 are read"),
    ],
)  # fmt: skip
def test_an_error_names_the_place_in_the_body(
    client: TestClient, path: str, body: Any, status: int, detail: str
) -> None:
    """Of every review that cannot be read, the first few, then how many more."""
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


def test_an_error_never_repeats_what_was_sent(client: TestClient) -> None:
    """Neither megabytes nor a customer's words come back."""
    answer = client.post("/predict", json={"text": ["my secret address"]})
    assert answer.status_code == 422
    assert "secret" not in answer.text


def test_a_body_of_unknown_length_is_cut_off(client: TestClient) -> None:
    """Chunks without a content-length are no way around the limit."""
    chunks = (b" " * 10_000 for _ in range(20))
    assert client.post("/predict", content=chunks).status_code == 413


def test_it_follows_a_release_without_a_restart(client: TestClient, settings: Settings) -> None:
    """The same process answers with the new version, and says what it is."""
    new = sealed_tiny_model(settings.models_dir, bias=(9.0, 0.0, 0.0), simulated=False).name
    point(settings, new, release_id=2, provisional=True)
    wait_for(lambda: serving(client) == new)
    said = info(client)
    assert (said["release_id"], said["provisional"], said["simulated"]) == (2, True, False)
    assert said["notice"] == "provisional model: under the floors of the gate"
    assert client.post("/predict", json={"text": UNCLEAR}).json()["sentiment"] == "negative"


def test_models_from_simulated_reviews_say_so(client: TestClient) -> None:
    """In the one field that must be shown beside every answer."""
    assert info(client)["simulated"] is True
    assert "simulated" in info(client)["notice"]


@pytest.mark.parametrize("damage", ["missing", "altered", "half-written", "wrong probe"])
def test_a_bad_model_is_refused_by_name_and_the_champion_keeps_serving(
    client: TestClient, settings: Settings, version: str, damage: str
) -> None:
    """The answer of /model/info names version and reason; predictions go on with the old model."""
    folder = sealed_tiny_model(settings.models_dir, bias=(0.0, 1.0, 0.0))
    bad, reason = _damage(settings, folder, damage)
    point(settings, bad, release_id=2)
    wait_for(lambda: info(client)["refused"])
    refused = info(client)["refused"]
    assert (refused["model_version"], refused["release_id"]) == (bad, 2)
    assert reason in refused["reason"]
    assert client.post("/predict", json={"text": GOOD}).json()["model_version"] == version
    assert client.get("/ready").status_code == 200
    point(settings, version, release_id=3)
    wait_for(lambda: info(client)["release_id"] == 3)
    assert info(client)["refused"] is None


def _damage(settings: Settings, folder: Path, damage: str) -> tuple[str, str]:
    match damage:
        case "missing":
            (folder / "tokenizer.json").unlink()
            return folder.name, "tokenizer.json is missing"
        case "altered":
            (folder / "model.onnx").write_bytes(b"\0" * (folder / "model.onnx").stat().st_size)
            return folder.name, "model.onnx was altered"
        case "half-written":
            (folder / sealed_folder.MANIFEST).unlink()
            return folder.name, "there is no sealed model"
        case _:
            probe = json.loads((folder / "probe.json").read_text())
            probe["probabilities"][0] = [1.0, 0.0, 0.0]
            work = settings.models_dir / ".work-x"
            shutil.copytree(folder, work)
            (work / "probe.json").write_text(json.dumps(probe))
            return sealed_folder.seal(work, settings.models_dir), "probe.json"


def test_a_pointer_that_cannot_be_read_changes_nothing(client: TestClient, settings: Settings, version: str) -> None:
    """Whatever stands in the file, the champion answers."""
    settings.pointer_path.write_text('{"release_id": 2}')
    wait_for(lambda: info(client)["refused"])
    assert "is not a pointer" in info(client)["refused"]["reason"]
    assert client.post("/predict", json={"text": GOOD}).json()["model_version"] == version


def test_a_refused_model_is_tried_again_after_a_while(settings: Settings) -> None:
    """Somebody restored the folder: no restart is needed, and it is not read at every look before that."""
    folder = sealed_tiny_model(settings.models_dir)
    good = (folder / "model.json").read_bytes()
    (folder / "model.json").write_bytes(good + b" ")
    point(settings, folder.name)
    now = 1000.0
    watcher = ReleaseWatcher(settings, clock=lambda: now)
    watcher.check_pointer()
    (folder / "model.json").write_bytes(good)
    now += TRY_AGAIN_SECONDS - 1
    watcher.check_pointer()
    assert (watcher.serving, watcher.refused is not None) == (None, True)
    now += 2
    watcher.check_pointer()
    assert watcher.serving is not None
    assert (watcher.serving.model.version, watcher.refused) == (folder.name, None)


def test_no_request_fails_because_of_a_swap(client: TestClient, settings: Settings, version: str) -> None:
    """Under load through ten swaps every answer is 200, and its sentiment is that of the version it names."""
    other = sealed_tiny_model(settings.models_dir, bias=(9.0, 0.0, 0.0)).name
    expected = {version: "positive", other: "negative"}
    stop, answers = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            answers.append(client.post("/predict", json={"text": "a good lamp"}))

    callers = [threading.Thread(target=ask) for _ in range(3)]
    for caller in callers:
        caller.start()
    for number in range(2, 12):
        wanted = (version, other)[number % 2]
        point(settings, wanted, release_id=number)
        wait_for(lambda wanted=wanted: serving(client) == wanted)
    stop.set()
    for caller in callers:
        caller.join()
    assert {answer.status_code for answer in answers} == {200}
    seen = {(answer.json()["model_version"], answer.json()["sentiment"]) for answer in answers}
    assert seen == set(expected.items())


def test_the_documentation_describes_the_routes(empty: TestClient) -> None:
    """Errors and bodies are in the schema that /docs shows."""
    schema = empty.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/health", "/ready", "/model/info", "/predict", "/predict/batch", "/predict/sentences",
    }  # fmt: skip
    assert (
        "not all of it was read"
        in schema["components"]["schemas"]["Prediction"]["properties"]["truncated"]["description"]
    )
    assert "413" in schema["paths"]["/predict"]["post"]["responses"]
    assert empty.get("/docs").status_code == 200
