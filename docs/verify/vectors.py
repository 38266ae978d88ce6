"""Test vectors for whoever verifies X-Kombo-Assertion: what has to be accepted, and what has to be refused.

    python docs/verify/vectors.py            # vectors.json as it is committed: as of a fixed moment
    python docs/verify/vectors.py --now      # as of this moment, for verifiers whose clock cannot be set

The keys are made from their names, so that equal moments give equal bytes. They are for tests, and everybody has them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_767_225_600
ISSUER, AUDIENCE, TYPE, LEEWAY = "https://learn.example.com", "content-platform", "kombo-identity+jwt", 30
HEADER = "X-Kombo-Assertion"

Claims = dict[str, Any]
Headers = list[tuple[str, str]]


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def key(name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    digest = hashlib.sha256(f"kombo-bridge test vectors: {name}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest, "big"), curve or ec.SECP256R1())


def jwk(private: ec.EllipticCurvePrivateKey, **more: str) -> dict[str, str]:
    numbers, size = private.public_key().public_numbers(), (private.key_size + 7) // 8
    x, y = (base64url(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": f"P-{private.key_size}", "x": x, "y": y, "use": "sig", **more}


CURRENT, NEXT, UNPUBLISHED = key("current"), key("next"), key("unpublished")
OTHER_CURVE, STRANGER_384 = key("other curve", ec.SECP384R1()), key("stranger", ec.SECP384R1())
STRANGER = key("stranger")
SHARED = hashlib.sha256(b"shared").digest()
STRANGER_ED25519 = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"stranger").digest())
# Some keys are there for something else, as other sets may have them: only ES256 counts, and only by its id.
JWKS = {
    "keys": [
        jwk(CURRENT, kid="current", alg="ES256"),
        jwk(NEXT, kid="next", alg="ES256"),
        jwk(OTHER_CURVE, kid="other-curve", alg="ES384"),
        jwk(STRANGER),
        jwk(CURRENT, kid="no-point", alg="ES256") | {"x": base64url(bytes(31) + bytes([5]))},
        {"kty": "RSA", "kid": "rsa", "use": "sig", "n": base64url(bytes([129]) * 256), "e": "AQAB"},
        {"kty": "oct", "kid": "oct", "use": "sig", "k": base64url(SHARED)},
    ]
}
PUBLIC = CURRENT.public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def ecdsa(private: ec.EllipticCurvePrivateKey, hash: HashAlgorithm | None = None) -> Callable[[bytes], bytes]:
    """A signature as JWS has it (RFC 7518, 3.4): r and s, each as long as the curve's field."""
    size = (private.key_size + 7) // 8

    def sign(signed: bytes) -> bytes:
        r, s = decode_dss_signature(der(private, hash)(signed))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


def der(private: ec.EllipticCurvePrivateKey, hash: HashAlgorithm | None = None) -> Callable[[bytes], bytes]:
    return lambda signed: private.sign(signed, ec.ECDSA(hash or SHA256(), deterministic_signing=True))


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda signed: hmac.digest(secret, signed, "sha256")


