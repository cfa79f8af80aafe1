"""A certificate authority of this machine's own, so that TLS works without anybody's help.

Google's Python SDK dials `wss://` whatever it is told, and verifies. So the first start makes
an authority, signs a certificate for the addresses served, and writes a *bundle*: the public
roots and ours, because `SSL_CERT_FILE` replaces the default store and does not add to it.

Files, all readable by the user alone, in one folder:

    ca.pem, ca.key        the authority, ten years
    server.pem, server.key  the certificate with its chain, one year, renewed a month early
    bundle.pem            certifi's roots and ca.pem
    own-bundle.pem        certifi's roots and the certificate that the user brought

Several servers may start at once: whoever holds the lock file writes, and every file appears
whole, by renaming.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from vivavoce.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
ALWAYS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """Where the files are. `bundle` is what a client is told to trust."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle.pem"


def prepare_authority(
    folder: Path, names: Sequence[str] = (), now: datetime.datetime | None = None
) -> CertificateAuthority:
    """The authority of this folder, made or renewed as needed, its certificate covering `names`.

    Names that an earlier certificate covered stay covered, so that two servers on one machine
    do not take each other's away. `now` is a moment in UTC.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    authority = CertificateAuthority(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock(folder):
        signer = _signer(authority, now)
        wanted = {*ALWAYS, *names}
        if (covered := _covered(authority, signer[0], now)) is None or not wanted <= covered:
            _issue(authority, signer, sorted(wanted | (covered or set())), now)
        _bundle(authority.bundle, authority.ca)
    return authority


def prepare_for_server(
    host: str, names: Sequence[str] = (), folder: Path | None = None
) -> CertificateAuthority:
    """The authority of a server that listens on `host`; by default in the user's data folder.

    Raises `ConfigError` if the folder cannot be written.
    """
    own = machine_names() if host in ("", "0.0.0.0", "::") else [host]
    try:
        return prepare_authority(folder or default_folder(), [*names, *own])
    except OSError as error:
        raise ConfigError(
            f"The local certificate authority cannot be kept: {error}.",
            "Make the folder writable, or set server.tls.enabled = false.",
        ) from None


def machine_names() -> list[str]:
    """By what other machines call this one: its name, and the addresses that it sends from."""
    name = socket.gethostname()
    names = [name, f"{name}.local"] if "." not in name else [name]
    for family, beyond in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        # Connecting a datagram socket sends nothing: it asks the system for a route.
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((beyond, 9))
            names.append(str(probe.getsockname()[0]))
    return names


def write_bundle(certificate: Path, folder: Path | None = None) -> Path:
    """What a client is told to trust when the server has a certificate of the user's own.

    Raises `ConfigError` if the certificate cannot be read or the folder cannot be written.
    """
    folder = folder or default_folder()
    bundle = folder / "own-bundle.pem"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _bundle(bundle, certificate)
    except OSError as error:
        raise ConfigError(
            f"No bundle can be made of the certificate {certificate}: {error}.",
            "Check server.tls.certificate, and that the folder of user data is writable.",
        ) from None
    return bundle


def default_folder() -> Path:
    """Where the authority of this machine's user lies."""
    return Path(platformdirs.user_data_dir("vivavoce", appauthor=False)) / "tls"


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context. Raises `OSError` or `ssl.SSLError` when the files do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _signer(
    authority: CertificateAuthority, now: datetime.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority's certificate and key; made anew when absent, broken or near its end."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        certificate = x509.load_pem_x509_certificate(authority.ca.read_bytes())
        key = serialization.load_pem_private_key(authority.ca_key.read_bytes(), password=None)
        lasts = certificate.not_valid_after_utc - now > datetime.timedelta(days=SERVER_DAYS)
        if isinstance(key, ec.EllipticCurvePrivateKey) and lasts:
            return certificate, key
    except (OSError, ValueError):
        pass
    fresh = ec.generate_private_key(ec.SECP256R1())
    made = _authority_certificate(fresh, now)
    _write(authority.ca_key, _private(fresh))
    _write(authority.ca, made.public_bytes(serialization.Encoding.PEM))
    return made, fresh


def _authority_certificate(
    key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = _name("vivavoce local CA")
    public = key.public_key()
    return (
        _builder(name, name, public, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _issue(
    authority: CertificateAuthority,
    signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    names: Sequence[str],
    now: datetime.datetime,
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    ca, ca_key = signer
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(_name("vivavoce"), ca.subject, public, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(issuer_key, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    _write(authority.key, _private(key))
    _write(authority.certificate, certificate.public_bytes(pem) + ca.public_bytes(pem))


def _covered(
    authority: CertificateAuthority, ca: x509.Certificate, now: datetime.datetime
) -> set[str] | None:
    """The names that the present certificate covers; `None` if it must be replaced anyway."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
        key = serialization.load_pem_private_key(authority.key.read_bytes(), password=None)
        certificate.verify_directly_issued_by(ca)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return None
    lasts = certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS)
    if not lasts or key.public_key() != certificate.public_key():
        return None
    return {str(name.value) for name in names}


def _bundle(bundle: Path, certificate: Path) -> None:
    import certifi

    roots = Path(certifi.where()).read_bytes()
    whole = roots.rstrip() + b"\n\n# vivavoce\n" + certificate.read_bytes()
    try:
        if bundle.read_bytes() == whole:
            return
    except OSError:
        pass
    _write(bundle, whole)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    days: int,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # An hour of grace, for clients whose clock is behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "vivavoce"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    """The whole file or none of it, readable by the user alone (`mkstemp` makes it 0600)."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One process at a time. Where the system has no file locks, renaming alone must do."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
