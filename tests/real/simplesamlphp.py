"""SimpleSAMLphp as a throw-away IdP: its whole configuration is written by the test that runs it.

The PHP files only read JSON, so nothing has to be quoted for PHP. They are read again with every request, so what the
IdP does for one service provider can be changed while it runs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx

from bridge.demo.responses import IdpKey
from tests.support.needs import need
from tests.support.processes import free_port, started

HOME = Path("/usr/share/simplesamlphp")
EXTENSIONS = {"dom", "mbstring", "openssl", "session", "SimpleXML"}
PASSWORD = "correct horse: battery"
METADATA = "/saml2/idp/metadata.php"
BYE = f"{METADATA}?bye"

_READ = "<?php\n${name} = json_decode(file_get_contents(__DIR__ . '/{file}'), true, 32, JSON_THROW_ON_ERROR);\n"
_TRUSTED = """<?php
foreach (json_decode(file_get_contents(__DIR__ . '/trusted.json'), true) as $trusted) {
    $read = SimpleSAML\\Metadata\\SAMLParser::parseString($trusted['xml'])->getMetadata20SP();
    $metadata[$read['entityid']] = $trusted['options'] + $read;
}
"""


@dataclass
class SimpleSamlPhp:
    """A running IdP. It is on `localhost` and the bridge on `127.0.0.1`: two sites, as in life."""

    folder: Path
    port: int
    trusted: dict[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def entity_id(self) -> str:
        return f"{self.origin}/of-a-customer"

    @property
    def metadata_url(self) -> str:
        return f"{self.origin}{METADATA}"

    def metadata(self) -> bytes:
        """What it publishes of itself."""
        answer = httpx.get(self.metadata_url, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.content

    def trust(self, name: str, sp_metadata: bytes, options: Mapping[str, object]) -> None:
        """Register a service provider from its metadata, with options of `saml20-sp-remote`; again to change them."""
        self.trusted[name] = {"xml": sp_metadata.decode(), "options": dict(options)}
        _json(self.folder / "metadata" / "trusted.json", self.trusted)

    def renew_key(self) -> None:
        """From now on it signs with another key, and publishes that one alone."""
        key = IdpKey.generate("A customer's IdP")
        (self.folder / "cert" / "idp.pem").write_bytes(key.private_pem)
        (self.folder / "cert" / "idp.crt").write_text(key.certificate_pem)

    def log_out(self) -> httpx.URL:
        """The address by which a person logs out at the IdP, and so everywhere; it ends on a page of the IdP's own."""
        return httpx.URL(f"{self.origin}/saml2/idp/initSLO.php", params={"RelayState": f"{self.origin}{BYE}"})

    def unsolicited(self, sp_entity_id: str, relay_state: str) -> httpx.URL:
        """The address that starts a login from the IdP's side."""
        query = {"spentityid": sp_entity_id, "RelayState": relay_state}
        return httpx.URL(f"{self.origin}/saml2/idp/SSOService.php", params=query)


@contextlib.contextmanager
def simplesamlphp(folder: Path, users: Mapping[str, Mapping[str, str]]) -> Iterator[SimpleSamlPhp]:
    """An IdP with these users, attributes by user name; the password of each is `PASSWORD`."""
    need(HOME.is_dir(), "SimpleSAMLphp (Debian's simplesamlphp)")
    need(shutil.which("php"), "PHP's command line (Debian's php-cli)")
    missing = EXTENSIONS - _modules()
    need(not missing, f"the PHP extensions {', '.join(sorted(missing))}")
    idp = SimpleSamlPhp(folder, free_port())
    _configure(idp, users)
    command = ["php", "-d", f"session.save_path={folder}/sessions", "-S", f"127.0.0.1:{idp.port}", "-t", f"{HOME}/www"]
    environment = {"SIMPLESAMLPHP_CONFIG_DIR": str(folder / "config")}
    with started(command, folder / "php.log", env=environment) as server:
        server.wait_for_port(idp.port)
        yield idp


@cache
def _modules() -> set[str]:
    listed = subprocess.run(["php", "-m"], capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def _configure(idp: SimpleSamlPhp, users: Mapping[str, Mapping[str, str]]) -> None:
    for name in ("config", "metadata", "cert", "log", "data", "temporary", "sessions"):
        (idp.folder / name).mkdir(parents=True)
    idp.renew_key()
    known = {f"{user}:{PASSWORD}": attributes for user, attributes in users.items()}
    hosted = {
        "host": "__DEFAULT__",
        "privatekey": "idp.pem",
        "certificate": "idp.crt",
        "auth": "passwords",
        "sign.logout": True,
        "validate.logout": True,
    }
    _php(idp.folder / "config" / "config.php", "config", _config(idp))
    _php(idp.folder / "config" / "authsources.php", "config", {"passwords": {"0": "exampleauth:UserPass", **known}})
    _php(idp.folder / "metadata" / "saml20-idp-hosted.php", "metadata", {idp.entity_id: hosted})
    (idp.folder / "metadata" / "saml20-sp-remote.php").write_text(_TRUSTED)
    _json(idp.folder / "metadata" / "trusted.json", {})


def _config(idp: SimpleSamlPhp) -> dict[str, Any]:
    return {
        "baseurlpath": f"{idp.origin}/",
        "certdir": f"{idp.folder}/cert/",
        "loggingdir": f"{idp.folder}/log/",
        "datadir": f"{idp.folder}/data/",
        "tempdir": f"{idp.folder}/temporary",
        "metadatadir": f"{idp.folder}/metadata",
        "metadata.sources": [{"type": "flatfile"}],
        "secretsalt": token_hex(),
        "auth.adminpassword": token_hex(),
        "technicalcontact_name": "nobody",
        "technicalcontact_email": "nobody@example.org",
        "timezone": "UTC",
        "logging.handler": "file",
        "logging.logfile": "idp.log",
        "enable.saml20-idp": True,
        "module.enable": {"exampleauth": True, "core": True, "saml": True},
        "store.type": "phpsession",
        "session.cookie.secure": False,
        "session.cookie.samesite": "Lax",
        "session.phpsession.cookiename": "SimpleSAML",
        "session.phpsession.savepath": f"{idp.folder}/sessions",
        "language.available": ["en"],
        "language.default": "en",
        "usenewui": False,
        "authproc.idp": [],
    }


def _php(file: Path, name: str, content: object) -> None:
    _json(file.with_suffix(".json"), content)
    file.write_text(_READ.format(name=name, file=file.with_suffix(".json").name))


def _json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content))
