"""scripts/production: the compose file is read as Compose reads it, and a container is what it is said to be."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from restar_lib.settings import PROJECT_ROOT

SCRIPTS = PROJECT_ROOT / "scripts" / "production"
sys.path.insert(0, str(SCRIPTS))

import compose  # noqa: E402
import images  # noqa: E402
import names_and_ports  # noqa: E402

ANSWERS = {
    line.partition("=")[0]: line.partition("=")[2] or "answered"
    for line in (PROJECT_ROOT / "include" / "production" / "env.example").read_text().splitlines()
    if line and not line.startswith("#")
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${KNOWN}", "yes"),
        ("${EMPTY-default}", ""),
        ("${EMPTY:-default}", "default"),
        ("${UNKNOWN-default}", "default"),
        ("a ${KNOWN:-no} b ${KNOWN:?}", "a yes b yes"),
        ("$${KNOWN} $$1", "${KNOWN} $1"),
    ],
)
def test_answers_are_filled_in_as_compose_does(text: str, filled: str) -> None:
    """Defaults for unknown and, with a colon, for empty ones; two dollars are one."""
    assert compose.fill(text, {"KNOWN": "yes", "EMPTY": ""}) == filled


@pytest.mark.parametrize("answers", [{}, {"WHO": ""}])
def test_a_missing_answer_stops_by_name(answers: dict[str, str]) -> None:
    """The complaint is the one that stands in the file."""
    with pytest.raises(compose.Unreadable, match=r"WHO is missing in \.env: say who"):
        compose.fill("${WHO:?say who}", answers)


def test_what_is_not_understood_is_refused(tmp_path: Path) -> None:
    """A new key of Compose cannot be passed over silently."""
    (tmp_path / "docker-compose.yaml").write_text("services: {api: {image: x, privileged: true}}")
    with pytest.raises(compose.Unreadable, match="service api: privileged is not understood here"):
        compose.read(tmp_path / "docker-compose.yaml", {})


def test_an_override_adds_environment_and_nothing_else(tmp_path: Path) -> None:
    """One worker gets a key more; a service that is not there, or another field, is refused."""
    override = tmp_path / "override.yaml"
    override.write_text("services: {airflow-worker-1: {environment: {RESTAR_DATASET__MAX_ROWS: 800}}}")
    found = compose.read(PROJECT_ROOT / "docker-compose.yaml", ANSWERS, override=override).services
    assert found["airflow-worker-1"].environment["RESTAR_DATASET__MAX_ROWS"] == "800"
    assert "RESTAR_DATASET__MAX_ROWS" not in found["airflow-worker-2"].environment
    assert found["airflow-worker-1"].environment.keys() > found["airflow-worker-2"].environment.keys()
    override.write_text("services: {airflow-worker-1: {image: mine}}")
    with pytest.raises(compose.Unreadable, match="service airflow-worker-1: only the environment"):
        compose.read(PROJECT_ROOT / "docker-compose.yaml", ANSWERS, override=override)


def test_the_command_line_answers(tmp_path: Path) -> None:
    """Nothing runs in an empty folder: `status` says so by its exit code, and a missing answer by its name."""
    answers = tmp_path / "env"
    answers.write_text("".join(f"{name}={value}\n" for name, value in ANSWERS.items()))
    command = [sys.executable, SCRIPTS, "--home", tmp_path, "--answers", answers, "status"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    answers.write_text("")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "production: RESTAR_VERSION is missing in .env" in done.stderr


def test_our_file_is_understood_and_every_image_has_a_stand_in() -> None:
    """With the example's answers: two workers and two replicas, all of them without rights, each image with a program."""
    found = compose.read(PROJECT_ROOT / "docker-compose.yaml", ANSWERS)
    assert {"airflow-worker-1", "airflow-worker-2", "serving-1", "serving-2"} <= found.services.keys()
    stages = {one.image.partition(":")[0]: one.target for one in found.services.values() if one.target}
    for service in found.services.values():
        image = images.image_of(service, stages)
        assert image.user != 0, service.name
        assert set(service.secrets) <= found.secrets.keys()
        assert set(service.after) <= found.services.keys()


