"""Who may import what: each rule is checked by importing for real in a fresh interpreter."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import restar_lib

PACKAGE = Path(restar_lib.__file__).parent
HEAVY = {"torch", "transformers", "datasets", "evidently", "mlflow", "pandas"}
MAY_IMPORT_AIRFLOW = ("orchestration", "desk/auth.py")


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that are loaded once `statement` has run in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import restar_lib", "import restar_lib.cli", "import restar_lib.settings"])
def test_importing_the_package_loads_no_airflow_and_nothing_heavy(statement: str) -> None:
    """The package, its command line and its settings come without Airflow and without heavy libraries."""
    assert not loaded_after(statement) & (HEAVY | {"airflow"})


def test_serving_starts_with_the_inference_engine_and_http_alone() -> None:
    """A serving process loads no Airflow, no MLflow, no Evidently, no training code, and no database driver."""
    loaded = loaded_after("import restar_lib.serving.api")
    assert not loaded & (HEAVY | {"airflow", "sklearn", "psycopg", "sqlalchemy"})
    assert "onnxruntime" in loaded


def test_the_engine_and_the_metrics_need_no_training_code() -> None:
    """Importing the inference engine and the metrics imports neither scikit-learn, Airflow nor anything heavy."""
    statement = "import restar_lib.inference.engine, restar_lib.evaluation.metrics"
    assert not loaded_after(statement) & (HEAVY | {"airflow", "sklearn"})


def test_scoring_loads_no_torch() -> None:
    """Batch scoring runs on ONNX Runtime."""
    assert not loaded_after("import restar_lib.scoring.batch, restar_lib.inference.engine") & (HEAVY | {"airflow"})


def test_only_orchestration_and_the_desks_login_import_airflow() -> None:
    """`restar_lib` knows nothing of Airflow but in two named places."""
    guilty = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "airflow" in imported_by(path) and not str(path.relative_to(PACKAGE)).startswith(MAY_IMPORT_AIRFLOW)
    ]
    assert guilty == [], "move what needs Airflow into restar_lib/orchestration"


def test_only_settings_reads_the_environment() -> None:
    """`os.environ` and `os.getenv` stand in settings.py and nowhere else."""
    guilty = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "settings" and ("os.environ" in path.read_text() or "getenv" in path.read_text())
    ]
    assert guilty == [], "make it a key in settings/sections.py"


def test_every_package_is_imported_by_name() -> None:
    """The rules above see all of the package: no folder without an `__init__.py`."""
    named = {info.name for info in pkgutil.iter_modules([str(PACKAGE)]) if info.ispkg}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert named == folders


def imported_by(path: Path) -> set[str]:
    """Top-level names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names
