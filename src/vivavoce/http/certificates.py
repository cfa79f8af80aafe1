"""Keep a certificate authority for this machine, so that TLS works without set-up.

Google's Python SDK dials `wss://` whatever it is configured to, and verifies. So the first start
makes an authority, signs a certificate for the addresses served, and writes a *bundle*: the public
roots and ours, because `SSL_CERT_FILE` replaces the default store and does not add to it.

Files, all readable by the user alone, in one folder:

    ca.pem, ca.key        the authority, ten years
    server.pem, server.key  the certificate with its chain, one year, renewed a month early
    bundle.pem            certifi's roots and ca.pem
    own-bundle.pem        certifi's roots and the certificate that the user brought

Several servers may start at once: the one with the lock file writes, and every file appears
whole, by renaming. (`trustme` would not do: its authorities do not end, and its certificates may
sign code.)
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

import certifi
import platformdirs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vivavoce.errors import ConfigError

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
ALWAYS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """Paths of an authority's files; clients trust the certificates in `bundle`."""

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
    """Create or renew the authority in a folder, with a server certificate for `names`.

    Names that an earlier certificate covered stay covered, so that two servers on one machine
    do not take each other's away. `now` is a moment in UTC.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    authority = CertificateAuthority(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock(folder):
        signer = _load_or_make_signer(authority, now)
        wanted = {*ALWAYS, *names}
        covered = _covered_names(authority, signer.certificate, now)
        if covered is None or not wanted <= covered:
            _issue(authority, signer, sorted(wanted | (covered or set())), now)
        _write_bundle(authority.bundle, authority.ca)
    return authority


def prepare_for_server(
    host: str, names: Sequence[str] = (), folder: Path | None = None
) -> CertificateAuthority:
    """Prepare the authority of a server on `host`; by default in the user's data folder.

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
    """Return the names of this machine for others: its host name and outgoing addresses."""
    name = socket.gethostname()
    names = [name, f"{name}.local"] if "." not in name else [name]
    for family, beyond in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        # Connecting a datagram socket sends nothing: it asks the system for a route.
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((beyond, 9))
            names.append(str(probe.getsockname()[0]))
    return names


def write_bundle(certificate: Path, folder: Path | None = None) -> Path:
    """Write the bundle for clients of a server with a certificate of the user's own.

    Raises `ConfigError` if the certificate cannot be read or the folder cannot be written.
    """
    folder = folder or default_folder()
    bundle = folder / "own-bundle.pem"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_bundle(bundle, certificate)
    except OSError as error:
        raise ConfigError(
            f"No bundle can be made of the certificate {certificate}: {error}.",
            "Check server.tls.certificate, and that the folder of user data is writable.",
        ) from None
    return bundle


def default_folder() -> Path:
    """Return the folder of this user's authority."""
    return Path(platformdirs.user_data_dir("vivavoce", appauthor=False)) / "tls"


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Build a server's TLS context. Raises `OSError` or `ssl.SSLError` for bad files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True, slots=True)
class _Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _load_or_make_signer(authority: CertificateAuthority, now: datetime.datetime) -> _Signer:
    """Load the authority's certificate and key; create them if absent, broken or expiring."""
    try:
        certificate = x509.load_pem_x509_certificate(authority.ca.read_bytes())
        key = serialization.load_pem_private_key(authority.ca_key.read_bytes(), password=None)
        lasts = certificate.not_valid_after_utc - now > datetime.timedelta(days=SERVER_DAYS)
        if isinstance(key, ec.EllipticCurvePrivateKey) and lasts:
            return _Signer(certificate, key)
    except (OSError, ValueError):
        pass
    fresh = ec.generate_private_key(ec.SECP256R1())
    name = _name("vivavoce local CA")
    builder = _builder(name, name, fresh.public_key(), now, CA_DAYS, signs_certificates=True)
    made = builder.sign(fresh, hashes.SHA256())
    _write(authority.ca_key, _private_pem(fresh))
    _write(authority.ca, made.public_bytes(serialization.Encoding.PEM))
    return _Signer(made, fresh)


def _issue(
    authority: CertificateAuthority, signer: _Signer, names: Sequence[str], now: datetime.datetime
) -> None:
    """Sign a server's certificate for these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    certificate = (
        _builder(
            _name("vivavoce"), signer.certificate.subject, key.public_key(), now, SERVER_DAYS,
            signs_certificates=False,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_key, critical=False)
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
        .sign(signer.key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    _write(authority.key, _private_pem(key))
    _write(
        authority.certificate, certificate.public_bytes(pem) + signer.certificate.public_bytes(pem)
    )


def _covered_names(
    authority: CertificateAuthority, ca: x509.Certificate, now: datetime.datetime
) -> set[str] | None:
    """Return the names in the server certificate; `None` if it must be replaced anyway."""
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


def _write_bundle(bundle: Path, certificate: Path) -> None:
    roots = Path(certifi.where()).read_bytes()
    whole = roots.rstrip() + b"\n\n# vivavoce\n" + certificate.read_bytes()
    with suppress(OSError):
        if bundle.read_bytes() == whole:
            return
    _write(bundle, whole)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    days: int,
    *,
    signs_certificates: bool,
) -> x509.CertificateBuilder:
    """Build the common part of an authority's and a server's certificate."""
    usage = x509.KeyUsage(
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
    constraints = x509.BasicConstraints(signs_certificates, 0 if signs_certificates else None)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # An hour of grace, for clients whose clock is behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(constraints, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "vivavoce")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically, readable by the user alone (`mkstemp` makes it 0600)."""
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
    """Lock a folder against other processes, if the system has file locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
