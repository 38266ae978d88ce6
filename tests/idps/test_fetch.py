"""The client against servers that answer badly, slowly, endlessly, or as somebody else."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from bridge.idps.fetch import Fetcher, FetchError
from bridge.saml.metadata import MAX_BYTES

from .site import Authority, Site, answer, site

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1")]
CASES: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "answers.yaml").read_text())
DOCUMENT = b"<EntityDescriptor/>"


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    made = Fetcher(LOOPBACK, deadline=2)
    yield made
    made.close()


@pytest_asyncio.fixture
async def plain() -> AsyncIterator[Site]:
    async with site() as made:
        yield made


async def test_a_document_comes_with_its_etag(fetcher: Fetcher, plain: Site) -> None:
    plain.says(DOCUMENT, 'ETag: "v1"', "Content-Type: text/html")
    fetched = await fetcher.fetch(plain.url().replace("http://", "HTTP://"))
    assert (fetched.document, fetched.etag) == (DOCUMENT, '"v1"')
    plain.answers["/metadata"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    fetched = await fetcher.fetch(plain.url(), '"v1"')
    assert (fetched.document, fetched.etag) == (None, '"v1"')
    first, second = plain.heads
    assert "If-None-Match" not in first
    assert 'If-None-Match: "v1"\r\n' in second
    assert f"Host: 127.0.0.1:{plain.port}\r\n" in first
    assert "Cookie" not in first + second
    assert "Authorization" not in first + second


async def test_the_query_is_asked_for_as_it_stands(fetcher: Fetcher, plain: Site) -> None:
    target = "/m/%2e%2e/x?entityID=urn%3Aacme&y=%20&z"
    plain.says(DOCUMENT, path=target)
    assert (await fetcher.fetch(plain.url(target))).document == DOCUMENT


@pytest.mark.parametrize("case", CASES["bad"], ids=lambda case: case["name"])
async def test_a_bad_answer_says_what_is_wrong(fetcher: Fetcher, plain: Site, case: dict[str, str]) -> None:
    said = case["answer"].replace("\n", "\r\n").replace("{port}", str(plain.port))
    plain.answers["/metadata"] = said.encode("latin-1")
    with pytest.raises(FetchError) as caught:
        await fetcher.fetch(plain.url(), case.get("etag"))
    assert case["error"] in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert len(plain.heads) == 1


@pytest.mark.parametrize("case", CASES["good"], ids=lambda case: case["name"])
async def test_a_good_answer_is_taken(fetcher: Fetcher, plain: Site, case: dict[str, str]) -> None:
    plain.answers["/metadata"] = case["answer"].replace("\n", "\r\n").replace("{port}", str(plain.port)).encode()
    plain.says(b"moved", path="/there")
    fetched = await fetcher.fetch(plain.url())
    assert (fetched.document or b"").decode() == case["document"]
    assert fetched.etag == case.get("etag")


async def test_redirects_end(fetcher: Fetcher, plain: Site) -> None:
    plain.says(b"", "Location: /metadata", status="302 Found")
    with pytest.raises(FetchError, match="more than 3 times"):
        await fetcher.fetch(plain.url())
    assert len(plain.heads) == 4


async def test_a_document_has_at_most_2_mib(fetcher: Fetcher, plain: Site) -> None:
    plain.says(b"x" * MAX_BYTES)
    assert len((await fetcher.fetch(plain.url())).document or b"") == MAX_BYTES
    plain.says(b"x" * (MAX_BYTES + 1))
    with pytest.raises(FetchError, match="more than 2097152 bytes"):
        await fetcher.fetch(plain.url())


BOMBS = {
    "one": gzip.compress(bytes(64 * 1024 * 1024), 9),
    "many members": gzip.compress(b"x") + gzip.compress(bytes(64 * 1024 * 1024), 1),
    "behind its end": gzip.compress(b"x") + bytes(4 * 1024 * 1024),
    "blocks of nothing": gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * (2 * 1024 * 1024),
    "cut off": gzip.compress(b"x" * 1000)[:-9],
    "not gzip": b"<EntityDescriptor/>",
}


@pytest.mark.parametrize("name", BOMBS)
async def test_gzip_is_counted_while_it_is_inflated(fetcher: Fetcher, plain: Site, name: str) -> None:
    plain.says(BOMBS[name], "Content-Encoding: gzip")
    began = time.process_time()
    with pytest.raises(FetchError, match=r"a (gzip )?body"):
        await fetcher.fetch(plain.url())
    assert time.process_time() - began < 1


async def test_gzip_is_read(fetcher: Fetcher, plain: Site) -> None:
    plain.says(gzip.compress(DOCUMENT), "Content-Encoding: gzip")
    assert (await fetcher.fetch(plain.url())).document == DOCUMENT
    assert "Accept-Encoding: gzip\r\n" in plain.heads[0]


@pytest.mark.parametrize(
    "what", ["nothing", "a head without end", "a drop at a time", "1xx without end", "a huge head"]
)
async def test_a_server_that_stalls_costs_no_more_than_the_deadline(plain: Site, what: str) -> None:
    async def stall(writer: asyncio.StreamWriter) -> None:
        if what == "nothing":
            await asyncio.sleep(60)
        if what in ("a drop at a time", "a huge head"):
            writer.write(
                b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 9999\r\n\r\n" if what == "a drop at a time" else b"")
            )
        while True:
            writer.write(
                {"1xx without end": b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", "a huge head": b"x" * 65536}.get(
                    what, b"H"
                )
            )
            await writer.drain()
            await asyncio.sleep(0.01)

    plain.answers["/metadata"] = stall
    fetcher = Fetcher(LOOPBACK, deadline=0.5)
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0\.5 s|cut off"):
        await fetcher.fetch(plain.url())
    assert time.monotonic() - began < 3
    fetcher.close()


@pytest.mark.parametrize(
    ("head", "again"),
    [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", f"1;{'x' * 9999}\r\nx\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["chunks of a byte", "chunks with long extensions", "answers that announce another"],
)
async def test_what_stands_around_a_document_is_counted_and_holds_nobody_up(head: str, again: str) -> None:
    """Each of them costs some microseconds, and a server sends as many as it likes."""
    longest, sent = 0.0, 0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()  # a busy machine holds us up as well
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - began)

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head.encode())
        batch = (again * (2000 // len(again) + 1)).encode()
        while True:
            writer.write(batch)
            sent += len(batch)
            await writer.drain()
            await asyncio.sleep(0)

    fetcher = Fetcher(LOOPBACK)
    async with site() as made:
        made.answers["/metadata"] = endless
        watching = asyncio.ensure_future(watch())
        with pytest.raises(FetchError, match="cut off: it has more than"):
            await fetcher.fetch(made.url())
        watching.cancel()
    fetcher.close()
    assert longest < 0.15
    assert sent < 4 * MAX_BYTES


async def test_a_resolver_that_stalls_does_not_either(plain: Site) -> None:
    fetcher = Fetcher(LOOPBACK, resolve=lambda _host, _port: time.sleep(5) or ["127.0.0.1"], deadline=0.2)
    began = time.monotonic()
    with pytest.raises(FetchError, match="within"):
        await fetcher.fetch(plain.url())
    assert time.monotonic() - began < 3
    fetcher.close()


async def test_nobody_listens(fetcher: Fetcher, unused_tcp_port: int) -> None:
    with pytest.raises(FetchError, match="no connection to http://127"):
        await fetcher.fetch(f"http://127.0.0.1:{unused_tcp_port}/")


class TestNames:
    """Whom a name leads to is asked once, and what was judged is what is connected to."""

    async def test_the_address_that_was_judged_is_the_one_that_is_connected_to(self, plain: Site) -> None:
        """DNS rebinding: a name that is harmless when looked at, and somebody else afterwards."""
        asked: list[str] = []

        def resolve(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.9"]

        plain.says(DOCUMENT, "Location: /there", status="302 Found")
        plain.says(DOCUMENT, path="/there")
        fetcher = Fetcher([ip_network("127.0.0.1")], resolve=resolve)
        await fetcher.fetch(plain.url(host="idp.localhost"))
        assert asked == ["idp.localhost"]
        assert plain.peers == ["127.0.0.1", "127.0.0.1"]
        assert all(f"Host: idp.localhost:{plain.port}\r\n" in head for head in plain.heads)
        with pytest.raises(FetchError, match=r"127\.0\.0\.9, which is not public"):
            await fetcher.fetch(plain.url(host="idp.localhost"))
        assert len(plain.heads) == 2
        fetcher.close()

    async def test_loopback_has_to_be_allowed(self, plain: Site) -> None:
        fetcher = Fetcher()
        with pytest.raises(FetchError, match=r"write 127\.0\.0\.1/32 or its network under metadata_networks"):
            await fetcher.fetch(plain.url())
        assert plain.heads == []
        fetcher.close()

    async def test_a_loopback_name_elsewhere_gets_no_plain_http(self) -> None:
        fetcher = Fetcher([ip_network("10.0.0.0/8")], resolve=lambda _host, _port: ["10.0.0.1"])
        with pytest.raises(FetchError, match="plain http is for loopback only"):
            await fetcher.fetch("http://idp.localhost/metadata")
        with pytest.raises(FetchError, match="leads to plain http"):
            await fetcher.fetch("http://idp.test/metadata")
        fetcher.close()

    async def test_the_next_address_is_tried(self, plain: Site) -> None:
        plain.says(DOCUMENT)
        fetcher = Fetcher(LOOPBACK, resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
        assert (await fetcher.fetch(plain.url(host="idp.localhost"))).document == DOCUMENT
        fetcher.close()

    async def test_proxies_and_credentials_of_the_environment_are_not_believed(
        self, plain: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fetcher: Fetcher
    ) -> None:
        async with site() as proxy:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url(""))
                monkeypatch.setenv(name.lower(), proxy.url(""))
            (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
            monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
            plain.says(DOCUMENT)
            assert (await fetcher.fetch(plain.url())).document == DOCUMENT
            assert proxy.heads == []
            assert "uthorization" not in plain.heads[0]


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
        made = Authority.make(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
        return made

    async def fetched(self, tls: ssl.SSLContext) -> str:
        fetcher = Fetcher(LOOPBACK, resolve=lambda _host, _port: ["127.0.0.1"])
        try:
            async with site(tls) as secure:
                secure.says(DOCUMENT)
                await fetcher.fetch(secure.url(host="idp.test"))
                assert f"Host: idp.test:{secure.port}\r\n" in secure.heads[0]
                return "fetched"
        except FetchError as error:
            return str(error)
        finally:
            fetcher.close()

    async def test_an_authority_of_ones_own_counts(self, authority: Authority) -> None:
        assert await self.fetched(authority.server("idp.test")) == "fetched"

    async def test_a_certificate_for_another_name_does_not(self, authority: Authority) -> None:
        said = await self.fetched(authority.server("other.test"))
        assert said.startswith("no connection to https://idp.test:")
        assert "Hostname mismatch" in said

    async def test_one_that_has_ended_does_not(self, authority: Authority) -> None:
        assert "expired" in await self.fetched(authority.server("idp.test", ended=True))

    async def test_one_of_an_unknown_authority_does_not(self, authority: Authority, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = Authority.make(tmp_path / "other")
        assert "CERTIFICATE_VERIFY_FAILED" in await self.fetched(other.server("idp.test"))

    async def test_plain_http_on_a_tls_port(self, plain: Site) -> None:
        fetcher = Fetcher(LOOPBACK, deadline=0.3)
        with pytest.raises(FetchError, match=r"within|no connection|cut off"):
            await fetcher.fetch(plain.url().replace("http:", "https:"))
        fetcher.close()


def test_an_answer_of_the_tests_own_is_well_formed() -> None:
    assert answer(b"x") == b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
