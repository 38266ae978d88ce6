"""What an attacker sends to the address for single logout: it ends nothing, writes nothing and costs little."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from bridge.demo.responses import IdpKey
from bridge.simulator import seed
from tests.support.contents import contents, settled
from tests.support.deployment import Deployment, idp_key
from tests.support.idp_logout import (
    SESSION,
    Binding,
    Idp,
    by_post,
    by_redirect,
    idp_of,
    offer_logout,
    remains,
    sign,
    signed_in,
    stranger,
)
from tests.support.stage import Browser, Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD = yaml.safe_load((Path(__file__).parent / "logouts.yaml").read_text())
BOTH: tuple[Binding, ...] = ("redirect", "post")
LOGOUT = "kombo-bridge-logout"


def prepare(deployment: Deployment) -> None:
    offer_logout(deployment, "acme", "redirect", "post")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    async with open_stage(folder, prepare=prepare) as found:
        yield found


@pytest.mark.parametrize(
    ("case", "binding"),
    [(case, binding) for case in BAD for binding in BOTH if binding == "post" or "fields" not in case],
    ids=lambda value: value["case"] if isinstance(value, dict) else value,
)
async def test_a_bad_request_ends_nothing_and_writes_nothing(
    stage: Stage, victim: Browser, case: dict[str, Any], binding: Binding
) -> None:
    sender = Idp(idp_of(stage, case.get("of", "acme")).issuer, idp_of(stage).slo, idp_key())
    changes = {
        name: value and value.replace("{origin}", stage.origin) for name, value in case.get("attributes", {}).items()
    }
    now = datetime.now(UTC) + timedelta(minutes=case.get("minutes", 0))
    request = sender.request(case.get("named", seed.JANE.remote_id), now=now, **changes)
    key = {"none": None, "other": IdpKey.generate("another")}.get(case.get("key", ""), idp_key())
    state = contents(stage.deployment.folder)
    async with stranger(stage) as client:
        answer = await client.request(
            **(as_query if binding == "redirect" else as_form)(sender.slo, request, key, case)
        )
    assert (answer.headers.get("bridge-error"), answer.status_code) == (
        case["code"],
        {"saml_rejected": 403, "saml_malformed": 400}[case["code"]],
    )
    assert "SAMLResponse" not in answer.text
    assert contents(stage.deployment.folder) == state
    assert remains(victim)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(stage: Stage) -> AsyncIterator[Browser]:
    """Jane, whose sessions the requests are about."""
    async with AsyncExitStack() as stack:
        browser = await signed_in(stage, stack, "acme", seed.JANE)
        await browser.get("/my")
        await settled(stage.deployment.folder)
        yield browser


def after(case: dict[str, Any], text: str) -> str:
    old, new = case.get("after", ("", ""))
    return text.replace(old, new.replace("{name}", seed.JANE.remote_id)) if old else text


def as_query(url: str, request: str, key: IdpKey | None, case: dict[str, Any]) -> dict[str, Any]:
    query = by_redirect(request, None, key)
    other = by_redirect(after(case, request), None, key)
    signature = query.partition("&Signature=")[2]
    return {
        "method": "GET",
        "url": f"{url}?{other.partition('&Signature=')[0]}&Signature={signature}" if key else f"{url}?{query}",
    }


def as_form(url: str, request: str, key: IdpKey | None, case: dict[str, Any]) -> dict[str, Any]:
    written = after(case, sign(request, key) if key else request)
    fields: dict[str, str | None] = {**by_post(written, None, None), **case.get("fields", {})}
    return {"method": "POST", "url": url, "data": {name: value for name, value in fields.items() if value is not None}}


async def test_only_a_form_or_a_query_is_a_message(stage: Stage) -> None:
    async with stage.browser() as browser:
        slo = idp_of(stage).slo
        for kind, content in (("application/json", b"{}"), ("multipart/form-data; boundary=b", b"--b\r\n\r\n")):
            answer = await browser.client.post(slo, content=content, headers={"Content-Type": kind})
            assert answer.headers["bridge-error"] == "saml_malformed"
        twice = await browser.client.post(slo, data={"SAMLRequest": ["a", "b"]})
        assert twice.headers["bridge-error"] == "saml_malformed"
        huge = await browser.client.post(slo, data={"SAMLRequest": "A" * 70_000})
        assert (huge.headers["bridge-error"], huge.status_code) == ("saml_malformed", 413)
        assert (await browser.get(slo)).headers["bridge-error"] == "saml_malformed"
        unknown = await browser.get(slo.replace("acme", "nobody"))
        assert unknown.headers["bridge-error"] == "tenant_unknown"


async def test_rubbish_without_end_writes_nothing(stage: Stage) -> None:
    before = await settled(stage.deployment.folder)
    async with stranger(stage) as client:
        acme, slo = idp_of(stage), idp_of(stage).slo
        for n in range(100):
            await client.post(slo, data={"SAMLRequest": "cnViYmlzaA==", "RelayState": str(n)})
            await client.post(slo, data={"SAMLResponse": "cnViYmlzaA=="})
            await client.get(f"{slo}?SAMLRequest=x&SigAlg=y&Signature=z")
            await acme.send(client, acme.request(str(n)), "redirect", key="none")
            await client.get("/_bridge/logout", headers={"Cookie": f"{SESSION}=x{n}.y.z; {LOGOUT}=x{n}"})
    assert contents(stage.deployment.folder) == before
