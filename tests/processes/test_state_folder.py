"""The state folder of `make run`: secrets, the source it belongs to, the lock, and what stops a start in one line."""

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from restar_lib.errors import EmbeddedError, SourceError
from restar_lib.state_folder import check_ports, claim_identity, load_secrets, runner_lock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOLD = "import sys; from pathlib import Path; from restar_lib.state_folder import runner_lock\n"


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    """The second start finds the same passwords; two folders share none."""
    first = load_secrets(tmp_path / "a")
    assert load_secrets(tmp_path / "a") == first
    assert not set(vars(load_secrets(tmp_path / "b")).values()) & set(vars(first).values())
    assert (tmp_path / "a" / "secrets.json").stat().st_mode & 0o077 == 0


def test_a_state_folder_belongs_to_one_source(tmp_path: Path) -> None:
    """Another source is refused with the way out, and the folder stays with the first one, since its first day."""
    claim_identity(tmp_path, source="simulated:simulated", now=NOW)
    with pytest.raises(SourceError, match="make reset"):
        claim_identity(tmp_path, source="files:beauty", now=NOW)
    assert claim_identity(tmp_path, source="simulated:simulated", now=datetime.now(UTC)).since == NOW


def test_a_second_run_is_told_who_has_the_folder(tmp_path: Path) -> None:
    """The holder's pid stands in the message; the kernel frees the lock of a killed holder."""
    code = f"{HOLD}with runner_lock(Path({str(tmp_path)!r})):\n print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(EmbeddedError, match=f"pid {holder.pid}"), runner_lock(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with runner_lock(tmp_path):
        assert int((tmp_path / "runner.lock").read_text()) > 0


def test_a_port_in_use_is_named_with_the_variable_that_moves_it() -> None:
    """One line says which port, and how to choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=rf"port {port} is in use.*RESTAR_EMBEDDED__AIRFLOW_PORT"):
            check_ports({"embedded.airflow_port": port})


def test_a_damaged_identity_is_not_taken_over(tmp_path: Path) -> None:
    """A state file that is no JSON stops the start instead of being overwritten."""
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(json.JSONDecodeError):
        claim_identity(tmp_path, source="simulated:simulated", now=NOW)
    assert (tmp_path / "state.json").read_text() == "{"
