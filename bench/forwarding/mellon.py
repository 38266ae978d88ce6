"""Apache with mod_auth_mellon: the peer that does the same job, SAML included."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.forwarding.machine import PROXY_CORE, pin
from bench.forwarding.sides import LEARNER, Missing, Side, needed
from bridge.demo.responses import IdpKey, idp_metadata, signed_response
from tests.support.deployment import idp_key
from tests.support.processes import free_port, started
from tests.support.stage import Asked

MODULES = Path("/usr/lib/apache2/modules")
HOW = "apt-get install apache2-bin libapache2-mod-auth-mellon"
IDP = "http://localhost:7000/mellon"
LOADED = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "auth_mellon")

CONFIG = """
ServerRoot {folder}
ServerName 127.0.0.1
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog /dev/stderr
LogLevel warn
{modules}
{user}
Listen 127.0.0.1:{port}
StartServers 1
ServerLimit 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
KeepAlive On
MaxKeepAliveRequests 0

MellonLockFile {folder}/lock
<Location />
  AuthType Mellon
  Require valid-user
  MellonEnable auth
  MellonEndpointPath /mellon
  MellonSPPrivateKeyFile {folder}/sp.key
  MellonSPCertFile {folder}/sp.crt
  MellonIdPMetadataFile {folder}/idp.xml
  RequestHeader set X-Kombo-User %{{MELLON_NAME_ID}}e
  RequestHeader set X-Kombo-Email %{{MELLON_email}}e
  RequestHeader set X-Kombo-Name %{{MELLON_name}}e
</Location>
<Location /static/>
  AuthType None
  Require all granted
  MellonEnable off
  RequestHeader unset X-Kombo-User
  RequestHeader unset X-Kombo-Email
  RequestHeader unset X-Kombo-Name
</Location>
ProxyPreserveHost On
ProxyPass /mellon/ !
ProxyPass / {upstream}/ keepalive=On
"""


@asynccontextmanager
async def mellon(folder: Path, upstream: str) -> AsyncIterator[Side]:
    """Apache's event MPM with one process, so that its threads share the session; yields after a real login."""
    apache = needed("apache2", HOW)
    absent = [name for name in LOADED if not (MODULES / f"mod_{name}.so").exists()]
    if absent:
        raise Missing(f"Apache's module {absent[0]} is missing: {HOW}")
    home, port = folder / "mellon", free_port()
    home.mkdir()
    config = write(home, port, upstream)
    with started([apache, "-DFOREGROUND", "-f", config], home / "log") as running:
        await asyncio.to_thread(running.wait_for_port, port)
        pin([running.process.pid], PROXY_CORE)
        url = f"http://127.0.0.1:{port}"
        yield Side("Apache + mod_auth_mellon", url, (running.process.pid,), (await sign_in(url),))


def write(home: Path, port: int, upstream: str) -> Path:
    """The configuration, the SP's key and the IdP's metadata; returns the first."""
    own = IdpKey.generate("bench")
    (home / "sp.key").write_bytes(own.private_pem)
    (home / "sp.crt").write_text(own.certificate_pem)
    (home / "idp.xml").write_bytes(idp_metadata(IDP, idp_key(), f"{IDP}/sso"))
    config = home / "apache.conf"
    config.write_text(
        CONFIG.format(
            folder=home,
            port=port,
            upstream=upstream,
            modules="\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED),
            user="User nobody\nGroup nogroup" if os.geteuid() == 0 else "",
        )
    )
    return config


async def sign_in(url: str) -> str:
    """A login by SAML, as the bench's IdP; returns the header that a browser sends from then on."""
    async with httpx.AsyncClient(base_url=url) as client:
        location = (await client.get("/my")).headers["location"]
        while not location.startswith(IDP):
            location = (await client.get(location)).headers["location"]
        asked = Asked.of(location)
        response = signed_response(
            idp_key(),
            issuer=IDP,
            acs=asked.acs,
            audience=asked.issuer,
            in_response_to=asked.id,
            name_id=LEARNER.id,
            attributes={"email": LEARNER.email or "", "name": f"{LEARNER.first_name} {LEARNER.last_name}"},
            now=datetime.now(UTC),
        )
        answer = await client.post(asked.acs, data={"SAMLResponse": response, "RelayState": asked.relay_state})
        assert answer.status_code == 303, f"mod_auth_mellon did not let the learner in: {answer.text}"
        return "Cookie: " + "; ".join(f"{name}={value}" for name, value in client.cookies.items())
