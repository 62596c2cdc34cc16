"""Cleaning in processes of their own: the same results in the same order, and nobody is left behind."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice

import psutil
import pytest

from restar_lib.ingest.chunks import Chunk
from restar_lib.ingest.cleaning.copy_lines import CleaningOptions, clean_rows
from restar_lib.ingest.cleaning_pool import CleaningPool
from restar_lib.ingest.sources.simulated import SimulatedSource
from restar_lib.settings import Settings

CHUNK = 50


def options_of(settings: Settings) -> CleaningOptions:
    return CleaningOptions(source="simulated", ingest=settings.ingest, dataset=settings.dataset)


def chunks_of(settings: Settings, number: int) -> list[Chunk]:
    rows = SimulatedSource(name="simulated", config=settings.simulated).rows(None)
    return [Chunk(version_before=0, rows=list(islice(rows, CHUNK)), ended=False) for _ in range(number)]


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "restar_lib.ingest.cleaning_pool" in one.cmdline()]


def once_up(chunks: list[Chunk], cleaners: CleaningPool) -> Iterator[Chunk]:
    """The chunks, the third and later ones after the processes have come up."""
    for number, chunk in enumerate(chunks):
        deadline = time.monotonic() + 30
        while number == 2 and not all(one.is_up for one in cleaners.started) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield chunk


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_chunks_come_out_in_order_as_if_cleaned_here(smoke: Settings, processes: int) -> None:
    """However many processes there are, every chunk has the results that this process would have got."""
    options, chunks = options_of(smoke), chunks_of(smoke, 8)
    with CleaningPool(options, processes=processes, rows_before_processes=CHUNK) as cleaners:
        found = list(cleaners.cleaned(once_up(chunks, cleaners)))
        assert len(cleaners.started) == processes
    assert found == [(chunk, clean_rows(chunk.for_cleaning, options)) for chunk in chunks]
    assert not children()


def test_a_small_run_starts_no_process(smoke: Settings) -> None:
    """Processes take longer to come up than a few rows to clean."""
    with CleaningPool(options_of(smoke), processes=2, rows_before_processes=8 * CHUNK) as cleaners:
        for _ in cleaners.cleaned(iter(chunks_of(smoke, 8))):
            assert not children()


def test_the_chunk_of_a_cleaner_that_died_is_cleaned_here(smoke: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Killed by the system for memory, say: no row is missing, the log says it, and no other process is started."""
    options, chunks = options_of(smoke), chunks_of(smoke, 8)
    found = []
    with CleaningPool(options, processes=2, rows_before_processes=0) as cleaners, caplog.at_level(logging.WARNING):
        for number, done in enumerate(cleaners.cleaned(once_up(chunks, cleaners))):
            found.append(done)
            if number == 3:
                for process in children():
                    process.kill()
    assert found == [(chunk, clean_rows(chunk.for_cleaning, options)) for chunk in chunks]
    assert "has died" in caplog.text


def test_who_breaks_off_and_begins_again_gets_no_old_answer(smoke: Settings) -> None:
    """As a run does that was overtaken by another: what was on its way is thrown away."""
    options, chunks = options_of(smoke), chunks_of(smoke, 6)
    with CleaningPool(options, processes=2, rows_before_processes=0) as cleaners:
        running: Iterator[object] = cleaners.cleaned(once_up(chunks, cleaners))
        for _ in range(3):
            next(running)
        del running
        again = list(cleaners.cleaned(iter(chunks[3:])))
    assert again == [(chunk, clean_rows(chunk.for_cleaning, options)) for chunk in chunks[3:]]


HOLDS_A_CLEANER = """
import sys, time
from restar_lib.ingest.cleaning_pool import CleaningProcess
from restar_lib.ingest.cleaning.copy_lines import CleaningOptions
from restar_lib.settings.sections import DatasetSettings, IngestSettings
cleaner = CleaningProcess(CleaningOptions(source="s", ingest=IngestSettings(), dataset=DatasetSettings()))
cleaner.send(["malformed"])
cleaner.result()
print(cleaner.process.pid, flush=True)
time.sleep(60)
"""


def test_a_cleaner_ends_with_the_process_that_started_it() -> None:
    """Even where that one is killed and can say nothing."""
    parent = subprocess.Popen([sys.executable, "-c", HOLDS_A_CLEANER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    cleaner = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while cleaner.is_running() and cleaner.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not cleaner.is_running() or cleaner.status() == psutil.STATUS_ZOMBIE
