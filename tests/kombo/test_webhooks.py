"""Kombo's webhooks as bytes: the signature over exactly those, and a reading that nothing upsets."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.kombo.webhooks import DataChanged, UnreadableWebhook, Webhook, read, signature, signer

HERE = Path(__file__).parent
VECTOR = (HERE / "webhook-vector.json").read_bytes()
SECRET, SIGNATURE = "test-webhook-secret", b"gFhBqhiVCV4Csgt1KL8v0PY3DfIWmBkfJhM_EzwOkyc"
CASES: list[dict[str, Any]] = yaml.safe_load((HERE / "webhooks.yaml").read_text())


def test_the_vector() -> None:
    assert len(VECTOR) == 342
    assert signature(SECRET, VECTOR) == SIGNATURE
    webhook = Webhook(
        "udcUMbfv9YkHqPY3uGiCpWsz",
        "data-changed",
        "sandbox:7C9M5sXAQx2cNMpVHLojrFpL",
        DataChanged(frozenset({"lms_users", "lms_course_progressions"})),
    )
    assert read(VECTOR) == webhook


@pytest.mark.parametrize(
    ("claimed", "body"),
    [
        (SIGNATURE, VECTOR + b"\n"),
        (SIGNATURE, VECTOR.replace(b"\n", b"\r\n")),
        (SIGNATURE, VECTOR.replace(b"  ", b"")),
        (SIGNATURE, b""),
        (SIGNATURE + b"=", VECTOR),
        (SIGNATURE.lower(), VECTOR),
        (SIGNATURE[:-1] + b"d", VECTOR),
        (SIGNATURE.replace(b"_", b"/"), VECTOR),
        (b"", VECTOR),
    ],
    ids=["line end", "CRLF", "without blanks", "empty", "padded", "case", "the last two bits", "base64", "none"],
)
def test_only_the_very_bytes_and_the_very_signature_count(claimed: bytes, body: bytes) -> None:
    assert signer(claimed, body, [SECRET]) is None


def test_the_secret_that_signed_is_found_among_others() -> None:
    assert signer(SIGNATURE, VECTOR, ["another", SECRET, "test-webhook-secret2"]) == SECRET
    assert signer(SIGNATURE, VECTOR, []) is None


def body_of(case: dict[str, Any]) -> bytes:
    text = case["body"].replace("…", case.get("repeated", "") * case.get("times", 0))
    return bytes(text.encode("latin-1" if case.get("latin") else "utf-8"))


@pytest.mark.parametrize("case", [case for case in CASES if "reads" in case], ids=lambda case: case["case"])
def test_what_is_read(case: dict[str, Any]) -> None:
    webhook = read(body_of(case))
    found: dict[str, Any] = {"type": webhook.type, "integration": webhook.integration_id, "event": webhook.event}
    names = getattr(webhook.event, "__dataclass_fields__", {})
    found |= {name: plain(getattr(webhook.event, name)) for name in names}
    assert {name: found[name] for name in case["reads"]} == case["reads"]


def plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.mark.parametrize("case", [case for case in CASES if "reads" not in case], ids=lambda case: case["case"])
def test_what_is_no_webhook(case: dict[str, Any]) -> None:
    with pytest.raises(UnreadableWebhook) as caught:
        read(body_of(case))
    assert len(str(caught.value)) < 100, "nothing of the body is repeated"
