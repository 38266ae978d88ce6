"""A PostgreSQL server of the test run's own, on loopback and a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.support.needs import need
from tests.support.processes import free_port


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database. PostgreSQL refuses to run as root, so root runs it as its own system user."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    need(programs or shutil.which("initdb"), "a PostgreSQL server")
    folder = programs[-1] if programs else Path(str(shutil.which("initdb"))).parent
    home = Path(mkdtemp(prefix="bridge-pg-", dir="/tmp"))
    owner: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
    if owner:
        shutil.chown(home, "postgres")
    data, port = home / "data", free_port()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "check": True, "cwd": home, **owner}
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -k {home} -c fsync=off"
    try:
        subprocess.run([folder / "initdb", "-D", data, "-A", "trust", "-U", "bridge", "-E", "UTF8"], **quiet)
        subprocess.run([folder / "pg_ctl", "-D", data, "-o", settings, "-l", home / "log", "-w", "start"], **quiet)
        try:
            subprocess.run([folder / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "bridge", "bridge"], **quiet)
            yield f"postgresql://bridge@127.0.0.1:{port}/bridge"
        finally:
            subprocess.run([folder / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **quiet)
    finally:
        shutil.rmtree(home, ignore_errors=True)
