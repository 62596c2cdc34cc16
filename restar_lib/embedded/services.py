"""Which processes make up the embedded default, with which command and environment.

Airflow gets its four processes with LocalExecutor (`airflow standalone` neither restarts what dies nor ends what it
started). Everything binds loopback; the log servers of scheduler and triggerer, which cannot be bound, are off:
on one machine Airflow reads the log files themselves. All telemetry is off. It starts nothing.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from restar_lib.atomic_files import write_text
from restar_lib.embedded.feeds import AS_DELIVERED, Configuration
from restar_lib.embedded.supervisor import Service
from restar_lib.settings import EMBEDDED, ENV_PREFIX, PROJECT_ROOT, Settings, load, process_environment
from restar_lib.state_folder import Identity, Secrets, load_secrets
from restar_lib.store.embedded_postgres import AIRFLOW_DATABASE, DATABASE, MLFLOW_DATABASE, EmbeddedPostgres

ADMIN, LABELER = "admin", "labeler"
BIN = Path(sys.executable).parent

QUIET = {
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True, kw_only=True)
class EmbeddedInstallation:
    """One embedded installation: its settings, its secrets, its database server."""

    settings: Settings
    secrets: Secrets
    postgres: EmbeddedPostgres

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The installation in the state folder of `settings`; nothing is started."""
        secrets = load_secrets(settings.home)
        postgres = EmbeddedPostgres(home=settings.home, password=secrets.postgres_password)
        return cls(settings=settings, secrets=secrets, postgres=postgres)

    @property
    def settings_now(self) -> Settings:
        """Read again, with the layer that names this installation's database and source."""
        return load(environment=self.environment()).settings

    @property
    def logs(self) -> Path:
        """Logs of the services."""
        return self.settings.home / "logs"

    @property
    def status_file(self) -> Path:
        """Where the supervisor says what runs."""
        return self.settings.home / "run" / "services.json"

    @property
    def airflow_url(self) -> str:
        """Airflow's UI and API."""
        return f"http://127.0.0.1:{self.settings.embedded.airflow_port}"

    @property
    def serving_url(self) -> str:
        """The HTTP API."""
        return f"http://127.0.0.1:{self.settings.serving.port}"

    @property
    def _overlay(self) -> Path:
        return self.settings.home / EMBEDDED

    def write_overlay(self, identity: Identity, configuration: Configuration) -> None:
        """Write `embedded.yaml`, the configuration layer that every process of this installation reads."""
        overlay = {
            "profile": self.settings.profile,
            "database": {
                "url": self.postgres.url(DATABASE),
                "mlflow_url": self.postgres.url(MLFLOW_DATABASE),
            },
            # The ports too: commands in another terminal find every service, and this state folder keeps its ports.
            "embedded": {
                "airflow_port": self.settings.embedded.airflow_port,
                "mail_port": self.settings.embedded.mail_port,
            },
            "serving": {"url": self.serving_url, "port": self.settings.serving.port},
            "orchestration": {"airflow_url": self.airflow_url, "start_date": identity.since.isoformat()},
        }
        write_text(self._overlay, yaml.safe_dump(overlay | configuration))

    def write_airflow_passwords(self) -> None:
        """Write the file that Airflow's SimpleAuthManager reads; it would otherwise print passwords of its own."""
        passwords = {ADMIN: self.secrets.airflow_password, LABELER: self.secrets.labeler_password}
        write_text(self._passwords_file, json.dumps(passwords) + "\n")

    @property
    def _passwords_file(self) -> Path:
        return self.settings.home / "airflow" / "passwords.json"

    def environment(self) -> dict[str, str]:
        """Environment of every service and of every `airflow` command."""
        settings, home = self.settings, self.settings.home
        airflow = {
            "CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
            "CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__FERNET_KEY": self.secrets.fernet_key,
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{LABELER}:viewer",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            "DATABASE__SQL_ALCHEMY_CONN": self.postgres.url(AIRFLOW_DATABASE, driver="postgresql+psycopg2"),
            "API__HOST": "127.0.0.1",
            "API__PORT": str(settings.embedded.airflow_port),
            "API__BASE_URL": self.airflow_url,
            "API__WORKERS": "1",
            "API__SECRET_KEY": self.secrets.api_secret_key,
            "API_AUTH__JWT_SECRET": self.secrets.jwt_secret,
            "LOGGING__BASE_LOG_FOLDER": str(self.logs / "airflow"),
            # A killed task is noticed within a minute instead of five.
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        }
        return (
            self._inherited()
            | QUIET
            | {f"AIRFLOW__{key}": value for key, value in airflow.items()}
            | {
                "AIRFLOW_HOME": str(home / "airflow"),
                "AIRFLOW_CONN_RESTAR_SMTP": json.dumps(self._smtp_connection()),
                "RESTAR_HOME": str(home),
                "RESTAR_PROFILE": settings.profile,
                "PATH": f"{BIN}:{process_environment().get('PATH', '')}",
                "PYTHONUNBUFFERED": "1",
                # Torch's threads wait by spinning, which on few busy cores makes training many times slower.
                "OMP_WAIT_POLICY": "PASSIVE",
            }
        )

    def _inherited(self) -> dict[str, str]:
        """The environment, without what it says of the files of `REVIEWS` where a replay delivers them."""
        written = self._overlay
        overlay = yaml.safe_load(written.read_text(encoding="utf-8")) if written.exists() else {}
        replayed = AS_DELIVERED.keys() & overlay.get("source", {}).keys()
        of_the_input = {f"{ENV_PREFIX}SOURCE__{key.upper()}" for key in replayed}
        return {name: value for name, value in process_environment().items() if name not in of_the_input}

    def _smtp_connection(self) -> dict[str, object]:
        return {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": self.settings.embedded.mail_port,
            "extra": {"disable_tls": True, "disable_ssl": True, "from_email": self.settings.mail.sender},
        }

    def others(self) -> list[Service]:
        """All services but PostgreSQL, in the order in which they start; they stop the other way round."""
        return [*self._airflow(), self._ours("serving", "serve"), self._ours("mail", "mail-catcher")]

    def database_server(self) -> Service:
        """PostgreSQL: it must answer, and be migrated, before the others start."""
        return Service(
            name="postgres",
            command=tuple(self.postgres.command()),
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            log_file=str(self.logs / "postgres.log"),
            user=self.postgres.user,
            stop_signal=signal.SIGINT,  # "fast" shutdown: open sessions are ended, nothing committed is lost
        )

    def _airflow(self) -> Iterable[Service]:
        commands = {
            "airflow-api": ("api-server",),
            "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
            "airflow-dag-processor": ("dag-processor",),
            "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
        }
        for name, arguments in commands.items():
            yield self._service(name, (str(BIN / "airflow"), *arguments))

    def _ours(self, name: str, command: str) -> Service:
        return self._service(name, (str(BIN / "restar"), command))

    def _service(self, name: str, command: tuple[str, ...]) -> Service:
        return Service(
            name=name,
            command=command,
            environment=self.environment(),
            log_file=str(self.logs / f"{name}.log"),
            cwd=str(self.settings.home),
        )