def test_a_stage_brings_what_those_below_it_say(tmp_path: Path) -> None:
    """ENV, WORKDIR, USER and CMD of the stage and of its base; the checkout's programs come first."""
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3 AS base\nENV A=1 \\\n    B=two\nWORKDIR /opt/restar\nUSER 7:7\n"
        'FROM base AS other\nENV A=no\nFROM base AS house\nENV C=$A\nCMD ["airflow", "version"]\n'
    )
    image = images.stage(tmp_path / "Dockerfile", "house")
    assert {key: image.environment[key] for key in "ABC"} == {"A": "1", "B": "two", "C": "1"}
    assert (image.workdir, image.user, image.command) == ("/opt/restar", 7, ("airflow", "version"))
    assert image.environment["PATH"].startswith(str(images.BIN))


def question(name: str, kind: int = names_and_ports.TYPE_A) -> bytes:
    """A DNS question as a resolver sends it."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return (
        names_and_ports.HEADER.pack(7, 0x0100, 1, 0, 0, 0)
        + labels
        + b"\0"
        + struct.pack("!2H", kind, names_and_ports.CLASS_IN)
    )


def test_names_are_answered_with_their_address() -> None:
    """A known name has one address and no other kind of record; an unknown one does not exist."""
    known = {"serving-1": "10.89.0.20"}
    number, flags, _, answers, _, _ = names_and_ports.HEADER.unpack_from(
        found := names_and_ports.answer(question("Serving-1"), known)
    )
    assert (number, flags & 0xF, answers) == (7, 0, 1)
    assert found.endswith(socket.inet_aton("10.89.0.20"))
    assert names_and_ports.HEADER.unpack_from(names_and_ports.answer(question("serving-1", kind=28), known))[3] == 0
    assert names_and_ports.HEADER.unpack_from(names_and_ports.answer(question("elsewhere"), known))[1] & 0xF == 3


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux" or shutil.which("nsenter") is None,
    reason="namespaces of network and mounts need Linux and root",
)
def test_a_container_has_its_own_files_names_and_no_rights(tmp_path: Path) -> None:
    """Volume and secret are where they were asked for; what it writes elsewhere stays inside; it is not root."""
    (tmp_path / "secret").write_text("the secret")
    (tmp_path / "volume").mkdir(mode=0o777)
    (tmp_path / "volume").chmod(0o777)
    program = f"""
        import sys; sys.path.insert(0, {str(SCRIPTS)!r})
        from pathlib import Path
        from namespaces import Bind, Container, Network, contain, entering
        import os, subprocess
        if len(sys.argv) == 1:
            Network(["one", "two"]).build()
            os.execvp("nsenter", [*entering("two"), sys.executable, __file__, "inside"])
        here = Path({str(tmp_path)!r})
        binds = (Bind(source=here / "secret", target="/run/secrets/s", read_only=True),
                 Bind(source=here / "volume", target="/var/lib/thing", read_only=False))
        script = '''cat /run/secrets/s; echo; id -u; hostname; cat /etc/hosts; cat /sys/class/net/eth0/address > /dev/null
            echo kept > /var/lib/thing/kept; echo gone > /tmp/gone; echo no > /run/secrets/s; grep CapBnd /proc/self/status'''
        contain(Container(name="two", hostname="number-two", hosts={{"one": "10.89.0.10"}}, binds=binds, programs=(),
            empty=(), command=("sh", "-c", script), environment={{"PATH": "/usr/bin:/bin:/usr/sbin"}}, workdir="/",
            user=12345, memory=None, scratch=here / "scratch"))
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--propagation", "private", sys.executable, tmp_path / "program.py"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    secret, user, hostname, *rest = done.stdout.splitlines() or [done.stderr]
    assert (secret, user, hostname) == ("the secret", "12345", "number-two"), done.stderr
    assert "10.89.0.10 one" in rest
    assert rest[-1].split() == ["CapBnd:", "0" * 16]
    assert (tmp_path / "volume" / "kept").read_text() == "kept\n"
    assert (tmp_path / "secret").read_text() == "the secret"
    assert not Path("/tmp/gone").exists()  # noqa: S108
    assert not Path("/run/netns/two").exists()
