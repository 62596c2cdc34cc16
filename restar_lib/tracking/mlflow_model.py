"""A version as an MLflow model: `mlflow.pyfunc.load_model("models:/restar@champion").predict(["a text", ...])`.

What lies in MLflow is one small file that describes the model: its inputs and outputs, and where the sealed folder is.
MLflow's loader calls `_load_pyfunc` here, which opens that folder with the engine that also serves. So nothing is
pickled, no weights are kept twice, and the answers are those of `POST /predict`. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.model_loading import load_verified
from restar_lib.domain import SENTIMENTS
from restar_lib.errors import ArtifactError
from restar_lib.inference.abstaining import abstain_reasons
from restar_lib.inference.engine import InferenceEngine

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

DESCRIPTION: Final = "MLmodel"
LOADER: Final = "restar_lib.tracking.mlflow_model"


def signature() -> ModelSignature:
    """Texts in; sentiment, confidence, the three probabilities, whether it abstains, and expected stars out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    numbers = ["confidence", *SENTIMENTS, "stars"]
    outputs = [
        ColSpec(DataType.string, "sentiment"),
        *(ColSpec(DataType.double, str(name)) for name in numbers),
        ColSpec(DataType.boolean, "abstained"),
    ]
    return ModelSignature(inputs=Schema([ColSpec(DataType.string, "text")]), outputs=Schema(outputs))


def description(folder: Path, *, run_id: str, model_id: str) -> Model:
    """The MLflow model of a sealed folder; `save` it as `MLmodel`."""
    from mlflow.models import Model

    model = Model(
        artifact_path="model",
        run_id=run_id,
        model_id=model_id,
        signature=signature(),
        metadata={"model_version": folder.name, "artifact_folder": str(folder.resolve())},
    )
    return model.add_flavor("python_function", loader_module=LOADER)


class PythonModel:
    """What MLflow's `predict` calls."""

    def __init__(self, engine: InferenceEngine) -> None:
        self._engine = engine

    def predict(self, texts: Any, params: dict[str, Any] | None = None) -> Any:
        """A row for each text: a list of texts, or a table with a column `text`."""
        import pandas as pd

        del params
        rows: Iterable[Any] = texts["text"] if isinstance(texts, pd.DataFrame) else texts
        read = [str(text) for text in rows]
        found = self._engine.predict(read)
        reasons = abstain_reasons(self._engine, read, found)
        columns = {
            "sentiment": [str(sentiment) for sentiment in found.sentiments],
            "confidence": found.confidence,
            **{str(one): found.probabilities[:, one.position] for one in SENTIMENTS},
            "stars": self._engine.expected_stars(found.probabilities),
            "abstained": [reason is not None for reason in reasons],
        }
        return pd.DataFrame(columns)


def _load_pyfunc(path: str) -> PythonModel:
    """MLflow's hook: `path` is the folder with `MLmodel`.

    Raises `ArtifactError` where the model is not here or damaged, `ProbeFailed` where it does not answer as recorded.
    """
    from mlflow.models import Model

    metadata = Model.load(path).metadata or {}
    folder = Path(metadata["artifact_folder"])
    if not folder.is_dir():  # restored elsewhere, or another container
        from restar_lib.settings import settings

        folder = sealed_folder.locate(settings().models_dir, metadata["model_version"])
    if folder.name != metadata["model_version"]:
        raise ArtifactError(f"{path}: {folder} is not the folder of {metadata['model_version']}")
    return PythonModel(load_verified(folder))
