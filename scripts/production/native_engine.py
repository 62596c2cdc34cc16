"""The whole composition, running: containers in the order of their dependencies, watched, restarted, ended together.

Starting again what dies is the embedded supervisor's work; asking health checks and waiting for dependencies is ours.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from compose import Composition, HealthCheck, Service
from images import ALIASES, BIN, PROJECT, ROOT, Image, image_of, missing
from namespaces import GATEWAY, Bind, Container, Network, contain, entering, forget_limits

from restar_lib.embedded.supervisor import Service as Supervised
from restar_lib.embedded.supervisor import service_line
from restar_lib.settings import process_environment

HERE = Path(__file__).resolve().parent
TICK_SECONDS = 1.0
STOP_SIGNALS = {"postgres": signal.SIGINT, "haproxy": signal.SIGUSR1}
"""As the images say; "smart" shutdown of PostgreSQL would wait for its clients."""
MAIL_PORT = 8026
ALIASES_AT = "/opt/aliases"


@dataclass(frozen=True, kw_only=True)
class NativeEngine:
    """One composition in one folder."""

    composition: Composition
    home: Path
    answers: Path
    override: Path | None

    @property
    def secrets(self) -> Path:
        """Stands in for ./secrets."""
        return self.home / "secrets"

    @property
    def status_file(self) -> Path:
        """Where the supervisor says what runs."""
        return self.home / "services.json"

    @cached_property
    def network(self) -> Network:
        """Addresses of all services."""
        return Network(self.composition.services)

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Services without a program here, and the program."""
        found = ((service.name, missing(service)) for service in self.composition.services.values())
        return {name: program for name, program in found if program}

    def url(self, service: str) -> str:
        """Address on this machine of a service that publishes a port."""
        return f"http://127.0.0.1:{self.composition.services[service].ports[0][1]}"

    # --- running

    def run(self, listeners: list[tuple[int, str, int]]) -> int:
        """Start everything, keep it running until SIGTERM or Ctrl-C, end everything."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.network.build()
        for name, program in self.left_out.items():
            print(f"{name}: left out, there is no {program} on this machine", flush=True)
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        with (self.home / "logs" / "supervisor.log").open("ab") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "restar_lib.embedded.supervisor", str(self.status_file)],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self._start_network(supervisor, listeners)
            self._start_all(supervisor)
            self._watch(supervisor)
        except KeyboardInterrupt:
            print("stopping", flush=True)
        finally:
            if supervisor.stdin is not None:
                supervisor.stdin.close()
            supervisor.wait()
            forget_limits(self.composition.services)
        return 0

    def _start_network(self, supervisor: subprocess.Popen[bytes], listeners: list[tuple[int, str, int]]) -> None:
        self._add(supervisor, "names", (*self.ourselves("names"),))
        for descriptor, name, port in listeners:
            if name not in self.left_out:
                self._forward(descriptor, self.network.addresses[name], port)
        aliases = self.home / "aliases"
        aliases.mkdir(exist_ok=True)
        for name, program in ALIASES.items():
            found = shutil.which(program)
            if found and not (aliases / name).exists():
                (aliases / name).symlink_to(found)
        self._start_mail_server(supervisor)

    def _start_mail_server(self, supervisor: subprocess.Popen[bytes]) -> None:
        """The mail server of the world outside: the project's catcher behind the name that SMTP_HOST gives."""
        port = int(self.composition.services["mail-relay"].environment["SMTP_PORT"])
        environment = {"RESTAR_HOME": str(self.home / "outside"), "RESTAR_EMBEDDED__MAIL_PORT": str(MAIL_PORT)}
        self._add(supervisor, "outside-mail", (str(BIN / "restar"), "mail-catcher"), environment)
        listener = socket.create_server((GATEWAY, port))
        self._forward(listener.fileno(), "127.0.0.1", MAIL_PORT)

    def _forward(self, descriptor: int, address: str, port: int) -> None:
        # It ends with us, however we end.
        words = ("setpriv", "--pdeathsig", "TERM", *self.ourselves("forward", str(descriptor), address, str(port)))
        subprocess.Popen(words, pass_fds=[descriptor])

    def _start_all(self, supervisor: subprocess.Popen[bytes]) -> None:
        waiting = {name: one for name, one in self.composition.services.items() if name not in self.left_out}
        done: set[str] = set()
        started: set[str] = set()
        while waiting:
            for name, service in list(waiting.items()):
                if all(self._holds(other, condition, started, done) for other, condition in service.after.items()):
                    del waiting[name]
                    started.add(name)
                    self._start(supervisor, service, done)
            time.sleep(TICK_SECONDS)

    def _start(self, supervisor: subprocess.Popen[bytes], service: Service, done: set[str]) -> None:
        if service.stays:
            print(f"{service.name}: starting", flush=True)
            self._add(
                supervisor,
                service.name,
                self._containing(service.name),
                stop_signal=STOP_SIGNALS.get(self._kind(service), signal.SIGTERM),
            )
            return
        print(f"{service.name}: running", flush=True)
        began = time.monotonic()
        with (self.home / "logs" / f"{service.name}.log").open("ab") as log:
            code = subprocess.run(self._containing(service.name), stdout=log, stderr=log, check=False).returncode
        if code != 0:
            raise OSError(f"{service.name} ended with code {code}: see {self.home}/logs/{service.name}.log")
        print(f"{service.name}: done in {time.monotonic() - began:.0f} s", flush=True)
        done.add(service.name)

    def _holds(self, other: str, condition: str, started: set[str], done: set[str]) -> bool:
        if condition == "service_completed_successfully":
            return other in done
        if condition == "service_started":
            return other in started or other in self.left_out
        return other in started and self.is_healthy(other)

    def _watch(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Say once of each service that it is well, and whenever that changes."""
        said: dict[str, bool] = {}
        asked: dict[str, float] = {}
        while supervisor.poll() is None:
            for service in self.composition.services.values():
                if service.health is None or service.name in self.left_out:
                    continue
                pause = service.health.interval if said.get(service.name) else min(10.0, service.health.interval)
                if time.monotonic() - asked.get(service.name, -1e9) < pause:
                    continue
                asked[service.name] = time.monotonic()
                healthy = self.is_healthy(service.name)
                if said.get(service.name, False) != healthy:
                    said[service.name] = healthy
                    print(
                        f"{time.strftime('%H:%M:%S')} {service.name}: {'healthy' if healthy else 'NOT healthy'}",
                        flush=True,
                    )
            time.sleep(TICK_SECONDS)

    # --- one container

    def is_healthy(self, name: str) -> bool:
        """Whether its health check says so now."""
        service = self.composition.services[name]
        check = service.health
        if check is None:
            return True
        return self._ask(name, check) == 0

    def _ask(self, name: str, check: HealthCheck) -> int:
        try:
            return self.execute(name, list(check.test), timeout=check.timeout, quiet=True)
        except subprocess.TimeoutExpired:
            return 1

    def execute(self, name: str, words: list[str], *, timeout: float | None = None, quiet: bool = False) -> int:
        """Run a command in the namespaces of a running container; its exit code, 1 where it does not run."""
        output = subprocess.DEVNULL if quiet else None
        command = self._inside(name, words)
        if command is None:
            return 1
        environment = self._container(self.composition.services[name]).environment
        return subprocess.run(
            command, env=dict(environment), timeout=timeout, stdin=subprocess.DEVNULL if quiet else None,
            stdout=output, stderr=output, check=False,
        ).returncode  # fmt: skip

    def query(self, statement: str) -> str:
        """The one value that a statement finds in Re*Star's database."""
        url = (self.secrets / "restar_database_url").read_text(encoding="utf-8").replace("+psycopg", "")
        command = self._inside("postgres", ["psql", "--no-psqlrc", "-At", "-c", statement, url.strip()])
        if command is None:
            raise OSError("postgres is not running")
        environment = self._container(self.composition.services["postgres"]).environment
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def _inside(self, name: str, words: list[str]) -> list[str] | None:
        pid = self.pids().get(name)
        if pid is None:
            return None
        user = str(self._image(self.composition.services[name]).user)
        enter = ["nsenter", "--target", str(pid), "--mount", "--net", "--uts", "--root", "--wd"]
        return [*enter, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *words]

    def pids(self) -> dict[str, int]:
        """Service -> its process; what does not run is not there."""
        try:
            rows = json.loads(self.status_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {row["name"]: row["pid"] for row in rows if row["pid"]}

    def print_status(self) -> int:
        """A line for each service."""
        rows = json.loads(self.status_file.read_text(encoding="utf-8")) if self.status_file.exists() else []
        for row in rows:
            print(f"{row['name']}: pid {row['pid']}, {row['restarts']} restarts {row['last_exit']}")
        return 0 if rows else 1

    def contain(self, name: str) -> int:
        """Become the service. Returns only where that fails."""
        contain(self._container(self.composition.services[name]))
        return 1

    def _container(self, service: Service) -> Container:
        image = self._image(service)
        scratch = self.home / "scratch" / service.name
        entrypoint = service.entrypoint or image.entrypoint
        return Container(
            name=service.name,
            hostname=service.hostname,
            hosts=self.network.addresses | {self.composition.services["mail-relay"].environment["SMTP_HOST"]: GATEWAY},
            binds=(
                Bind(source=self.home / "aliases", target=ALIASES_AT, read_only=True),
                *self._volumes(service, image),
                *self._secrets(service),
            ),
            programs=(ROOT, Path(sys.base_prefix)),
            empty=(*service.tmpfs, *image.empty),
            command=(*entrypoint, *(service.command or image.command)),
            environment=self._environment(service, image),
            workdir=image.workdir,
            user=image.user,
            memory=service.memory,
            scratch=scratch,
        )

    def _image(self, service: Service) -> Image:
        built = {one.image.partition(":")[0]: one.target for one in self.composition.services.values() if one.target}
        return image_of(service, built)

    def _kind(self, service: Service) -> str:
        return service.image.partition(":")[0]

    def _environment(self, service: Service, image: Image) -> dict[str, str]:
        own = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": image.home}
        merged = own | dict(image.environment) | dict(service.environment) | {"HOSTNAME": service.hostname}
        return merged | {"PATH": f"{merged['PATH']}:{ALIASES_AT}"}

    def _volumes(self, service: Service, image: Image) -> list[Bind]:
        binds = [Bind(source=ROOT, target=PROJECT, read_only=True)] if image.holds_project else []
        for mount in service.mounts:
            if mount.source in self.composition.volumes:
                source = self.home / "volumes" / mount.source
                if not source.exists():
                    source.mkdir(parents=True)
                    os.chown(source, image.user, image.user)
            else:
                source = (ROOT / mount.source).resolve()
            binds.append(Bind(source=source, target=mount.target, read_only=mount.read_only))
        return binds

    def _secrets(self, service: Service) -> list[Bind]:
        return [
            Bind(source=self.secrets / name, target=f"/run/secrets/{name}", read_only=True) for name in service.secrets
        ]

    # --- how processes are started

    def _containing(self, name: str) -> tuple[str, ...]:
        return (*entering(name), *self.ourselves("contain", name))

    def ourselves(self, verb: str, *words: str) -> tuple[str, ...]:
        """This program, started again."""
        given = ["--home", str(self.home), "--answers", str(self.answers)]
        if self.override is not None:
            given += ["--override", str(self.override)]
        return (sys.executable, str(HERE), *given, verb, *words)

    def _add(
        self,
        supervisor: subprocess.Popen[bytes],
        name: str,
        command: tuple[str, ...],
        environment: dict[str, str] | None = None,
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        line = service_line(
            Supervised(
                name=name,
                command=command,
                environment=process_environment() | (environment or {}),
                log_file=str(self.home / "logs" / f"{name}.log"),
                cwd=str(ROOT),
                stop_signal=stop_signal,
            )
        )
        if supervisor.stdin is None:
            raise OSError("the supervisor has no input")
        supervisor.stdin.write(line)
        supervisor.stdin.flush()
