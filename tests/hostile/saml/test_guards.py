"""Each guard switched off alone lets in what it is there for, and switched on keeps it out.

Guards overlap on purpose, so most hostile messages meet several. These are the ones that meet exactly one: a guard that
stopped working, or was no longer needed, would show here. Where a guard cannot be switched off, its property is tested.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.hashes import SHA1
from lxml import etree

import bridge.saml
from bridge.errors import MetadataError, SamlRefusal
from bridge.idps import fetch
from bridge.saml import metadata, redirect
from bridge.saml.document import tag
from bridge.saml.post import post
from bridge.saml.verify import verify
from bridge.store import sessions
from bridge.store.engine import Store, moment_ms
from bridge.store.migrate import migrate
from tests.saml import logouts, test_metadata
from tests.saml.parts import NOW, expectation, key, response

from .mutations import build
from .test_responses import CASES, GOOD, expected_by

GUARDS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "guards.yaml").read_text())
BY_NAME = {case["name"]: case for case in CASES}

REPLACEMENTS: dict[str, Any] = {
    "nothing": lambda *_, **__: None,
    "yes": lambda *_: True,
    "a_large_limit": 10**9,
    "a_long_time": timedelta(days=3650),
    "an_hour_from_now": lambda *_: NOW + timedelta(hours=1),
    "lxml_as_it_comes": lambda data, **_: etree.fromstring(data),
    "the_first_assertion": lambda response: next(
        child for child in response if child.tag in (tag("saml:Assertion"), tag("saml:EncryptedAssertion"))
    ),
    "no_prefixes": lambda _: (),
    "any_algorithm": lambda method, _: method.get("Algorithm"),
    "any_key": lambda encrypted, *_: next(encrypted.iter(tag("xenc:EncryptedKey"))),
    "oaep_with_sha1": lambda _: (SHA1(), SHA1()),
    "believed": lambda signed, *_: signed,
}


def case_of(row: dict[str, Any]) -> dict[str, Any]:
    return BY_NAME[row["case"]] if isinstance(row["case"], str) else row["case"]


def described(row: dict[str, Any]) -> str:
    case = row["case"] if isinstance(row["case"], str) else row["case"]["check"]
    return f"{row['guard']} {row['without'].rpartition('.')[2]}: {case}"


@pytest.mark.parametrize("row", GUARDS, ids=map(described, GUARDS))
def test_what_one_guard_alone_keeps_out(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    case = case_of(row)
    message, expected = build(case), expected_by(case)
    with pytest.raises(SamlRefusal) as caught:
        verify(message, expected, now=NOW)
    assert caught.value.check == case["check"]
    monkeypatch.setattr(row["without"], REPLACEMENTS[row["instead"]])
    assert verify(message, expected, now=NOW).name_id == row.get("name_id", "jane.doe")


def test_every_guard_is_covered():
    elsewhere = {"G5", "G6", "G8", "G11"}
    assert {row["guard"] for row in GUARDS} | elsewhere == {f"G{number}" for number in range(1, 12)}


def test_g1_inflating_stops_at_a_limit(monkeypatch: pytest.MonkeyPatch):
    """F6: a megabyte of query would unpack to a gigabyte."""
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(b" " * 10 * 2**20) + packer.flush()
    assert len(bomb) < 16 * 1024
    with pytest.raises(SamlRefusal) as caught:
        redirect.inflate(bomb)
    assert caught.value.check == "size"
    monkeypatch.setattr(redirect, "MAX_INFLATED", 2**30)
    assert len(redirect.inflate(bomb)) == 10 * 2**20


@pytest.mark.parametrize("on", [True, False], ids=["with the guard", "without"])
def test_g5_libxmlsec_reads_no_file(on: bool, tmp_path: Path):
    """F3, F4: in a process of its own, because what libxmlsec has given up it does not get back."""
    target = tmp_path / "secret"
    target.write_bytes(b"content")
    program = f"""
import xmlsec
if not {on}:
    xmlsec.cleanup_callbacks = lambda: None
import bridge.saml.signature
from lxml import etree
from bridge.saml.document import DSIG
from tests.saml.parts import key
root = etree.fromstring('<r xmlns:ds="' + DSIG + '"/>')
constants = xmlsec.constants
signature = xmlsec.template.create(root, constants.TransformExclC14N, constants.TransformRsaSha256, ns="ds")
root.append(signature)
xmlsec.template.add_reference(signature, constants.TransformSha256, uri={target.as_uri()!r})
context = xmlsec.SignatureContext()
context.key = xmlsec.Key.from_memory(key("idp").private_pem, constants.KeyDataFormatPem)
try:
    context.sign(signature)
    print("read")
except xmlsec.Error:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=_ROOT, check=True)
    assert done.stdout.strip() == ("refused" if on else "read")


