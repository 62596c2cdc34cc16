"""The local mail catcher: an SMTP server on loopback that keeps every mail as a file and sends none on.

`make run` starts it as `restar mail-catcher`, so that alert mails can be read without a mail server. Files are
`<time>-<number>.eml`, complete from the moment they are visible, readable by their owner alone. It relays nothing,
wants no login, and is not for production: there Airflow's SMTP connection names a real relay.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from restar_lib.atomic_files import write_bytes
from restar_lib.errors import EmbeddedError

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
MAX_BYTES = 10 * 2**20
Clock = Callable[[], datetime]


def run(*, port: int, folder: Path) -> None:
    """Catch mails until SIGTERM or SIGINT. Raises `EmbeddedError` where the port is taken."""
    # aiosmtpd logs every step of every session; one line a mail is enough.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with catching(folder, port=port) as listening:
        log.info("catching mails on %s:%d into %s", LOOPBACK, listening, folder)
        stop.wait()
    log.info("mail catcher stopped")


@contextmanager
def catching(folder: Path, *, port: int, clock: Clock = lambda: datetime.now(UTC)) -> Iterator[int]:
    """Catch mails into `folder` while the block runs; yields the port, which is a free one where `port` is 0."""
    from aiosmtpd.controller import Controller

    folder.mkdir(parents=True, exist_ok=True)
    listener = _listen(port)
    with listener:
        controller = Controller(
            MailHandler(folder, clock=clock),
            hostname=LOOPBACK,
            port=listener.getsockname()[1],
            server_kwargs={"data_size_limit": MAX_BYTES, "enable_SMTPUTF8": True, "ident": "Re*Star mail catcher"},
        )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


class MailHandler:
    """What aiosmtpd calls for each mail."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._numbers = count(1)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        """Store one mail, its envelope in front; where the disk is full, the sender has to try again."""
        try:
            path = self._store(envelope)
        except OSError as error:
            log.exception("a mail from %s could not be kept in %s", envelope.mail_from, self._folder)
            return f"452 cannot keep this mail now: {error.strerror}"
        log.info("mail from %s to %s kept as %s", envelope.mail_from, ", ".join(envelope.rcpt_tos), path.name)
        return "250 kept"

    def _store(self, envelope: Any) -> Path:
        path = self._folder / f"{self._clock():%Y%m%dT%H%M%S.%f}-{next(self._numbers):04d}.eml"
        sender = f"X-Envelope-From: {envelope.mail_from}\r\n"
        recipients = f"X-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n"
        write_bytes(path, (sender + recipients).encode() + envelope.content)  # may hold what others should not read
        return path


def _listen(port: int) -> socket.socket:
    """A socket that proves the port is free and, for port 0, finds one."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise EmbeddedError(
            f"the mail catcher cannot listen on port {port} ({error.strerror}): stop what listens there, or choose "
            "another with RESTAR_EMBEDDED__MAIL_PORT=<port> make run"
        ) from None
    return listener
