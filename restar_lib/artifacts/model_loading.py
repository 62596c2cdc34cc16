"""Opening a sealed model: the one way in which a version gets from its folder into a process that uses it.

Every file is read and compared with the manifest, the model is loaded, and it answers its recorded probe. So what
comes back is the version that its name says, and it works on this machine. It decides nothing about the version, keeps
nothing, and imports only what a serving process has. Called by the gate, the release, scoring, serving, `restar doctor`
and restore, `restar compare` and MLflow's loader.
"""

from __future__ import annotations

from pathlib import Path

from restar_lib.artifacts import sealed_folder
from restar_lib.inference.engine import InferenceEngine


def load_verified(folder: Path, *, threads: int = 0) -> InferenceEngine:
    """The model of a sealed folder, verified and probed; `threads` of one prediction, 0 lets the runtime choose.

    Raises `ArtifactError` naming the file that is missing or altered or cannot be loaded, `ProbeFailed` where an answer
    is not the recorded one.
    """
    sealed_folder.verify(folder)
    model = InferenceEngine.load(folder, threads=threads)
    model.probe()
    return model
