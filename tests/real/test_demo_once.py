"""`kombo-bridge demo --once`: one launch by script, told hop by hop, and the hop named that failed."""

from __future__ import annotations

import re
import subprocess
import sys

import jwt
import pytest

from bridge.demo.launches import groups
from bridge.simulator import seed
from tests.support.processes import kombo_bridge

PATIENCE_SECONDS = 60
HOP = re.compile(r"^(\d)\. (GET|POST) (http://[^ /]+)(\S+) -> (\d{3})(?: (\w+))?$", re.MULTILINE)
OTHERWISE = "import sys; from bridge.demo import once; from bridge.cli import main; once.KEY = sys.argv.pop(); main()"
"""The same command, launching another card."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def test_every_hop_is_told_and_what_the_platform_received() -> None:
    done = run(*kombo_bridge("demo", "--once"))
    assert (done.returncode, done.stderr) == (0, "")
    hops = HOP.findall(done.stdout)
    assert [(number, method, status, refused) for number, method, _, _, status, refused in hops] == [
        ("1", "GET", "303", ""),
        ("2", "GET", "303", ""),
        ("3", "GET", "200", ""),
        ("4", "POST", "303", ""),
        ("5", "GET", "200", ""),
    ]
    assert [path for *_, path, _, _ in hops][1::3] == ["/courses/cybersecurity-101"] * 2
    assert len({origin for _, _, origin, *_ in hops}) == 2, "the IdP is on another host than the bridge"
    told = dict(re.findall(r"^  (x-kombo-[a-z-]+): (.*)$", done.stdout, re.MULTILINE))
    assert told["x-kombo-user"] == seed.JANE.id
    assert told["x-kombo-remote-id"] == seed.JANE.remote_id
    assert (told["x-kombo-tenant"], told["x-kombo-course"]) == ("acme", "cybersecurity-101")
    claims = jwt.decode(told["x-kombo-assertion"], options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == (f"acme:{seed.JANE.id}", "content-platform")


@pytest.mark.parametrize(
    ("card", "hops", "failed"),
    [
        ("forged", 4, r"hop 4 failed: POST http://127\.0\.0\.1:\d+/_bridge/saml/acme/acs answered 403 saml_rejected"),
        (
            "not-enrolled",
            5,
            r"hop 5 failed: GET http://127\.0\.0\.1:\d+/courses/cybersecurity-101 answered 403 not_enr",
        ),
    ],
)
def test_the_hop_that_failed_is_named(card: str, hops: int, failed: str) -> None:
    assert card in {card.key for group in groups() for card in group.cards}
    done = run(sys.executable, "-c", OTHERWISE, "demo", "--once", card)
    assert done.returncode == 1
    assert len(HOP.findall(done.stdout)) == hops
    assert "received" not in done.stdout
    [line] = done.stderr.splitlines()
    assert re.match(f"kombo-bridge: {failed}", line), line