def test_g6_nothing_that_judges_a_message_knows_the_request():
    """F9: what a response is compared with comes from settings alone, so no request, and no Host, can change it."""
    forbidden = ("starlette", "uvicorn", "httpx", "bridge.front", "bridge.proxy", "bridge.exchange", "os.environ")
    for path in sorted(Path(bridge.saml.__file__).parent.glob("*.py")):
        names = [name for node in ast.walk(ast.parse(path.read_text())) for name in _imported(node)]
        assert [name for name in names if name.startswith(forbidden)] == [], path.name


def test_g6_each_tenant_has_its_own_addresses():
    """One tenant's assertion at another's ACS: another Destination, Recipient and Audience."""
    mine = expectation()
    for changes in ({"acs": f"{mine.party.acs}0"}, {"audience": f"{mine.party.entity_id}0"}):
        with pytest.raises(SamlRefusal):
            verify(response(**changes), mine, now=NOW)


async def test_g8_an_assertion_counts_once_for_all_workers_and_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """F12: verification says of the same message the same each time; that it has been used is known to the store."""
    url = f"sqlite:///{tmp_path}/bridge.db"
    migrate(url)

    async def first_use_at_a_new_worker() -> bool:
        assertion, store = verify(GOOD(), expectation(), now=NOW), Store(url)
        try:
            ends = moment_ms(assertion.expires)
            return await store.write(lambda c: sessions.use_once(c, "assertion", assertion.id, ends))
        finally:
            store.close()

    assert [await first_use_at_a_new_worker() for _ in range(3)] == [True, False, False]
    monkeypatch.setattr(sessions, "use_once", lambda *_: True)
    assert await first_use_at_a_new_worker()


def test_g9_identity_is_read_from_the_signed_bytes_alone(monkeypatch: pytest.MonkeyPatch):
    """F13: even if nobody looked at its shape, a signed response says nothing that its signature does not cover."""
    case = BY_NAME["an assertion in ds:Object of a response that was signed without one"]
    for name in ("bridge.saml.verify.check_schema", "bridge.saml.guard.check_attributes"):
        monkeypatch.setattr(name, REPLACEMENTS["nothing"])
    monkeypatch.setattr("bridge.saml.verify.check_shape", lambda root: next(root.iter(tag("saml:Assertion"))))
    monkeypatch.setattr("bridge.saml.profile._PARTS", _Anything())
    with pytest.raises(SamlRefusal):
        verify(build(case), expectation(), now=NOW)


@pytest.mark.parametrize("binding", ["redirect", "post"])
def test_g10_logout_counts_only_signed(binding: str, monkeypatch: pytest.MonkeyPatch):
    """F20: anybody could end anybody's session."""
    if binding == "redirect":
        message, off = logouts.query("SAMLRequest", signer="attacker"), "bridge.saml.redirect.check_octets"
        replacement: Callable[..., Any] = REPLACEMENTS["nothing"]
    else:
        message, off, replacement = posted("attacker"), "bridge.saml.post.verified", REPLACEMENTS["believed"]
    with pytest.raises(SamlRefusal) as caught:
        logouts.read(message)
    assert caught.value.check == "signature"
    monkeypatch.setattr(off, replacement)
    assert logouts.read(message).subject.value == "jane.doe"


def posted(signer: str) -> dict[str, str]:
    """A LogoutRequest by HTTP-POST, signed by whoever it is."""
    outgoing = post(logouts.SLO, "SAMLRequest", etree.fromstring(logouts.REQUEST), None, key(signer))
    return dict(outgoing.fields or {})


def test_g11_a_key_that_can_be_broken_is_no_key(monkeypatch: pytest.MonkeyPatch):
    weak = test_metadata.document({"replace": [["{{rsa}}", "{{weak}}"]]})
    with pytest.raises(MetadataError, match="1024 bits"):
        metadata.read_idp_metadata(weak)
    monkeypatch.setattr(metadata, "MIN_RSA_BITS", 512)
    assert metadata.read_idp_metadata(weak).provider.certificates


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/metadata", "https://169.254.169.254/metadata"])
async def test_g11_metadata_is_not_fetched_from_where_only_we_can_reach(url: str, monkeypatch: pytest.MonkeyPatch):
    """F21: a tenant's file must not make the bridge speak to its neighbours."""
    tried: list[str] = []

    class Refusing(fetch.httpcore.AnyIOBackend):
        async def connect_tcp(self, host: str, *_: Any, **__: Any) -> Any:
            tried.append(host)
            raise fetch.httpcore.ConnectError("nobody there")

    monkeypatch.setattr(fetch.httpcore, "AnyIOBackend", Refusing)
    fetcher = fetch.Fetcher()
    try:
        with pytest.raises(fetch.FetchError, match="not public"):
            await fetcher.fetch(url)
        assert tried == []
        monkeypatch.setattr(fetch, "is_allowed", REPLACEMENTS["yes"])
        with pytest.raises(fetch.FetchError):
            await fetcher.fetch(url)
        assert len(tried) == 1
    finally:
        fetcher.close()


class _Anything:
    def __contains__(self, _: object) -> bool:
        return True


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


_ROOT = Path(bridge.saml.__file__).parents[2]
