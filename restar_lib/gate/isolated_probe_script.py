"""Load one model folder and answer its probe, in a process that holds nothing else: the script of `isolated_probe`.

Run by its path, `python restar_lib/gate/isolated_probe_script.py FOLDER`: as a module it would import the gate, and
with it a database driver. It imports the inference engine alone, as a serving process does, prints one JSON line, and
ends with 1 where the model does not load or does not answer as recorded. It does not verify the files
(`artifacts.model_loading` does, and the judge has called it): what is measured here is the model's own time and memory.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from restar_lib.errors import RestarError
from restar_lib.inference.engine import InferenceEngine

HEAVY = ("torch", "transformers", "datasets", "mlflow", "evidently", "pandas", "sklearn", "airflow", "sqlalchemy")


def main(folder: str) -> int:
    """Answer the probe; returns the exit code."""
    began = time.monotonic()
    try:
        model = InferenceEngine.load(Path(folder))
        model.probe()
    except RestarError as error:
        return _say(1, error=str(error))
    return _say(
        0,
        seconds=round(time.monotonic() - began, 2),
        megabytes=_most_memory() // 1024,
        heavy=[name for name in HEAVY if name in sys.modules],
    )


def _most_memory() -> int:
    """Most memory held so far, in KiB. Not `ru_maxrss`: that also remembers the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def _say(code: int, **found: object) -> int:
    sys.stdout.write(json.dumps(found) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
