"""Who makes a request: PyJWT 2.15 or newer, with its extra `crypto`."""

import jwt

KEYS = jwt.PyJWKClient("http://127.0.0.1:8081/jwks.json", lifespan=300, cooldown_duration=10, timeout=5)


def identity(values: list[str]) -> dict:
    """The claims of the values of X-Kombo-Assertion; raises an exception for anything that is not good."""
    if len(values) != 1:
        raise jwt.InvalidTokenError("X-Kombo-Assertion has to stand exactly once")
    head = jwt.get_unverified_header(values[0])
    if head.get("typ") != "kombo-identity+jwt" or "kid" not in head:
        raise jwt.InvalidTokenError("another kind of token")
    return jwt.decode(
        values[0],
        KEYS.get_signing_key(head["kid"]),
        algorithms=["ES256"],
        audience="content-platform",  # `audience` in bridge.yaml
        issuer="https://learn.example.com",  # `public_url`
        leeway=30,
        options={"require": ["exp", "iat", "iss", "aud"]},
    )
