"""What the long run has tried and how each trial ended: one JSON file, written after every trial.

So a run that was interrupted goes on where it stopped: a trial that ended well with this very code is not repeated.
`scripts/reliability` makes the table of docs/reliability.md from it. Short tests write nothing here.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from restar_lib.atomic_files import READABLE, write_text
from restar_lib.settings import PROJECT_ROOT

RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "reliability.json"
CODE = ("restar_lib", "dags", "tests/faults")
WELL = "as undisturbed"

Notes = dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """The file, and the code that its trials are about."""

    path: Path
    code: str

    @contextmanager
    def trial(self, fault: str, case: str, number: int = 0) -> Iterator[Notes]:
        """Record what happens in the block; what it puts into the notes is kept. Skips what has ended well before."""
        key = {"fault": fault, "case": case, "number": number}
        if any(entry["outcome"] == WELL and key.items() <= entry.items() for entry in self._entries()):
            pytest.skip("ended well before, with the same code")
        notes: Notes = {}
        began, outcome = time.monotonic(), WELL
        try:
            yield notes
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"[:2000]
            raise
        finally:
            seconds = round(time.monotonic() - began, 1)
            self._write(key | notes | {"outcome": outcome, "seconds": seconds}, instead_of=key)

    def _entries(self) -> list[dict[str, Any]]:
        content = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        return list(content["trials"]) if content.get("code") == self.code else []

    def _write(self, entry: dict[str, Any], *, instead_of: dict[str, Any]) -> None:
        others = [one for one in self._entries() if not instead_of.items() <= one.items()]
        content = {
            "code": self.code,
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
            "trials": [*others, entry],
        }
        write_text(self.path, json.dumps(content, indent=1) + "\n", mode=READABLE)


def open_ledger() -> Ledger:
    """The ledger of this checkout."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return Ledger(RESULTS, digest.hexdigest()[:12])
