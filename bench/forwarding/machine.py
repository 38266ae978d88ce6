"""The machine: its cores, what processes use of it, and which programs it has."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINES = ROOT / "tests/real/servers/engines/.venv/bin"
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = CORES[0], CORES[-1]
TICKS = os.sysconf("SC_CLK_TCK")


def program(name: str) -> str | None:
    """Where a program is: among the engines that the tests install, or on the PATH."""
    return shutil.which(name, path=str(ENGINES)) or shutil.which(name)


def tree(roots: Collection[int]) -> Iterator[int]:
    """These processes and everything below them."""
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        yield pid
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())


def cpu_seconds(roots: Collection[int]) -> float:
    """User and system time so far of the process trees, to a hundredth."""
    total = 0
    for pid in tree(roots):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def main_thread_seconds(pid: int) -> float:
    """The part of a process's time that its first thread used."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_kib(roots: Collection[int]) -> int:
    """Proportional set size of the process trees: memory, shared pages divided among those who share them."""
    texts = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in tree(roots))
    return sum(int(size) for text in texts for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.M))


def pin(roots: Collection[int], *cores: int) -> None:
    """Hold process trees, with all their threads, to these cores."""
    for pid in tree(roots):
        os.sched_setaffinity(pid, cores)
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def raise_open_files() -> int:
    """Let this process and its children open as many files as they may; returns how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Busyness:
    """What all cores did since this was made: shares of the whole, from /proc/stat."""

    def __init__(self) -> None:
        self._before = self._read()

    @staticmethod
    def _read() -> list[int]:
        return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]

    def take(self) -> tuple[float, float]:
        """Used by anybody here, and stolen by other machines of the host."""
        spent = [now - before for now, before in zip(self._read(), self._before, strict=True)]
        total = sum(spent) or 1
        return (total - spent[3] - spent[4] - spent[7]) / total, spent[7] / total


def describe() -> dict[str, str]:
    """The machine, the day, and what is compared, for whoever reads the figures later."""
    busyness = Busyness()
    time.sleep(1)
    used, _ = busyness.take()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, {len(CORES)} cores, {memory:.0f} GiB, Linux {platform.release()}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "busy_before": f"{used:.0%}",
        "bridge": _commit(),
        "versions": ", ".join(_versions()),
    }


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    return names[0] if names else platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True) if shutil.which("git") else None
    return (told.stdout.strip() if told else "") or version("kombo-bridge")


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    yield from (f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools"))
    asked = {"nginx": ["-v"], "apache2": ["-v"], "envoy": ["--version"], "wrk": ["-v"], "h2load": ["--version"]}
    for name, arguments in asked.items():
        path = program(name)
        if path is not None:
            told = subprocess.run([path, *arguments], capture_output=True, text=True)
            found = re.search(r"\d+\.\d+(?:\.\d+)?", told.stdout + told.stderr)
            yield f"{name} {found.group() if found else '?'}"
    yield from _package("libapache2-mod-auth-mellon", "mod_auth_mellon")


def _package(package: str, name: str) -> Iterator[str]:
    if shutil.which("dpkg-query"):
        told = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True)
        if told.returncode == 0:
            yield f"{name} {told.stdout}"
