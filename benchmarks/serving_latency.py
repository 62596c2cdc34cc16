"""Latency and failures of the HTTP API at batch size 1. The promise: mean <= 500 ms, p99 <= 300 ms, <= 1 % failed.

Starts the API on loopback with the champion of a state folder (default `var/`; run `make run` first), sends texts of
the built-in simulator or of a file of reviews, prints a table and writes JSON. Beside it the bare inference engine
answers the same texts in the same run, so that the cost of HTTP shows. A bounded number of requests, to this machine.

    python benchmarks/serving_latency.py [--home var] [--reviews FILE] [--requests 500] [--json out.json]
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import httpx
import numpy as np

from restar_lib.artifacts.pointer import read_pointer
from restar_lib.domain import Review
from restar_lib.inference.engine import InferenceEngine
from restar_lib.ingest.cleaning.clean import clean
from restar_lib.ingest.sources.configured import open_source
from restar_lib.settings import PROJECT_ROOT, Settings, load, process_environment

WARM_UP = 20


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    settings = load(environment=process_environment() | {"RESTAR_HOME": str(arguments.home)}).settings
    pointer = read_pointer(settings.pointer_path)
    if pointer is None:
        print(f"no champion in {settings.home}: run `make run ONCE=1` first")
        return 1
    texts = list(islice(texts_of(settings, arguments.reviews), arguments.requests + WARM_UP))
    model = InferenceEngine.load(settings.home / pointer.folder, threads=settings.scoring.threads)
    with serving(settings) as url, httpx.Client(base_url=url, timeout=30) as client:
        rows = {
            "inference engine alone": measure(lambda text: bool(len(model.predict([text]).probabilities)), texts),
            "POST /predict": measure(lambda text: client.post("/predict", json={"text": text}).is_success, texts),
        }
    words = np.mean([len(text.split()) for text in texts])
    print(f"{pointer.model_version}, {len(texts) - WARM_UP} requests of {words:.0f} words on average, batch size 1\n")
    print(f"{'':24}{'mean ms':>10}{'p50 ms':>10}{'p99 ms':>10}{'failed':>10}")
    for name, row in rows.items():
        print(f"{name:24}{row['mean_ms']:10.1f}{row['p50_ms']:10.1f}{row['p99_ms']:10.1f}{row['failed']:10.2%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=PROJECT_ROOT / "var")
    parser.add_argument("--reviews", default="", help="JSON Lines, plain or .gz; default: simulated reviews")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def texts_of(settings: Settings, reviews: str) -> Iterator[str]:
    """Cleaned texts, as ingest would store them."""
    source = {"kind": "files", "path": reviews} if reviews else {"kind": "simulated"}
    chosen = settings.model_copy(update={"source": settings.source.model_copy(update=source)})
    for row in open_source(chosen).rows(None):
        review = clean(row.fields, settings.ingest, source="benchmark") if row.fields else None
        if isinstance(review, Review):
            yield review.text


def measure(ask: Callable[[str], bool], texts: list[str]) -> dict[str, float]:
    """Milliseconds per text, after a warm-up, and the share that failed."""
    for text in texts[:WARM_UP]:
        ask(text)
    spent, failed = [], 0
    for text in texts[WARM_UP:]:
        began = time.perf_counter()
        failed += not ask(text)
        spent.append(1000 * (time.perf_counter() - began))
    p50, p99 = np.quantile(spent, [0.5, 0.99])
    return {"mean_ms": float(np.mean(spent)), "p50_ms": float(p50), "p99_ms": float(p99), "failed": failed / len(spent)}


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The API as a process of its own, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = process_environment() | {"RESTAR_HOME": str(settings.home), "RESTAR_SERVING__PORT": str(port)}
    process = subprocess.Popen([str(Path(sys.executable).parent / "restar"), "serve"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not is_ready(url):
            if time.monotonic() > deadline:
                raise SystemExit("the API did not load the champion within 60 s")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def is_ready(url: str) -> bool:
    """Whether a model is loaded."""
    try:
        return httpx.get(f"{url}/ready", timeout=5).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
