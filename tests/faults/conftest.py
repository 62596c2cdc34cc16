"""`story`: told once a session, and every trial begins in a copy of one of its chapters. `ledger`: how trials ended."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests.faults.ledger import Ledger, open_ledger
from tests.faults.story import Story


@pytest.fixture(scope="session")
def story(postgres: EmbeddedPostgres) -> Iterator[Story]:
    """Chapters are told when a test first asks for them."""
    with tempfile.TemporaryDirectory(prefix="restar-faults-") as folder:
        yield Story(server=postgres, folder=Path(folder))


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    """Where the long tests record what they tried."""
    return open_ledger()
