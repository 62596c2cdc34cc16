"""One fine-tuning by several processes on this machine, one a device; `accelerate` divides every batch among them.

Each process is a fresh interpreter that reads the job from a folder: a fork would inherit torch's threads and half of
CUDA (accelerate's own launchers fork), and below a Celery worker, which is daemonic, `multiprocessing` starts nothing.
They meet through a file and communicate over the loopback interface. All run `fine_tuning.learn.learn`; only process 0
writes checkpoints, reports progress, and saves the result.

A failure of one ends all and is raised here; and they end with this process, however it ends. Not for several machines.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from restar_lib.atomic_files import write_text
from restar_lib.child_process import MemoryKills, end_with_parent, kills_for_memory
from restar_lib.errors import KilledForMemory, WorkLost
from restar_lib.settings import TrainingSettings
from restar_lib.training.fine_tuning.job import FineTuningJob, History
from restar_lib.training.network import Progress, SentimentModel, load_weights, save_weights

log = logging.getLogger(__name__)

FOLDER: Final = "processes"
"""In the folder of checkpoints, while the processes run."""
START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from restar_lib.training.fine_tuning.multi_device import join_training; join_training(*sys.argv[2:])"
)
LEARNED: Final = "learned"
HISTORY: Final = "history.json"
PROGRESS: Final = "progress.txt"
PAUSE: Final = 0.1
"""Seconds between two looks at the processes."""
LAST_WORDS: Final = 4000
"""Characters of a failed process's output that are logged."""
AFTERWARDS: Final = "run it again: it goes on from its last checkpoint"


def processes_for(config: TrainingSettings, *, devices: int) -> int:
    """The most processes, at most one a device, that can share a batch equally."""
    return max(count for count in range(1, max(devices, 1) + 1) if config.batch_size % count == 0)


def learn_on_devices(model: SentimentModel, job: FineTuningJob, *, processes: int, progress: Progress) -> History:
    """`learn` by several processes; `model` has the weights of the best state afterwards.

    Raises `WorkLost` with the message of the process that failed first.
    """
    folder = job.checkpoints.absolute() / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of a try that was killed
    (folder / LEARNED).mkdir(parents=True)
    team: list[subprocess.Popen[bytes]] = []
    before = kills_for_memory()
    try:
        save_weights(model, folder)
        job.write(folder)
        share = job.config.batch_size // processes
        progress(f"fine-tuning by {processes} processes, each with {share} rows of every batch")
        team.extend(_start(folder, rank=rank, processes=processes) for rank in range(processes))
        _follow(team, folder, before=before, progress=progress)
        load_weights(model, folder / LEARNED)
        history: History = json.loads((folder / LEARNED / HISTORY).read_text(encoding="utf-8"))
    finally:
        for process in team:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return history


def join_training(folder: str, rank: str, processes: str, parent: str) -> None:
    """The whole life of one of the processes."""
    if not end_with_parent(int(parent)):
        sys.exit(1)
    try:
        _learn_a_share(Path(folder), rank=int(rank), processes=int(processes))
    except Exception as error:
        write_text(Path(folder) / f"failed-{rank}.txt", f"{type(error).__name__}: {error}")
        raise


def _learn_a_share(folder: Path, *, rank: int, processes: int) -> None:
    import torch
    from accelerate.utils import patch_environment

    # What `accelerate` asks the environment for; nothing of this training is heard outside this machine.
    place = {"rank": rank, "local_rank": rank, "world_size": processes, "local_world_size": processes}
    with patch_environment(**place, gloo_socket_ifname="lo", nccl_socket_ifname="lo"):
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(rank)
        torch.distributed.init_process_group(
            "nccl" if cuda else "gloo",
            store=torch.distributed.FileStore(str(folder / "meeting"), processes),
            rank=rank,
            world_size=processes,
        )
        _learn(folder, reports=rank == 0)
        torch.distributed.destroy_process_group()


def _learn(folder: Path, *, reports: bool) -> None:
    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.fine_tuning.learn import learn
    from restar_lib.training.network import load_model, load_tokenizer

    job = FineTuningJob.read(folder)
    encoder = find_encoder(job.config.encoder)
    model = load_model(encoder, pooled_layers=job.config.pooled_layers)
    load_weights(model, folder)
    tokenizer = load_tokenizer(encoder, max_tokens=job.config.max_tokens)

    def report(line: str) -> None:
        with (folder / PROGRESS).open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")

    history = learn(model, tokenizer, job, progress=report if reports else log.debug)
    if reports:
        save_weights(model.cpu(), folder / LEARNED)
        (folder / LEARNED / HISTORY).write_text(json.dumps(history), encoding="utf-8")


def _start(folder: Path, *, rank: int, processes: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", START, json.dumps(sys.path), str(folder), str(rank), str(processes)]
    with (folder / f"output-{rank}.txt").open("wb") as output:
        return subprocess.Popen(
            [*command, str(os.getpid())], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def _follow(team: Sequence[subprocess.Popen[bytes]], folder: Path, *, before: MemoryKills, progress: Progress) -> None:
    """Wait until process 0 has succeeded, forwarding its progress lines."""
    forwarded = 0
    while True:
        done = team[0].poll() == 0
        forwarded += _forward_progress(folder / PROGRESS, after=forwarded, progress=progress)
        if done:
            return
        _refuse_failure(team, folder, before=before)
        time.sleep(PAUSE)


def _forward_progress(file: Path, *, after: int, progress: Progress) -> int:
    """Forward the complete lines behind byte `after`; returns how many bytes they have."""
    if not file.is_file():
        return 0
    with file.open("rb") as lines:
        lines.seek(after)
        whole = lines.read().rpartition(b"\n")[0]
    for line in whole.decode().splitlines():
        progress(line)
    return len(whole) + 1 if whole else 0


def _refuse_failure(team: Sequence[subprocess.Popen[bytes]], folder: Path, *, before: MemoryKills) -> None:
    failed = sorted(folder.glob("failed-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    if not failed and not any(process.poll() for process in team):
        return
    time.sleep(PAUSE)  # the others complain of a killed one sooner than its end is known
    for rank, process in enumerate(team):
        if (process.poll() or 0) < 0:
            raise _killed(rank, team, before=before)
    # Whoever failed first is the reason, the others lost their partner.
    rank = int(failed[0].stem.rpartition("-")[2]) if failed else [bool(process.poll()) for process in team].index(True)
    output = (folder / f"output-{rank}.txt").read_text(encoding="utf-8", errors="replace")
    log.error("the last words of process %d:\n%s", rank, output[-LAST_WORDS:])
    said = failed[0].read_text(encoding="utf-8") if failed else f"ended with exit code {team[rank].returncode}"
    raise WorkLost(f"process {rank} of the {len(team)} that fine-tune failed: {said}; {AFTERWARDS}")


def _killed(rank: int, team: Sequence[subprocess.Popen[bytes]], *, before: MemoryKills) -> WorkLost:
    name = signal.Signals(-team[rank].returncode).name
    who = f"process {rank} of the {len(team)} that fine-tune"
    if kills_for_memory() != before:
        return KilledForMemory(f"{who} was killed, for memory most likely: lower training.batch_size; {AFTERWARDS}")
    return WorkLost(f"{who} ended by {name}, without a message; {AFTERWARDS}")
