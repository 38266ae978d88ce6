"""What a response costs to verify: CPU of the bridge against plain python3-saml with cached settings, in turns.

    python -m bench.saml [--rounds 9] [--seconds 0.5]

Both sides get the same response of about 9 kB (ten attributes, twenty groups), signed, and signed and then encrypted
(AES-256-GCM, RSA-OAEP). Before anything is timed each side has to read the right NameID from it and to refuse it with
one letter changed. python3-saml keeps its settings from one response to the next and is as strict as it can be. The
machine may be shared and noisy, so sides alternate within each round, and the figures to quote are the medians of the
rounds' ratios, never a bare time.
"""

from __future__ import annotations

import argparse
import base64
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from bridge.demo.encryption import Encryption
from bridge.demo.responses import IdpKey, signed_response
from bridge.errors import SamlRefusal
from bridge.saml.keys import new_key
from bridge.saml.model import Expectation, IdentityProvider, ServiceProvider, SpKey
from bridge.saml.verify import verify

ISSUER = "https://idp.example.com/metadata"
ACS = "https://learn.example.com/_bridge/saml/acme/acs"
ENTITY_ID = "https://learn.example.com/_bridge/saml/acme/metadata"
REQUEST = "_a-request-of-ours"
NAME_ID = "jane.doe@acme.com"
TARGETS = {"signed": 0.5, "encrypted": 0.25}

Side = Callable[[str], str | None]
"""The NameID of a response, None where it is refused."""


@dataclass(frozen=True)
class Parties:
    """Both keys, made once."""

    idp: IdpKey
    sp: SpKey

    def bridge(self) -> Side:
        provider = IdentityProvider(ISSUER, (self.idp.certificate_pem,), "https://idp.example.com/sso")
        expected = Expectation(provider, ServiceProvider(ENTITY_ID, ACS), REQUEST, keys=(self.sp,))

        def read(response: str) -> str | None:
            try:
                return verify(response, expected, now=datetime.now(UTC)).name_id
            except SamlRefusal:
                return None

        return read

    def python3_saml(self) -> Side:
        settings = OneLogin_Saml2_Settings(
            {
                "strict": True,
                "sp": {
                    "entityId": ENTITY_ID,
                    "assertionConsumerService": {"url": ACS},
                    "x509cert": self.sp.certificate_pem,
                    "privateKey": self.sp.private_pem.decode(),
                },
                "idp": {
                    "entityId": ISSUER,
                    "singleSignOnService": {"url": "https://idp.example.com/sso"},
                    "x509cert": self.idp.certificate_pem,
                },
                "security": {"wantAssertionsSigned": True, "rejectDeprecatedAlgorithm": True},
            }
        )
        acs = urlsplit(ACS)
        request = {"https": "on", "http_host": acs.netloc, "script_name": acs.path, "get_data": {}}

        def read(response: str) -> str | None:
            answer = OneLogin_Saml2_Response(settings, response)
            valid = answer.is_valid(request | {"post_data": {"SAMLResponse": response}}, REQUEST)
            return str(answer.get_nameid()) if valid else None

        return read

    def response(self, *, encrypted: bool) -> str:
        attributes: dict[str, str | list[str]] = {f"attribute-{number}": f"value {number}" for number in range(9)}
        return signed_response(
            self.idp,
            issuer=ISSUER,
            acs=ACS,
            audience=ENTITY_ID,
            in_response_to=REQUEST,
            name_id=NAME_ID,
            attributes=attributes | {"groups": [f"cn=group-{number},ou=learning,dc=acme" for number in range(20)]},
            now=datetime.now(UTC),
            encryption=Encryption(self.sp.certificate_pem) if encrypted else None,
        )


def check(name: str, side: Side, response: str) -> None:
    """Refuse to time a side that gets it wrong."""
    changed = base64.b64encode(base64.b64decode(response).replace(b"</", b"x</", 1)).decode()
    assert side(response) == NAME_ID, f"{name} does not read the response"
    assert side(changed) is None, f"{name} accepts a changed response"


def measure(side: Side, response: str, seconds: float) -> float:
    """CPU seconds of one response."""
    done, before, end = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        side(response)
        done += 1
    return (time.process_time() - before) / done


def run(rounds: int, seconds: float) -> None:
    parties = Parties(IdpKey.generate(), new_key("bench", datetime.now(UTC)))
    sides = {"python3-saml": parties.python3_saml(), "bridge": parties.bridge()}
    print(f"{'':10} {'python3-saml':>13} {'bridge':>8}   {'ratio':>6}  [min-max of the rounds]  target")
    for kind, target in TARGETS.items():
        response = parties.response(encrypted=kind == "encrypted")
        for name, side in sides.items():
            check(name, side, response)
        found: list[dict[str, float]] = []
        for number in range(rounds):
            order = list(sides) if number % 2 else list(reversed(sides))
            found.append({name: measure(sides[name], response, seconds) for name in order})
        ratios = [each["bridge"] / each["python3-saml"] for each in found]
        peer, ours = (statistics.median(each[name] for each in found) * 1000 for name in sides)
        spread = f"[{min(ratios):.2f}-{max(ratios):.2f}]"
        print(f"{kind:10} {peer:10.2f} ms {ours:5.2f} ms   {statistics.median(ratios):6.2f}  {spread:24} {target}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    run(arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
