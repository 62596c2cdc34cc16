"""A container without a container engine: Linux namespaces for network, mounts and host name.

`Network` gives each service an address of its own on a bridge that nothing outside can reach; `contain` makes the file
tree of one service (its volumes and secrets at the paths that docker-compose.yaml says, a /tmp, /run and /etc of its
own) and becomes its command, without root's rights. The programs are this machine's, not an image's. Linux and root
alone. Everything vanishes with its processes: no interface, mount or file outside `home` stays behind.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SUBNET = "10.89.0"
GATEWAY = f"{SUBNET}.1"
BRIDGE = "restar0"
PASSED_ON = ("proc", "sys", "dev")


@dataclass(frozen=True, kw_only=True)
class Bind:
    """Something at a path inside the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class Container:
    """What one process needs to be told."""

    name: str
    hostname: str
    hosts: Mapping[str, str]
    """Every name -> address."""
    binds: tuple[Bind, ...]
    programs: tuple[Path, ...]
    """Folders of this machine that its command needs, at their own paths."""
    empty: tuple[str, ...]
    """Paths that start as empty folders of this container's own."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    workdir: str
    user: int
    memory: int | None
    scratch: Path
    """A folder of its own for what it writes outside its volumes."""


class Network:
    """A bridge and one network namespace a service, inside our own namespace."""

    def __init__(self, names: Iterable[str]) -> None:
        self.addresses = {name: f"{SUBNET}.{number}" for number, name in enumerate(names, start=10)}

    def build(self) -> None:
        """Make them. Only once in a namespace."""
        _run("mount", "-t", "tmpfs", "tmpfs", "/run")
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for name, address in self.addresses.items():
            self._join(name, address)

    def _join(self, name: str, address: str) -> None:
        number = address.rpartition(".")[2]
        inner = ("ip", "-n", name)
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", f"veth{number}", "master", BRIDGE, "up")
        _run(*inner, "address", "add", f"{address}/24", "dev", "eth0")
        _run(*inner, "link", "set", "eth0", "up")
        _run(*inner, "link", "set", "lo", "up")


def entering(name: str) -> tuple[str, ...]:
    """The words before a command that is to run in the namespaces of `name`, with mounts of its own."""
    return ("nsenter", f"--net=/run/netns/{name}", "unshare", "--mount", "--uts", "--propagation", "private")


def contain(container: Container) -> None:
    """Make the file tree and become the command. Does not return."""
    socket.sethostname(container.hostname)
    if container.memory is not None:
        limit_memory(container.name, container.memory)
    root = container.scratch / "root"
    _tree(container, root)
    os.chroot(root)
    os.chdir(container.workdir)
    user = str(container.user)
    # As `cap_drop: [ALL]` and `no-new-privileges` say.
    rights = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--clear-groups"]
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", *rights, "--", *container.command]
    os.execvpe(words[0], words, dict(container.environment))


def limit_memory(name: str, limit: int) -> None:
    """Put this process, and all that it starts, under the limit (control groups of version 2 or 1)."""
    group = _group(name)
    group.mkdir(exist_ok=True)
    key = "memory.limit_in_bytes" if group.parent.name == "memory" else "memory.max"
    (group / key).write_text(str(limit))
    (group / "cgroup.procs").write_text(str(os.getpid()))


def forget_limits(names: Iterable[str]) -> None:
    """Remove the groups, which are empty by now."""
    for name in names:
        if _group(name).exists():
            _group(name).rmdir()


def processes_of(name: str) -> list[int]:
    """Every process of a service that has a limit."""
    return [int(pid) for pid in (_group(name) / "cgroup.procs").read_text().split()]


def _group(name: str) -> Path:
    groups = Path("/sys/fs/cgroup")
    version2 = (groups / "cgroup.controllers").exists()
    return (groups if version2 else groups / "memory") / f"restar-{name}"


def _tree(container: Container, root: Path) -> None:
    """This machine's file tree with the container's own parts over it."""
    root.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "tmpfs", str(root))
    layers = root / ".layers"
    layers.mkdir()
    own = ["/run", "/tmp", *container.empty]
    changed = {Path(target).parts[1] for target in [bind.target for bind in container.binds] + own} | {"etc"}
    for entry in sorted(Path("/").iterdir()):
        if entry.is_symlink():
            (root / entry.name).symlink_to(entry.readlink())
        elif entry.is_dir():
            _take_over(entry, root / entry.name, layers if entry.name in changed else None)
    for target in own:
        _inside(root, target).mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(_inside(root, target)))
    _open_ways(container.programs, root)
    for bind in container.binds:
        _bind(bind, _inside(root, bind.target))
    _write_names(container, root / "etc")


def _take_over(entry: Path, target: Path, layers: Path | None) -> None:
    """The folder as it is, or a layer over it so that changes stay in this container."""
    target.mkdir()
    if layers is None or entry.name in PASSED_ON:
        _run("mount", "--rbind", str(entry), str(target))
        return
    upper, work = layers / f"{entry.name}-upper", layers / f"{entry.name}-work"
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir={entry},upperdir={upper},workdir={work}"
    _run("mount", "-t", "overlay", "-o", options, "overlay", str(target))


def _open_ways(folders: Iterable[Path], root: Path) -> None:
    """Where a folder lies in a private one (/root, a home), the container gets that with this folder alone in it."""
    opened: set[Path] = set()
    for folder in folders:
        closed = next((above for above in reversed(folder.parents) if not above.stat().st_mode & 0o001), None)
        if closed is None:
            continue
        if closed not in opened:
            _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(_inside(root, str(closed))))
            opened.add(closed)
        _inside(root, str(folder)).mkdir(parents=True)
        _run("mount", "--rbind", str(folder), str(_inside(root, str(folder))))


def _bind(bind: Bind, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if bind.source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    _run("mount", "--bind", str(bind.source), str(target))
    if bind.read_only:
        _run("mount", "-o", "remount,bind,ro", str(target))


def _write_names(container: Container, etc: Path) -> None:
    names = {"localhost": "127.0.0.1", **container.hosts}
    (etc / "hosts").write_text("".join(f"{address} {name}\n" for name, address in names.items()))
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "resolv.conf").write_text(f"nameserver {GATEWAY}\n")
    with (etc / "passwd").open("a") as accounts:
        accounts.write(
            f"restar:x:{container.user}:{container.user}::{container.environment.get('HOME', '/')}:/bin/bash\n"
        )


def _inside(root: Path, target: str) -> Path:
    return root / target.lstrip("/")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
