"""nginx beside what its operator has already written: what `http {}` says holds for every server that says nothing.

None of it is wrong elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from bridge.generate.nginx import nginx
from bridge.generate.plan import plan
from bridge.settings.addresses import Address
from bridge.simulator import seed
from tests.real.engines import ENGINES
from tests.real.engines.front import Front, prepare
from tests.real.engines.platform import SAY, platform
from tests.support.processes import free_port
from tests.support.sockets import exchange
from tests.support.stage import stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID = """
satisfy any;
allow all;
underscores_in_headers on;
ignore_invalid_headers off;
error_page 400 401 403 404 500 502 503 504 = /50x.html;
recursive_error_pages on;
proxy_intercept_errors on;
proxy_set_header X-Kombo-User $http_x_kombo_user;
proxy_buffering on;
proxy_cache_path {folder}/theirs keys_zone=theirs:1m;
proxy_cache_key $uri;
proxy_cache_valid any 10m;
proxy_cache_use_stale error updating;
proxy_cache_background_update on;
proxy_cache_lock on;
proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires;
"""
ONE_OF = ("proxy_cache theirs;", "proxy_store on;")
"""Which nginx takes for a contradiction where both stand."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ONE_OF)
async def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    port, folder = free_port(), tmp_path_factory.mktemp("engine")
    own = tmp_path_factory.mktemp("stage")
    origin = f"http://127.0.0.1:{port}"
    async with platform() as behind, stage(own, prepare=prepare, upstream=behind.origin, public_url=origin) as on:
        made = plan(on.deployment.load(), listen=Address("127.0.0.1", port), cache_folder=folder / "answers")
        said = SAID.format(folder=folder) + request.param
        with ENGINES["nginx"](said + nginx(made), folder, port):
            yield Front("nginx", on, behind)


async def test_nobody_is_let_in_by_settings_of_all_servers(front: Front) -> None:
    for target in ("/my", "/courses/cybersecurity-101/x", "/my/a%20b"):
        got, seen = await front.ask(target)
        assert (got.status, seen) == (401, [])


async def test_nobody_gets_what_was_another_learners(front: Front) -> None:
    lasting = {SAY: '["X-Accel-Buffering: yes", "Cache-Control: max-age=600"]'}
    for _ in range(2):
        for person in (seed.JANE, seed.CARLOS):
            got, [each] = await front.ask("/my/answer", lasting, person=person)
            assert (got.status, each.get("x-kombo-user")) == (200, person.id)
        got, seen = await front.ask("/my/answer", lasting)
        assert (got.status, seen) == (401, [])


async def test_names_that_resemble_ours_stay_out(front: Front) -> None:
    for name in ("X_Kombo_User", "X.Kombo.User", "X_Remote_User", "X-Kombo-User"):
        got, [seen] = await front.ask("/static/x", {name: "spoofed"})
        assert got.status == 200
        assert "spoofed" not in str(seen.headers)


async def test_a_page_for_errors_is_no_answer_to_a_question(front: Front, tmp_path: Path) -> None:
    """A question that fails goes to such a page within itself: past everything that asks, and back with its status."""
    port, nobody = free_port(), Address("127.0.0.1", free_port())
    made = plan(front.stage.deployment.load(), listen=Address("127.0.0.1", port), cache_folder=tmp_path / "answers")
    text = SAID.format(folder=tmp_path) + nginx(replace(made, inside=nobody))
    before = len(front.platform.seen)
    with ENGINES["nginx"](text, tmp_path, port):
        for target in ("/my", "/courses/cybersecurity-101/x", "/static/x"):
            asked = f"GET {target} HTTP/1.1\r\nHost: {front.host}\r\nConnection: close\r\n\r\n"
            answer = await exchange(f"http://127.0.0.1:{port}", asked.encode())
            assert answer.startswith(b"HTTP/1.1 500 ")
    assert front.platform.seen[before:] == []


async def test_leave_is_the_bridges_alone(front: Front, tmp_path: Path) -> None:
    """Something else has come to listen where the bridge did, and says yes to everything."""
    port, behind = free_port(), Address("127.0.0.1", urlsplit(front.platform.origin).port)
    made = plan(front.stage.deployment.load(), listen=Address("127.0.0.1", port), cache_folder=tmp_path / "answers")
    before = len(front.platform.seen)
    with ENGINES["nginx"](nginx(replace(made, inside=behind)), tmp_path, port):
        asked = f"GET /my HTTP/1.1\r\nHost: {front.host}\r\nConnection: close\r\n\r\n"
        assert (await exchange(f"http://127.0.0.1:{port}", asked.encode())).startswith(b"HTTP/1.1 500 ")
    assert {each.target for each in front.platform.seen[before:]} == {"/auth/nginx"}


async def test_cookies_may_be_as_long_as_a_line(front: Front) -> None:
    """The answer has them once more beside all that it says, and where it is kept, its key too."""
    cookie = await front.cookie(seed.JANE)
    for size in (100, 3_000, 8_000, 9_000 - len(cookie)):
        for target in ("/my", "/my/" + "a%20" * 1_900):
            for _ in range(2):
                got, [seen] = await front.ask(target, {"Cookie": f"{cookie}; a={'x' * size}"})
                assert (got.status, seen.get("x-kombo-user")) == (200, seed.JANE.id)
                assert seen.get("cookie") == f"a={'x' * size}"
