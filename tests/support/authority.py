"""A certificate authority of one test run, for servers that the bridge talks to over TLS."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Authority:
    """Signs certificates; `pem` is the file with its own."""

    folder: Path
    pem: Path
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def made(cls, folder: Path) -> Authority:
        authority = cls(folder, folder / "ca.pem", ec.generate_private_key(ec.SECP256R1()))
        made = authority._sign("authority", authority.key, x509.BasicConstraints(ca=True, path_length=None))
        authority.pem.write_bytes("Unsere Prüfstelle\n".encode() + made)
        return authority

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType, days: int = 1
    ) -> bytes:
        now, number = datetime.datetime.now(datetime.UTC), x509.random_serial_number()
        builder = x509.CertificateBuilder(_named("authority"), _named(name), key.public_key(), number)
        builder = builder.not_valid_before(now - datetime.timedelta(days=9))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def certificate(self, *names: str, days: int = 1) -> Path:
        """A key and its certificate for these names and addresses, in one file."""
        said = x509.SubjectAlternativeName([_general(name) for name in names])
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{len(list(self.folder.iterdir()))}.pem"
        path.write_bytes(private + self._sign("platform", key, said, days=days))
        return path
