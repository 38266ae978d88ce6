"""What the client sends, how often, and what it lets be seen."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from bridge.errors import BridgeError, KomboError, KomboRefused, KomboUnavailable
from bridge.kombo.client import KomboClient, askable
from bridge.kombo.model import CourseItem
from bridge.kombo.pauses import Patience
from bridge.kombo.transport import http_client
from bridge.settings.model import Kombo

EMPTY = {"body": '{"status":"success","data":{"next":null,"results":[]}}'}
PROGRESSION = {
    "body": '{"status":"success","data":{"id":"p1","user_id":"u1","course_revision_id":"r1",'
    '"changed_at":"2025-09-01T06:00:00.000Z","status":"ENROLLED"},"warnings":[]}'
}
BUSY = {"status": 429, "body": ""}


def query(script: Any, number: int = 0) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(script.requests[number][1]).query, keep_blank_values=True, strict_parsing=True))


async def test_what_every_call_carries(scripted: Any, connect: Any) -> None:
    async with scripted(EMPTY) as script:
        await connect(script.url, key="s3cret").users_by_remote_id("E1", deadline=1)
    method, target, headers, body = script.requests[0]
    assert (method, urlsplit(target).path, body) == ("GET", "/v1/lms/users", b"")
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["x-integration-id"] == "workday:HWUTwvyx2wLoSUHphiWVrp28"
    assert headers["accept-encoding"] == "gzip"
    assert query(script) == {
        "page_size": "250",
        "include_deleted": "false",
        "ignore_unsupported_filters": "false",
        "remote_ids": "E1",
    }


@pytest.mark.parametrize("value", ["a b+c%20&ids=x#y", "é/ü?", "E1\n", "PERNR:1|DE01", "x" * 512, "remote:E1", "%2C"])
async def test_a_filter_arrives_as_it_was_given(value: str, scripted: Any, connect: Any) -> None:
    async with scripted(EMPTY) as script:
        client = connect(script.url)
        await client.users_by_remote_id(value, deadline=1)
        await client.users_by_email(value, deadline=1)
        await client.progressions_of(value, value, deadline=1)
    assert query(script)["remote_ids"] == value
    assert query(script, 1)["work_emails"] == value
    assert (query(script, 2)["user_ids"], query(script, 2)["course_ids"]) == (value, value)


@pytest.mark.parametrize("value", ["", ",", "E1,E2", "E1,", "x" * 513])
async def test_a_value_that_no_filter_can_carry_is_never_sent(value: str, scripted: Any, connect: Any) -> None:
    assert not askable(value)
    async with scripted(EMPTY) as script:
        client = connect(script.url)
        for call in (
            client.users_by_remote_id(value, deadline=1),
            client.users_by_email(value, deadline=1),
            client.progressions_of(value, "c", deadline=1),
            client.progressions_of("u", value, deadline=1),
        ):
            with pytest.raises(ValueError, match="comma"):
                await call
    assert script.requests == []


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2025, 9, 1, 6, tzinfo=UTC), "2025-09-01T06:00:00.000Z"),
        (datetime(2025, 9, 1, 6, 0, 0, 999_999, tzinfo=UTC), "2025-09-01T06:00:00.999Z"),
        (datetime(2025, 9, 1, 8, tzinfo=timezone(timedelta(hours=2))), "2025-09-01T06:00:00.000Z"),
    ],
)
async def test_the_form_of_updated_after(moment: datetime, text: str, scripted: Any, connect: Any) -> None:
    async with scripted(EMPTY) as script:
        client = connect(script.url)
        for pages in (client.users, client.courses, client.progressions):
            assert [len(page) async for page in pages(updated_after=moment, include_deleted=True)] == [0]
    for number in range(3):
        assert (query(script, number)["updated_after"], query(script, number)["include_deleted"]) == (text, "true")


async def test_a_time_without_a_zone_is_refused(connect: Any) -> None:
    client = connect("http://127.0.0.1:9/v1")
    with pytest.raises(ValueError, match="zone"):
        client.users(updated_after=datetime(2025, 9, 1))
    with pytest.raises(ValueError, match="zone"):
        await client.complete("p1", datetime(2025, 9, 1), None)


async def test_filters_are_repeated_beside_the_cursor(scripted: Any, connect: Any) -> None:
    first = {"body": '{"status":"success","data":{"next":"c+/=","results":[]}}'}
    async with scripted(first, EMPTY) as script:
        await connect(script.url).progressions_of("u1", "c1", deadline=1)
    assert query(script, 1) == query(script, 0) | {"cursor": "c+/="}


@pytest.mark.parametrize(
    ("id", "target"),
    [
        ("p1", "/v1/lms/course-progressions/p1/complete"),
        ("remote:E1/../../x?y#z", "/v1/lms/course-progressions/remote%3AE1%2F..%2F..%2Fx%3Fy%23z/complete"),
        ("../check-api-key", "/v1/lms/course-progressions/..%2Fcheck-api-key/complete"),
        ("%2e%2e", "/v1/lms/course-progressions/%252e%252e/complete"),
        ("é b", "/v1/lms/course-progressions/%C3%A9%20b/complete"),
        ("{}", "/v1/lms/course-progressions/%7B%7D/complete"),
    ],
)
async def test_path_parameters_stay_one_segment(id: str, target: str, scripted: Any, connect: Any) -> None:
    async with scripted(PROGRESSION) as script:
        await connect(script.url).complete(id, None, None)
    assert script.requests[0][1] == target


@pytest.mark.parametrize("id", ["", ".", "..", "x" * 513])
async def test_path_parameters_that_are_no_id_are_refused(id: str, scripted: Any, connect: Any) -> None:
    async with scripted(PROGRESSION) as script:
        client = connect(script.url)
        for call in (client.complete(id, None, None), client.deactivate(id), client.bulk_task(id)):
            with pytest.raises(ValueError, match="id"):
                await call
    assert script.requests == []


async def test_bodies_of_writes(scripted: Any, connect: Any) -> None:
    async with scripted(PROGRESSION, PROGRESSION, PROGRESSION, {"body": '{"data":{"task_id":"t1"}}'}) as script:
        client = connect(script.url)
        await client.enroll("remote:E1", "r1")
        await client.complete("p1", None, None)
        await client.complete("p1", datetime(2025, 9, 1, 6, tzinfo=UTC), 0)
        item = CourseItem(
            "safety", "Safety", "https://x.example/courses/safety", duration=20, languages=["de", "en-US"]
        )
        assert await client.push_courses([item]) == "t1"
    assert {request[2]["content-type"] for request in script.requests} == {"application/json"}
    assert [json.loads(request[3]) for request in script.requests] == [
        {"user_id": "remote:E1", "course_revision_id": "r1"},
        {},
        {"completed_at": "2025-09-01T06:00:00.000Z", "score": 0},
        {
            "items": [
                {
                    "origin_id": "safety",
                    "course": {
                        "type": "EXTERNAL",
                        "title": "Safety",
                        "course_url": "https://x.example/courses/safety",
                        "duration": 20,
                        "languages": ["de", "en-US"],
                    },
                }
            ]
        },
    ]


@pytest.mark.parametrize("score", [-1, 101])
async def test_a_score_out_of_range_is_never_sent(score: int, connect: Any) -> None:
    with pytest.raises(ValueError, match="score"):
        await connect("http://127.0.0.1:9/v1").complete("p1", None, score)


@pytest.mark.parametrize(
    ("answers", "tries", "outcome"),
    [
        ([PROGRESSION], 1, None),
        ([BUSY, PROGRESSION], 2, None),
        ([{**BUSY, "headers": {"Retry-After": "0"}}, PROGRESSION], 2, None),
        ([BUSY], 3, KomboUnavailable),
        ([{"status": 500, "body": ""}], 1, KomboUnavailable),
        ([{"status": 502, "headers": {"Content-Type": "text/html"}, "body": "<html>"}], 1, KomboUnavailable),
        ([{"silent": True}], 1, KomboUnavailable),
        ([{**PROGRESSION, "cut": True}], 1, KomboUnavailable),
        ([{"body": '{"status":"success","data":{"id":null}}'}], 1, KomboUnavailable),
        ([{"status": 400, "body": '{"status":"error","error":{"code":"X"}}'}], 1, KomboRefused),
    ],
)
async def test_a_write_is_sent_again_only_where_kombo_did_nothing(
    answers: list[dict[str, Any]], tries: int, outcome: type[KomboError] | None, scripted: Any, connect: Any
) -> None:
    async with scripted(*answers) as script:
        client = connect(script.url)
        if outcome:
            with pytest.raises(outcome):
                await client.enroll("u1", "r1")
        else:
            assert (await client.enroll("u1", "r1")).id == "p1"
    assert len(script.requests) == tries


async def test_a_write_has_its_own_deadline(scripted: Any, connect: Any) -> None:
    async with scripted({"hang": True}) as script:
        with pytest.raises(KomboUnavailable):
            await connect(script.url).enroll("u1", "r1", deadline=0.2)
    assert len(script.requests) == 1


async def test_a_read_that_hangs_is_tried_again_within_its_deadline(scripted: Any, connect: Any) -> None:
    async with scripted({"hang": True}, EMPTY) as script:
        assert await connect(script.url).users_by_remote_id("E1", deadline=2) == []
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("key", "integration"), [("", "i"), ("two words", "i"), ("k\r\nX: y", "i"), ("é", "i"), ("k", ""), ("k", "i\n")]
)
async def test_what_no_header_can_carry_is_told_without_the_key(key: str, integration: str) -> None:
    settings = Kombo.model_construct(api_url="http://127.0.0.1:9/v1", api_key=_Key(key))
    async with http_client() as http:
        with pytest.raises(BridgeError, match="HTTP header") as caught:
            KomboClient(http, settings, integration)
    assert key == "" or key not in str(caught.value).replace("kombo", "")


class _Key:
    def __init__(self, value: str) -> None:
        self.value = value

    def get_secret_value(self) -> str:
        return self.value


async def test_neither_key_nor_person_reaches_a_log(
    scripted: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = {
        "status": 400,
        "body": '{"status":"error","error":{"code":"PLATFORM.INPUT_INVALID","message":"jane@acme.com is odd"}}',
    }
    said = []
    async with scripted(EMPTY, refusal, {"silent": True}) as script:
        client = connect(script.url, key="s3cret", patience=Patience(attempts=1))
        await client.users_by_email("jane@acme.com", deadline=1)
        for _ in range(2):
            with pytest.raises(KomboError) as caught:
                await client.users_by_email("jane@acme.com", deadline=1)
            said.append(str(caught.value))
    for text in (caplog.text, *said, repr(client)):
        assert "jane" not in text
        assert "s3cret" not in text


async def test_the_environment_and_cookies_have_no_say(
    scripted: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with http_client() as http, scripted({**EMPTY, "headers": {"Set-Cookie": "a=b; Path=/"}}) as script:
        client = KomboClient(http, Kombo.model_validate({"api_url": script.url, "api_key": "k"}), "workday:x")
        for _ in range(2):
            await client.users_by_remote_id("E1", deadline=1)
    assert len(script.requests) == 2
    assert "cookie" not in script.requests[1][2]
