"""A whole session of the service, as its operators see it afterwards: the log, the audit log, the metrics."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from bridge.demo.responses import IdpKey
from bridge.simulator import seed
from tests.docs.test_events import DOCS
from tests.support.deployment import SECRET, Deployment
from tests.support.stage import Asked, Browser, Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "a-token-of-the-tests-long-enough-to-be-one"
OTHER_ADDRESS = "jane.maiden-name@acme.com"
COURSE = "/courses/cybersecurity-101"
LIBRARY = {"default": "assigned", "library": ["fire-*"]}


@dataclass
class Session:
    """What is left of it. `secret` is what must stand nowhere, by what it is."""

    log: str
    audit: str
    metrics: str
    secret: dict[str, set[str]] = field(default_factory=dict)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    @property
    def entered(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.splitlines()]

    @property
    def samples(self) -> dict[tuple[str, ...], float]:
        """By name and the values of the labels in the order of their names."""
        return {
            (
                sample.name.removeprefix("kombo_bridge_"),
                *(value for _, value in sorted(sample.labels.items())),
            ): sample.value
            for family in text_string_to_metric_families(self.metrics)
            for sample in family.samples
        }


def prepare(deployment: Deployment) -> None:
    acme = deployment.tenants["acme"]
    acme["identity"] = ["name_id", {"email": "mail"}]
    acme["saml"]["idp_initiated"] = True
    acme["gate"] = LIBRARY


class Watched:
    """Browsers of a stage, and all that went through them which names somebody or opens something."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.secret: dict[str, set[str]] = {"cookie": set(), "message": set()}

    async def launch(
        self, tenant: str, person: seed.Person | None, *links: str, ask: str = COURSE, **more: Any
    ) -> list[int]:
        """A new browser signs in for a link, and then opens others; the statuses of all."""
        async with self.stage.browser() as browser:
            asked = await browser.ask(f"{ask}?tenant={tenant}")
            self._keep(browser)
            answer = await self._answer(browser, tenant, asked, person, **more)
            found = [answer.status_code]
            if answer.status_code == 303:
                found += [(await browser.get(link)).status_code for link in (answer.headers["location"], *links)]
            self._keep(browser)
            return found

    async def unasked(self, tenant: str, person: seed.Person) -> list[int]:
        """The IdP begins, and the browser follows to the page; the statuses on the way."""
        at = f"{self.stage.origin}/_bridge/saml/{tenant}"
        async with self.stage.browser() as browser:
            asked = Asked("", f"{at}/metadata", f"{at}/acs", "/my")
            answer, found = await self._answer(browser, tenant, asked, person, in_response_to=None), []
            while answer.status_code == 303:
                found.append(answer.status_code)
                answer = await browser.get(answer.headers["location"])
            self._keep(browser)
            return [*found, answer.status_code]

    async def _answer(
        self, browser: Browser, tenant: str, asked: Asked, person: seed.Person | None, **more: Any
    ) -> httpx.Response:
        response = browser.response(tenant, asked, person, **{"name_id": None, **more} if person is None else more)
        self.secret["message"].add(response)
        return await browser.post(asked, response)

    def _keep(self, browser: Browser) -> None:
        self.secret["cookie"] |= {str(each.value) for each in browser.client.cookies.jar if len(str(each.value)) > 20}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Session]:
    folder = tmp_path_factory.mktemp("session")
    settings = {
        "audit_log": "audit.log",
        "internal_token": TOKEN,
        "forwarding": {"log_requests": "all"},
        "completion_header": True,
    }
    async with open_stage(folder, prepare=prepare, **settings) as stage:
        watched = Watched(stage)
        await walk(watched)
        metrics = await settled(stage)
        audit = folder / "audit.log"
        secret = watched.secret | {
            "name": {each.name for each in seed.PEOPLE},
            "last name": {each.last_name for each in seed.PEOPLE if len(each.last_name) > 3},
            "address": {each.email for each in seed.PEOPLE if each.email} | {OTHER_ADDRESS},
            "identifier": {each.remote_id for each in seed.PEOPLE if len(each.remote_id) > 4},
            "key": {SECRET, TOKEN, seed.API_KEY, "PRIVATE KEY"},
        }
        tokens = [value for each in stage.received for name, value in each["headers"] if name.endswith("assertion")]
        yield Session(stage.bridge.text(), audit.read_text(), metrics, secret | {"token": set(tokens)})


