"""What the stand-in of the hub holds in tests and trials: reviews as Amazon Reviews 2023 spells them, a tiny encoder.

The reviews are simulated. By hand (the first argument is the port):

    python -m tests.hub_content 8900          and then, in another terminal,
    HF_ENDPOINT=http://127.0.0.1:8900 RESTAR_PROFILE=smoke restar run --once --reviews hub
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from restar_lib.settings import HubSettings, SimulatedSettings
from restar_lib.simulator import reviews as simulated
from tests.hub_stand_in import Hub, hub_stand_in
from tests.tiny_encoder import make_tiny_encoder

CATEGORIES = ("All_Beauty", "Gift_Cards", "Magazine_Subscriptions")
ENCODERS = ("distilbert-base-uncased", "distilbert/distilbert-base-uncased")
SIMULATED = SimulatedSettings(per_day=50)


def raw_review(number: int, *, category: str = "") -> dict[str, Any]:
    """A row of a raw file: a float rating, milliseconds, no category and no id."""
    fields = simulated.review(number, SIMULATED)
    return {
        "rating": float(fields.get("rating", 5)),
        "title": fields.get("title", ""),
        "text": fields["text"],
        "images": [],
        "asin": f"{category[:2]}{fields['asin']}",
        "parent_asin": fields["parent_asin"],
        "user_id": fields["user_id"],
        "timestamp": round(simulated.written_at(number, SIMULATED).timestamp() * 1000),
        "helpful_vote": 0,
        "verified_purchase": True,
    }


def raw_file(category: str, numbers: range) -> bytes:
    """A raw file with these reviews."""
    return b"".join(json.dumps(raw_review(number, category=category)).encode() + b"\n" for number in numbers)


def fill(hub: Hub, *, rows: int, work: Path) -> str:
    """So many reviews in each category, and the tiny encoder under the name of a big one; returns the commit."""
    files = {
        f"raw/review_categories/{category}.jsonl": raw_file(
            category, range(place, rows * len(CATEGORIES), len(CATEGORIES))
        )
        for place, category in enumerate(CATEGORIES)
    }
    words = {
        word for content in files.values() for line in content.splitlines()[:2000]
        for word in re.findall(r"[a-z]+", json.loads(line)["text"].lower())
    }  # fmt: skip
    folder = make_tiny_encoder(work, sorted(words))
    for name in ENCODERS:
        hub.repository("model", name).commit({path.name: path.read_bytes() for path in folder.iterdir()})
    return hub.repository("dataset", HubSettings().dataset).commit(files)


if __name__ == "__main__":
    with hub_stand_in(port=int(sys.argv[1])) as running, tempfile.TemporaryDirectory() as folder:
        commit = fill(running, rows=4000, work=Path(folder))
        sys.stdout.write(
            f"4,000 reviews in each of {', '.join(CATEGORIES)}, commit {commit}: HF_ENDPOINT={running.endpoint}\n"
        )
        sys.stdout.flush()
        while True:
            time.sleep(3600)
