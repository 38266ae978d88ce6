"""nginx, from the distribution."""

from __future__ import annotations

import contextlib
import getpass
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.support.needs import need
from tests.support.processes import Running, started

# What stands around the generated file on any machine; nothing outside the folder is touched.
AROUND = """
daemon off;
worker_processes 1;
user {user};
pid nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include kombo-bridge.conf;
}}
"""


def written(text: str, folder: Path) -> list[str]:
    """Write the configuration; the command that runs nginx with it."""
    need(nginx := shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin"), "nginx")
    (folder / "kombo-bridge.conf").write_text(text)
    (folder / "nginx.conf").write_text(AROUND.format(user=getpass.getuser()))
    return [str(nginx), "-p", str(folder), "-c", str(folder / "nginx.conf")]


@contextlib.contextmanager
def start(text: str, folder: Path, port: int) -> Iterator[Running]:
    with started(written(text, folder), folder / "nginx.log") as running:
        running.wait_for_port(port)
        yield running