async def walk(watched: Watched) -> None:
    """Learners of all kinds; each step says what became of it."""
    stage, jane = watched.stage, seed.JANE
    changed: dict[str, Any] = {"name_id": jane.remote_id, "attributes": {"mail": [OTHER_ADDRESS]}}
    same: dict[str, Any] = {"name_id": seed.CARLOS.remote_id, "attributes": {"mail": ["CARLOS.Ruiz@acme.COM"]}}
    shared: dict[str, Any] = {"name_id": None, "attributes": {"mail": [str(seed.SAM.email)]}}
    assert await watched.launch("acme", jane, COURSE, f"{COURSE}/page/2", "/my", **changed) == [303, 200, 200, 200, 200]
    assert await watched.launch("acme", jane, **changed) == [303, 200]
    assert await watched.launch("acme", seed.CARLOS, "/courses/fire-safety", **same) == [303, 403, 200]
    assert await watched.launch("globex", seed.RITA, ask="/courses/code-of-conduct") == [303, 200]
    assert await watched.launch("initech", seed.PETER, ask="/courses/no-such-course") == [303, 404]
    assert await watched.launch("initech", seed.PETER, "/_bridge/logout", ask="/my") == [303, 200, 200]
    assert await watched.unasked("acme", seed.AISHA) == [303, 303, 200]
    assert await watched.launch("acme", seed.SAM, **shared) == [403], "two people have it"
    assert await watched.launch("acme", seed.MARTIN) == [403], "inactive"
    assert await watched.launch("acme", None, attributes={"displayname": [jane.name]}) == [403], "no identifier"
    assert await watched.launch("acme", seed.RITA) == [403], "another tenant's"
    assert await watched.launch("acme", jane, key=IdpKey.generate()) == [403], "another's signature"
    late = datetime.now(UTC) - timedelta(minutes=30)
    assert await watched.launch("acme", jane, now=late) == [403], "too late"
    async with stage.browser() as browser:
        assert (await browser.get(f"/my?tenant=nobody&mail={OTHER_ADDRESS}")).status_code == 404
        assert (await browser.get("/courses%2fcybersecurity-101?tenant=acme")).status_code == 400
        forged = {"Cookie": "kombo-bridge-session=eyJ", "X-Kombo_User": jane.id}
        assert (await browser.get("/my", headers=forged)).status_code == 400
    async with httpx.AsyncClient(base_url=stage.internal, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        done = {"tenant": "acme", "user": jane.id, "course": "cybersecurity-101", "score": 87}
        assert (await client.post("/completions", json=done)).status_code == 202
        assert (await client.post("/completions", json=done | {"user": OTHER_ADDRESS[:8]})).status_code == 404


LAST = ('kombo_bridge_refusals_total{code="headers_ambiguous",tenant=""}', 'address_changed",tenant="acme"} 1.0')
"""What is counted of the end of the walk, and written down the latest."""


async def settled(stage: Stage) -> str:
    """The metrics, once what is written in the background has been."""
    deadline = asyncio.get_running_loop().time() + 20
    async with httpx.AsyncClient(base_url=stage.internal) as client:
        while asyncio.get_running_loop().time() < deadline:
            text = (await client.get("/metrics")).text
            if all(each in text for each in LAST):
                return text
            await asyncio.sleep(0.1)
    raise AssertionError(f"it was never counted:\n{text}\n{stage.bridge.text()}")


async def test_nothing_that_names_somebody_or_opens_something_stands_in_a_log(session: Session) -> None:
    written = {"log": session.log, "audit": session.audit, "metrics": session.metrics}
    for what, secrets in session.secret.items():
        assert secrets, what
        for each in secrets:
            shown = (
                {each, json.dumps(each)[1:-1]}
                | ({each.lower()} if "@" in each else set())
                | ({each[:60], each[-60:]} if len(each) > 200 else set())
            )
            for where, text in written.items():
                found = next((form for form in shown if len(form) > 3 and form in text), None)
                assert found is None, (
                    where,
                    what,
                    found,
                    [line for line in text.splitlines() if str(found) in line][:2],
                )


async def test_every_line_is_documented(session: Session) -> None:
    for line in [*session.lines, *session.entered]:
        if line["event"] in DOCS and line["event"] != "request_ended":
            event, members = DOCS[line["event"]], line.keys() - {"event", "level", "timestamp"}
            assert line["level"] in event.levels
            assert event.always <= members <= event.always | event.sometimes, line
        else:
            assert line["event"] == "request_ended" or " " in line["event"], f"a library's are sentences: {line}"


async def test_who_was_let_in_to_what(session: Session) -> None:
    assert {line["event"] for line in session.entered} == {"learner_signed_in", "course_opened"}
    signed_in = [line for line in session.entered if line["event"] == "learner_signed_in"]
    by = Counter((line["tenant"], line["user"], line["match"], line["attribute"]) for line in signed_in)
    assert by == {
        ("acme", seed.JANE.id, "name_id", "NameID"): 2,
        ("acme", seed.CARLOS.id, "name_id", "NameID"): 1,
        ("acme", seed.AISHA.id, "name_id", "NameID"): 1,
        ("globex", seed.RITA.id, "attribute", "lms_user_id"): 1,
        ("initech", seed.PETER.id, "email", "mail"): 2,
    }
    assert [line["user"] for line in signed_in if line["idp_initiated"]] == [seed.AISHA.id]
    assert all(line["provider"] == f"http://localhost:7000/{line['tenant']}" for line in signed_in)
    opened = [line for line in session.entered if line["event"] == "course_opened"]
    assert [(line["user"], line["course"], line["gate"], line["enrollment"]) for line in opened] == [
        (seed.JANE.id, "cybersecurity-101", "fresh", "ENROLLED"),
        (seed.JANE.id, "cybersecurity-101", "fresh", "ENROLLED"),
        (seed.CARLOS.id, "fire-safety", "library", "LIBRARY"),
        (seed.RITA.id, "code-of-conduct", "fresh", "ENROLLED"),
    ], "once for each session and course"
    sessions = {line["session"]: line for line in signed_in}
    assert len(sessions) == len(signed_in)
    for line in opened:
        begun = sessions[line["session"]]
        assert all(line[name] == begun[name] for name in ("tenant", "user", "match", "attribute", "provider"))
        assert line["reference"] in (begun["reference"], None)
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-[a-z]+", line["reference"]) for line in signed_in)
    assert opened[0]["reference"] == sessions[opened[0]["session"]]["reference"]


async def test_it_stands_nowhere_else(session: Session) -> None:
    assert not session.of("learner_signed_in") + session.of("course_opened")


async def test_an_address_that_differs_is_said_once(session: Session) -> None:
    assert [(line["tenant"], line["user"]) for line in session.of("address_changed")] == [("acme", seed.JANE.id)]
    assert session.samples["addresses_drifted", "address_changed", "acme"] == 1
    assert session.samples["addresses_drifted", "address_changed", "globex"] == 0


async def test_an_address_that_two_have_is_said_once(session: Session) -> None:
    """By the reading of the people; the login that it refuses says it no second time."""
    pair = {seed.SAM.id, seed.SAMIRA.id}
    assert [{line["user"], line["other"]} for line in session.of("address_shared")] == [pair]
    assert session.samples["addresses_drifted", "address_shared", "acme"] == 1


async def test_every_step_is_counted(session: Session) -> None:
    def of(tenant: str) -> list[float]:
        steps = ("asked", "signed_in", "matched", "gate", "forwarded")
        return [session.samples["launches_total", step, tenant] for step in steps]

    assert of("acme") == [9, 8, 4, 2, 3]
    assert of("globex") == [1, 1, 1, 1, 1]
    assert of("initech") == [2, 2, 2, 0, 1]
    assert of("vandelay") == [0, 0, 0, 0, 0]
    assert session.samples["matches_total", "acme", "name_id"] == 4
    assert session.samples["matches_total", "initech", "email"] == 2
    assert session.samples["gate_opened_total", "acme", "fresh"] == 2
    assert session.samples["gate_opened_total", "globex", "fresh"] == 1


async def test_every_refusal_is_counted(session: Session) -> None:
    found = {key[1:]: many for key, many in session.samples.items() if key[0] == "refusals_total"}
    assert found == {
        ("user_ambiguous", "acme"): 1,
        ("user_inactive", "acme"): 1,
        ("identifier_missing", "acme"): 1,
        ("user_unmatched", "acme"): 1,
        ("saml_rejected", "acme"): 2,
        ("not_enrolled", "acme"): 1,
        ("course_unknown", "initech"): 1,
        ("tenant_unknown", ""): 1,
        ("path_ambiguous", ""): 1,
        ("headers_ambiguous", ""): 1,
    }


async def test_when_a_launch_was_last_good(session: Session) -> None:
    good = {key[1]: at for key, at in session.samples.items() if key[0] == "launch_last_good_timestamp_seconds"}
    assert good.keys() == {"acme", "globex", "initech"}
    assert all(0 <= datetime.now(UTC).timestamp() - at < 600 for at in good.values())


async def test_without_a_file_of_its_own_the_audit_stands_in_the_log(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, stage.browser() as browser:
        assert (await browser.launch("acme", seed.JANE, COURSE)).status_code == 200
        lines = [line for line in stage.logged() if line["event"] in ("learner_signed_in", "course_opened")]
    assert [(line["event"], line["user"]) for line in lines] == [
        ("learner_signed_in", seed.JANE.id),
        ("course_opened", seed.JANE.id),
    ]


async def test_where_it_cannot_be_written_the_service_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"audit log .*nowhere/audit\.log cannot be written: No such file"):
        async with open_stage(tmp_path, audit_log="nowhere/audit.log"):
            raise RuntimeError("it has started")
