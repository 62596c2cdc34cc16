"""What production counts on in the packages that the embedded installation never imports."""

import subprocess
import sys


def test_the_executor_of_production_imports_with_the_pinned_packages() -> None:
    """A provider and a Celery that do not fit show up here, not at the first start of a scheduler."""
    statement = "from airflow.providers.celery.executors.celery_executor import CeleryExecutor; import redis"
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
