"""Certificates for a sandbox that speaks TLS: a valid one, and one for each defect that a client must detect."""

import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY: Final = timedelta(days=1)
_OTHER_HOST: Final = "other.example"


class Certificate(StrEnum):
    """Which certificate a sandbox presents.

    All but the self-signed one are issued by the sandbox's own authority, so that a client that trusts the authority
    rejects the expired one, and the one of another host, for this reason alone.
    """

    VALID = "valid"
    EXPIRED = "expired"
    OTHER_HOST = "other-host"
    SELF_SIGNED = "self-signed"


class Authority:
    """A certificate authority for one kind of certificate; it exists in memory alone."""

    def __init__(self, kind: Certificate) -> None:
        self._kind = kind
        self._key = generate_private_key(SECP256R1())
        self._name = _name("balancekit sandbox authority")
        self._certificate = self._issue(self._key, self._name, x509.BasicConstraints(ca=True, path_length=0))

    def client_context(self) -> ssl.SSLContext:
        """Return the settings of a client that trusts this authority and no other."""
        return ssl.create_default_context(cadata=_pem(self._certificate).decode())

    def server_context(self, host: str) -> ssl.SSLContext:
        """Return the settings of a server that presents a new certificate for a host."""
        named = _OTHER_HOST if self._kind is Certificate.OTHER_HOST else host
        key = generate_private_key(SECP256R1())
        certificate = self._issue(
            key,
            _name(named),
            x509.SubjectAlternativeName([_general_name(named)]),
            expired=self._kind is Certificate.EXPIRED,
            self_signed=self._kind is Certificate.SELF_SIGNED,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # OpenSSL reads only from files; they are deleted before any client connects.
        with tempfile.TemporaryDirectory() as directory:
            chain = Path(directory, "chain.pem")
            chain.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + _pem(certificate))
            context.load_cert_chain(chain)
        return context

    def _issue(
        self,
        key: EllipticCurvePrivateKey,
        name: x509.Name,
        purpose: x509.BasicConstraints | x509.SubjectAlternativeName,
        *,
        expired: bool = False,
        self_signed: bool = False,
    ) -> x509.Certificate:
        # Around the machine's time, not the sandbox's, because OpenSSL checks against that.
        now = datetime.now(UTC)
        issuer_key = key if self_signed else self._key
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if self_signed else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now - _DAY if expired else now + _DAY)
            .add_extension(purpose, critical=isinstance(purpose, x509.BasicConstraints))
            # Python 3.13 checks strictly and requires both identifiers.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if isinstance(purpose, x509.BasicConstraints):
            builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        return builder.sign(issuer_key, SHA256())


_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
