"""The disk under the state runs full: what was accepted stays, nothing more is accepted, and it goes on by itself."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bridge.simulator import seed
from tests.support.needs import need
from tests.support.stage import Stage, stage

TOKEN = "a-token-of-the-tests-long-enough-to-be-one"
COURSE = "/courses/cybersecurity-101/start"
DISK = "16m"
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


def on_a_small_disk(folder: Path) -> tuple[str, ...]:
    """A command that runs another, for which `folder` is a file system of its own that nobody else sees."""
    probe = [*NAMESPACE, "mount -t tmpfs tmpfs /mnt"]
    able = shutil.which("unshare") and subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode == 0
    need(able, "a mount namespace of one's own")
    folder.mkdir()
    return (*NAMESPACE, f'mount -t tmpfs -o size={DISK} tmpfs "$0" && exec "$@"', str(folder))


@contextmanager
def full(found: Stage, folder: Path) -> Iterator[None]:
    """No byte is left on the bridge's disk, seen through its own process."""
    filler = Path(f"/proc/{found.bridge.process.pid}/root{folder}/filler")
    with filler.open("wb", buffering=0) as file:
        for size in (64 * 1024, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    try:
        yield
    finally:
        filler.unlink()


async def report(found: Stage, course: str) -> int:
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(
            f"{found.internal}/completions",
            json={"tenant": "acme", "user": seed.JANE.id, "course": course},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        return answer.status_code


async def test_a_full_disk_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    around = on_a_small_disk(disk)
    async with (
        stage(tmp_path, around=around, state="sqlite:///disk/bridge.db", internal_token=TOKEN) as found,
        found.browser() as known,
        found.browser() as stranger,
    ):
        assert (await known.launch("acme", seed.JANE, COURSE)).status_code == 200
        await found.control("down", value=True)
        assert await report(found, "cybersecurity-101") == 202
        with full(found, disk):
            assert await report(found, "fire-safety") == 503
            assert (await known.get(COURSE)).status_code == 200
            refused = await stranger.sign_in("acme", seed.CARLOS, COURSE)
            assert refused.status_code == 503, refused.text
            await found.control("down", value=False)
            await asyncio.sleep(5)
            assert found.world.completions == [], "nothing is sent that could not be noted before"
        assert await report(found, "fire-safety") == 202
        assert (await stranger.launch("acme", seed.CARLOS, "/courses/code-of-conduct/")).status_code == 200
        async with asyncio.timeout(90):
            while len(found.world.completions) < 2:
                await asyncio.sleep(0.2)
        await asyncio.sleep(3)
        assert len(found.world.completions) == 2
        assert "Traceback" not in found.bridge.text()