def json_of(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def segment(value: object) -> str:
    return base64url(json_of(value))


def without(values: dict[str, Any]) -> dict[str, Any]:
    """What is None is left out."""
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Case:
    """One request. `claims` are what a verifier has to find; None where it has to refuse."""

    name: str
    headers: Headers
    claims: Claims | None = None

    @property
    def expected(self) -> Claims | str:
        return "refused" if self.claims is None else {"claims": self.claims}


class Maker:
    """Requests as of a moment, in seconds since 1970."""

    def __init__(self, now: int) -> None:
        self.now = now

    def claims(self, **changes: Any) -> Claims:
        """Of an ordinary launch."""
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": self.now,
            "exp": self.now + 60,
            "sub": "acme:6nYhGx3kQpWcVbT2mRzLdE4s",
            "tenant": "acme",
            "integration_id": "workday:HWUTwvyx2wLoSUHphiWVrp28",
            "kombo_user": "6nYhGx3kQpWcVbT2mRzLdE4s",
            "remote_id": "E12345",
            "email": "zoe.muller@acme.com",
            "name": "Zoë Müller 山田",
            "match": "attribute",
            "auth_time": self.now - 600,
            "course": "cybersecurity-101",
            "enrollment": "ENROLLED",
            "progression": "8fJq2ZtVbXcY5nMwRkLpHs3d",
            "gate": "fresh",
        }
        return without(said | changes)

    def nobody(self) -> Claims:
        return {name: value for name, value in self.claims().items() if name in ("iss", "aud", "iat", "exp")}

    def token(self, claims: Claims | None = None, sign: Callable[[bytes], bytes] | None = None, **head: Any) -> str:
        """Signed by the current key, unless said otherwise; a part of the head that is None is left out."""
        said = without({"alg": "ES256", "kid": "current", "typ": TYPE} | head)
        signed = f"{segment(said)}.{segment(self.claims() if claims is None else claims)}"
        return f"{signed}.{base64url((sign or ecdsa(CURRENT))(signed.encode()))}"

    def good(self) -> list[Case]:
        unmatched = self.claims(
            sub=f"acme:unmatched:{hashlib.sha256(b'a NameID').hexdigest()}",
            match=None,
            enrollment="LIBRARY",
            gate="library",
            **dict.fromkeys(("kombo_user", "remote_id", "email", "name", "progression")),
        )
        elsewhere = dict.fromkeys(("email", "name", "course", "enrollment", "progression", "gate"))
        said = {
            "a learner on a course route": self.claims(),
            "a learner elsewhere, of whom ids are shared": self.claims(**elsewhere),
            "somebody unmatched whom the tenant lets pass": unmatched,
            "nobody: a public route, or an optional one without a session": self.nobody(),
            "expired 15 s ago: within the leeway": self.claims(iat=self.now - 75, exp=self.now - 15),
            "issued in 15 s: within the leeway": self.claims(iat=self.now + 15, exp=self.now + 75),
        }
        good = [Case(name, [(HEADER, self.token(claims))], claims) for name, claims in said.items()]
        upcoming = self.token(sign=ecdsa(NEXT), kid="next")
        return [
            *good,
            Case("signed by the other published key", [(HEADER, upcoming)], self.claims()),
            Case("the header in lower case", [(HEADER.lower(), self.token())], self.claims()),
        ]

    def bad_claims(self) -> dict[str, str]:
        return {
            "for another audience": self.token(self.claims(aud="another-platform")),
            "for no audience": self.token(self.claims(aud=None)),
            "by another issuer": self.token(self.claims(iss="https://learn.example.com.evil.example")),
            "by no issuer": self.token(self.claims(iss=None)),
            "expired": self.token(self.claims(iat=self.now - 105, exp=self.now - 45)),
            "from the future": self.token(self.claims(iat=self.now + 600, exp=self.now + 660)),
            "issued in 45 s: beyond the leeway": self.token(self.claims(iat=self.now + 45, exp=self.now + 105)),
            "without exp": self.token(self.claims(exp=None)),
            "without iat": self.token(self.claims(iat=None)),
            "not valid before next hour": self.token(self.claims(nbf=self.now + 3600)),
        }

    def bad_heads(self) -> dict[str, str]:
        attacker = jwk(STRANGER, kid="stranger", alg="ES256")
        forged, url = ecdsa(STRANGER), "http://127.0.0.1:1/keys"
        return {
            "alg none": self.token(sign=lambda _: b"", alg="none"),
            "alg None": self.token(sign=lambda _: b"", alg="None"),
            "alg none with a good token's signature": self.token(alg="none"),
            "no alg": self.token(alg=None),
            "HS256 with the public key as PEM": self.token(sign=hs256(PEM), alg="HS256"),
            "HS256 with the public key as DER": self.token(sign=hs256(DER), alg="HS256"),
            "HS256 with the public key as JWK": self.token(
                sign=hs256(json.dumps(JWKS["keys"][0]).encode()), alg="HS256"
            ),
            "HS256 with the JWKS": self.token(sign=hs256(json.dumps(JWKS).encode()), alg="HS256"),
            "HS256 with a published secret": self.token(sign=hs256(SHARED), alg="HS256", kid="oct"),
            "HS256 with an empty secret": self.token(sign=hs256(b""), alg="HS256"),
            "an unknown kid": self.token(sign=ecdsa(UNPUBLISHED), kid="unpublished"),
            "an unknown kid that is a path": self.token(sign=ecdsa(UNPUBLISHED), kid="../../dev/null"),
            "no kid": self.token(kid=None),
            "no kid, and a published key without one": self.token(sign=ecdsa(STRANGER), kid=None),
            "an empty kid, and a published key without one": self.token(sign=ecdsa(STRANGER), kid=""),
            "an empty kid": self.token(kid=""),
            "a kid that is a list": self.token(kid=["current"]),
            "the kid of the other published key": self.token(kid="next"),
            "typ JWT": self.token(typ="JWT"),
            "no typ": self.token(typ=None),
            "typ of another kind of token": self.token(typ="at+jwt"),
            "crit": self.token(crit=["exp"]),
            "crit with b64": self.token(crit=["b64"], b64=False),
            "its own key in jwk": self.token(sign=forged, kid="stranger", jwk=attacker),
            "its own key in jwk, under our kid": self.token(sign=forged, jwk=attacker),
            "its own keys by jku": self.token(sign=forged, jku=url),
            "its own certificate by x5u": self.token(sign=forged, x5u=url),
            "its own certificate in x5c": self.token(sign=forged, x5c=[base64.b64encode(DER).decode()]),
        }

    def bad_signatures(self) -> dict[str, str]:
        good = self.token()
        head, claims, signature = good.split(".")
        other = segment(self.claims(sub="acme:somebody-else", kombo_user="somebody-else"))
        return {
            "another key under our kid": self.token(sign=ecdsa(STRANGER)),
            "the claims changed": f"{head}.{other}.{signature}",
            "the head changed": f"{segment({'kid': 'current', 'alg': 'ES256', 'typ': TYPE})}.{claims}.{signature}",
            "the signature changed": f"{head}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
            "the signature cut short": good[:-8],
            "the signature left out": f"{head}.{claims}.",
            "no third part": f"{head}.{claims}",
            "a signature of zeros": self.token(sign=lambda _: bytes(64)),
            "a signature of r and s = 0, as DER": self.token(sign=lambda _: bytes.fromhex("3006020100020100")),
            "a good signature as DER": self.token(sign=der(CURRENT)),
            "another curve under our kid": self.token(sign=ecdsa(STRANGER_384, SHA384()), alg="ES384"),
            "another curve that calls itself ES256": self.token(sign=ecdsa(STRANGER_384)),
            "another curve's published key": self.token(
                sign=ecdsa(OTHER_CURVE, SHA384()), alg="ES384", kid="other-curve"
            ),
            "a published key that is no point of the curve": self.token(kid="no-point"),
            "another curve's published key as ES256": self.token(sign=ecdsa(OTHER_CURVE), kid="other-curve"),
            "Ed25519": self.token(sign=STRANGER_ED25519.sign, alg="EdDSA"),
        }

    def bad_values(self) -> dict[str, str]:
        good = self.token()
        head, claims, signature = good.split(".")
        return {
            "an empty header": "",
            "only blanks": "   ",
            "a word": "admin",
            "three empty parts": "..",
            "two tokens, joined by a comma": f"{good},{good}",
            "two tokens, joined by a comma and a blank": f"{good}, {good}",
            "two tokens, joined by a blank": f"{good} {good}",
            "a word before the token": f"Bearer {good}",
            "five parts": f"{good}.{claims}.{signature}",
            "JWS in JSON": json.dumps({"protected": head, "payload": claims, "signature": signature}),
            "16 KB of a stranger's": self.token(self.claims(name="x" * 12_000), sign=ecdsa(STRANGER)),
        }

    def bad_headers(self) -> dict[str, Headers]:
        good, stranger = self.token(), self.token(self.claims(sub="acme:stranger"), sign=ecdsa(STRANGER))
        return {
            "no header": [],
            "under another name": [("Authorization", f"Bearer {good}")],
            "the header twice": [(HEADER, good), (HEADER, good)],
            "the header twice, once forged": [(HEADER, stranger), (HEADER, good)],
            "the header twice, the latter forged": [(HEADER, good), (HEADER, stranger)],
            "the header twice, once in lower case": [(HEADER, good), (HEADER.lower(), good)],
            "the header twice, once empty": [(HEADER, good), (HEADER, "")],
        }

    def cases(self) -> list[Case]:
        bad = self.bad_claims() | self.bad_heads() | self.bad_signatures() | self.bad_values()
        requests = {name: [(HEADER, token)] for name, token in bad.items()} | self.bad_headers()
        return [*self.good(), *(Case(name, headers) for name, headers in requests.items())]


def document(now: int) -> dict[str, Any]:
    """As of a moment, in seconds since 1970; all cases are to be judged at it."""
    cases = [{"name": case.name, "headers": case.headers, "expect": case.expected} for case in Maker(now).cases()]
    return {"now": now, "issuer": ISSUER, "audience": AUDIENCE, "leeway": LEEWAY, "jwks": JWKS, "cases": cases}


if __name__ == "__main__":
    moment = int(time.time()) if "--now" in sys.argv[1:] else NOW
    print(json.dumps(document(moment), indent=1))
