"""`kombo-bridge metadata` and what `check` says of metadata by URL, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass

from .conftest import ENTITY_ID, Customer, metadata, pem

OTHER = "https://idp.other.example/"


@dataclass
class Done:
    code: int
    out: str
    err: str


async def run(customer: Customer, *arguments: str) -> Done:
    command = [sys.executable, "-m", "bridge", *arguments, "--config", str(customer.folder.bridge)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=customer.folder.path
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Done(process.returncode or 0, out.decode(), err.decode())


async def test_refresh_list_and_accept(customer: Customer) -> None:
    url = customer.site.url()
    done = await run(customer, "metadata", "list")
    assert (done.code, done.out) == (0, f"acme: {url}; never fetched\n")
    done = await run(customer, "metadata", "refresh")
    assert (done.code, done.out) == (0, f"acme: new metadata, IdP {ENTITY_ID}\n")
    done = await run(customer, "metadata", "refresh", "--tenant", "acme")
    assert (done.code, done.out) == (0, f"acme: up to date, IdP {ENTITY_ID}\n")
    async with customer.node(runs=False) as node:
        assert node.certificates == (pem("idp"),)

    done = await run(customer, "metadata", "accept", "acme")
    assert (done.code, "no other entityID is held for acme" in done.err) == (1, True)
    customer.publishes("new", entity_id=OTHER)
    done = await run(customer, "metadata", "refresh")
    assert (done.code, done.out) == (1, f"acme: held: it names {OTHER} now (`kombo-bridge metadata accept acme`)\n")
    done = await run(customer, "metadata", "list")
    assert f"; HELD: it names {OTHER} now (`kombo-bridge metadata accept acme`)\n" in done.out
    done = await run(customer, "metadata", "list", "--json")
    [row] = json.loads(done.out)
    assert (row["tenant"], row["url"], row["entity_id"], row["held"]) == ("acme", url, ENTITY_ID, OTHER)
    assert row["failed"] is None

    async with customer.node() as node:
        done = await run(customer, "metadata", "accept", "acme")
        assert (done.code, done.out) == (0, f"acme: {OTHER} instead of {ENTITY_ID}\n")
        await node.until(lambda: node.certificates == (pem("new"),))


async def test_refresh_says_what_failed(customer: Customer) -> None:
    customer.site.says(b"", status="404 Not Found")
    customer.write("beta", path="/beta")
    customer.site.says(metadata("idp"), path="/beta")
    done = await run(customer, "metadata", "refresh")
    assert done.code == 1
    said = sorted(done.out.splitlines())
    assert said == ["acme: failed: the answer is HTTP 404, not 200", f"beta: new metadata, IdP {ENTITY_ID}"]
    done = await run(customer, "metadata", "list")
    assert "FAILED: the answer is HTTP 404, not 200" in done.out
    done = await run(customer, "metadata", "refresh", "--tenant", "gamma")
    assert (done.code, done.err) == (
        1,
        "kombo-bridge: there is no tenant gamma with a valid file whose `saml.metadata` is a URL\n",
    )
    done = await run(customer, "check")
    assert (done.code, "could not be fetched yet: the answer is HTTP 404" in done.err) == (1, True)
    assert done.out.startswith("beta: ")


async def test_accepting_needs_the_document_that_was_held(customer: Customer) -> None:
    async with customer.alive() as node:
        customer.publishes("new", entity_id=OTHER)
        await node.keeping.renew(node.source())
        customer.publishes("new", entity_id="https://idp.third.example/")
        done = await run(customer, "metadata", "accept", "acme")
        assert done.code == 1
        assert "it names https://idp.third.example/ now" in done.err
        assert f"{OTHER} was to be accepted" in done.err
        assert node.certificates == (pem("idp"),)


async def test_check_needs_neither_state_nor_network(customer: Customer) -> None:
    (customer.folder.path / "bridge.db").unlink()
    done = await run(customer, "check")
    assert (done.code, done.err) == (0, "")
    assert "note: tenants/acme.yaml:1: `saml.metadata`: " in done.out
    assert "is yet to be fetched, which `kombo-bridge serve` does" in done.out
    assert not (customer.folder.path / "bridge.db").exists()
    assert customer.site.heads == []


async def test_check_reads_what_the_state_has(customer: Customer) -> None:
    async with customer.alive():
        pass
    done = await run(customer, "check")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"acme: Acme; IdP {ENTITY_ID};")


async def test_check_says_what_has_not_come(customer: Customer) -> None:
    url = customer.site.url()
    async with customer.alive() as node:
        customer.publishes("new", entity_id=OTHER)
        await node.keeping.renew(node.source())
    held = await run(customer, "check")
    assert f"note: tenant acme: {url} names another IdP now, {OTHER}, and is held: " in held.out
    assert "run `kombo-bridge metadata accept acme`" in held.out
    customer.site.says(b"", status="404 Not Found")
    assert (await run(customer, "metadata", "refresh")).code == 1
    failed = await run(customer, "check")
    assert (failed.code, failed.err) == (0, "")
    assert f"note: tenant acme: {url} could not be fetched, once: the answer is HTTP 404" in failed.out


async def test_no_url_at_all(customer: Customer) -> None:
    (customer.folder.path / "tenants" / "acme.yaml").unlink()
    done = await run(customer, "metadata", "list")
    assert (done.code, done.out) == (0, "no tenant's `saml.metadata` is a URL\n")
