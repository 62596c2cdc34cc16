"""Run docker-compose.yaml without Docker: `sudo .venv/bin/python scripts/production --home FOLDER up`.

For whoever has no container engine, and for us to see that the file works: every service's own command, environment,
secrets, host names, ports, volumes, health checks, order of start, restarts, memory limits and lost rights, each in
Linux namespaces of its own. The programs are this machine's (PostgreSQL from the wheel, Redis, HAProxy, Prometheus,
Alertmanager, msmtp from Debian); a service whose program is missing is left out and named. Published ports are on
loopback alone; there is no way out of the composition, so the hub cannot be reached. Not for production: it builds no
image, and it is only as isolated as described.

`up` runs until Ctrl-C; `status` says what runs; `turn` turns the loop once on it, with simulated reviews; `exec SERVICE
COMMAND...` runs a command inside. With `--docker`, `turn` does the same on a composition that Docker Compose runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from compose import Composition, Unreadable, read, read_answers
from engine import DockerCompose
from names_and_ports import answer_names, forward
from namespaces import GATEWAY
from native_engine import NativeEngine
from turn import Turn

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    """Translate errors to exit codes."""
    try:
        return run(_arguments())
    except (Unreadable, OSError) as error:
        print(f"production: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(arguments: argparse.Namespace) -> int:
    """Do what the verb says; those below `exec` are how this program starts itself again inside."""
    answers, override = arguments.answers.resolve(), arguments.override
    native = NativeEngine(
        composition=read(ROOT / "docker-compose.yaml", read_answers(answers), override=override),
        home=arguments.home.resolve(),
        answers=answers,
        override=override and override.resolve(),
    )
    words = arguments.words
    verbs: dict[str, Callable[[], int | None]] = {
        "up": lambda: up(native),
        "status": native.print_status,
        "turn": lambda: Turn(_docker(native) if arguments.docker else native).run(),
        "exec": lambda: native.execute(words[0], words[1:]),
        "inside": lambda: native.run(json.loads(words[0])),
        "contain": lambda: native.contain(words[0]),
        "forward": lambda: asyncio.run(forward(socket.socket(fileno=int(words[0])), words[1], int(words[2]))),
        "names": lambda: answer_names(GATEWAY, native.network.addresses),
    }
    return verbs[arguments.verb]() or 0


def _docker(native: NativeEngine) -> DockerCompose:
    """The same composition, run by Docker Compose: what it publishes is known from the file."""
    services = native.composition.services.values()
    return DockerCompose(home=native.home, published={one.name: one.ports[0][1] for one in services if one.ports})


def up(native: NativeEngine) -> int:
    """Open what is published, write missing secrets, and go on in namespaces of our own."""
    if os.geteuid() != 0 or sys.platform != "linux":
        raise Unreadable("namespaces of network and mounts need Linux and root: use sudo, or Docker")
    native.home.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "scripts" / "secrets", native.secrets], check=True)
    listeners = _listen(native.composition)
    words = [
        "unshare", "--mount", "--net", "--propagation", "private", *native.ourselves("inside", json.dumps(listeners)),
    ]  # fmt: skip
    os.execvp(words[0], words)


def _listen(composition: Composition) -> list[tuple[int, str, int]]:
    """Descriptor, service and port inside of every published port; a socket stays in the namespace that made it."""
    opened = []
    for service in composition.services.values():
        for address, published, inside in service.ports:
            descriptor = socket.create_server((address, published)).detach()
            os.set_inheritable(descriptor, True)
            opened.append((descriptor, service.name, inside))
    return opened


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/production", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["up", "status", "turn", "exec", "inside", "contain", "forward", "names"])
    parser.add_argument("--home", type=Path, required=True, help="state: volumes, secrets, logs")
    parser.add_argument("--answers", type=Path, default=ROOT / ".env", help="what .env says; see include/production")
    parser.add_argument("--override", type=Path, help="a docker-compose.override.yaml that adds environment")
    parser.add_argument("--docker", action="store_true", help="turn: on what `docker compose up` has started")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="exec: the service and the command")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
