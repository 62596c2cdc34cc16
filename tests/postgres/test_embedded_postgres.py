"""The embedded server: who may connect, and where it lives when root's checkout is private."""

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from restar_lib.store.embedded_postgres import EmbeddedPostgres


def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    """Local logins are not trusted."""
    stranger = EmbeddedPostgres(home=postgres.home, password="not this one")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        stranger.connect("postgres")


def test_it_listens_on_no_network_address(postgres: EmbeddedPostgres) -> None:
    """Only the Unix socket, in a folder that its owner alone may enter."""
    with postgres.connect("postgres") as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
    assert postgres.socket_folder.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_under_root_a_private_folder_moves_the_server_outside(tmp_path: Path) -> None:
    """A 0700 parent is left as it is; the server starts from a copy that `nobody` can reach, and is removed with it."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(home=private / "var", password="only for this test")
    try:
        server.prepare()
        assert server.is_outside
        process = subprocess.Popen(server.command(), user=server.user, cwd="/", stderr=subprocess.DEVNULL)
        try:
            server.wait_ready()
        finally:
            process.terminate()
            process.wait(20)
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        server.remove()
    assert not server.server_folder.exists()
