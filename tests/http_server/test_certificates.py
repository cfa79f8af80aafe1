"""The local authority: what it signs, when it renews, and two starts at once."""

from __future__ import annotations

import concurrent.futures
import datetime
import multiprocessing
import os
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from vivavoce.http.certificates import (
    CA_DAYS,
    RENEW_DAYS,
    SERVER_DAYS,
    CertificateAuthority,
    machine_names,
    prepare_authority,
    prepare_for_server,
    server_context,
)

NOW = datetime.datetime.now(datetime.UTC)


def days(count: float) -> datetime.timedelta:
    return datetime.timedelta(days=count)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(authority: CertificateAuthority) -> set[str]:
    extension = certificate(authority.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return {str(name.value) for name in extension.value}


def shake_hands(authority: CertificateAuthority, name: str) -> str:
    """What a client that trusts only the bundle negotiates with us."""
    ours, theirs = socket.socketpair()
    serve = server_context(authority.certificate, authority.key)
    context = ssl.create_default_context(cafile=str(authority.bundle))
    context.verify_flags |= ssl.VERIFY_X509_STRICT

    def answer() -> None:
        with serve.wrap_socket(ours, server_side=True) as secured:
            secured.recv(1)

    server = threading.Thread(target=answer)
    server.start()
    try:
        with context.wrap_socket(theirs, server_hostname=name) as client:
            client.sendall(b"x")
            return str(client.version())
    finally:
        server.join()


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "::1", "generativelanguage.googleapis.com"]
)
def test_strict_clients_that_trust_the_bundle_accept_every_name(tmp_path: Path, name: str) -> None:
    authority = prepare_authority(tmp_path, ["generativelanguage.googleapis.com"])

    assert shake_hands(authority, name) == "TLSv1.3"


def test_the_bundle_holds_the_public_roots_too(tmp_path: Path) -> None:
    authority = prepare_authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.bundle))

    assert len(context.get_ca_certs()) > 50


def test_files_are_the_users_alone(tmp_path: Path) -> None:
    authority = prepare_authority(tmp_path / "made")

    for path in (authority.key, authority.ca_key, authority.certificate, authority.bundle):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700


def test_nothing_changes_while_everything_holds(tmp_path: Path) -> None:
    before = {
        path.name: path.read_bytes() for path in prepare_authority(tmp_path).folder.glob("*.*")
    }

    prepare_authority(tmp_path, now=NOW + days(SERVER_DAYS - RENEW_DAYS - 1))

    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_the_certificate_is_renewed_before_it_ends_by_the_same_authority(tmp_path: Path) -> None:
    authority = prepare_authority(tmp_path)
    ca, leaf = authority.ca.read_bytes(), authority.certificate.read_bytes()

    prepare_authority(tmp_path, now=NOW + days(SERVER_DAYS - RENEW_DAYS + 1))

    assert authority.ca.read_bytes() == ca
    assert authority.certificate.read_bytes() != leaf


def test_the_authority_is_renewed_before_it_could_not_cover_a_certificate(tmp_path: Path) -> None:
    authority = prepare_authority(tmp_path)
    ca = authority.ca.read_bytes()

    prepare_authority(tmp_path, now=NOW + days(CA_DAYS - SERVER_DAYS + 1))

    assert authority.ca.read_bytes() != ca
    assert ca not in authority.bundle.read_bytes()
    certificate(authority.certificate).verify_directly_issued_by(certificate(authority.ca))


def test_a_new_name_is_added_and_no_old_one_lost(tmp_path: Path) -> None:
    prepare_authority(tmp_path, ["first.example"])
    authority = prepare_authority(tmp_path, ["10.0.0.7"])

    assert {"first.example", "10.0.0.7", "localhost"} <= names(authority)


@pytest.mark.parametrize("file", ["ca.pem", "ca.key", "server.pem", "server.key", "bundle.pem"])
def test_a_broken_file_is_made_anew(tmp_path: Path, file: str) -> None:
    prepare_authority(tmp_path)
    (tmp_path / file).write_text("not a certificate")

    assert shake_hands(prepare_authority(tmp_path), "localhost")


def test_a_key_that_does_not_fit_its_certificate_is_replaced(tmp_path: Path) -> None:
    authority = prepare_authority(tmp_path / "a")
    authority.key.write_bytes(prepare_authority(tmp_path / "b").key.read_bytes())

    assert shake_hands(prepare_authority(tmp_path / "a"), "localhost")


def start(folder: str, name: str) -> bytes:
    return prepare_authority(Path(folder), [name]).ca.read_bytes()


@pytest.mark.integration
def test_many_processes_may_start_at_once(tmp_path: Path) -> None:
    folder = str(tmp_path / "shared")
    wanted = [f"host-{number}.example" for number in range(6)]
    with concurrent.futures.ProcessPoolExecutor(
        3, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        authorities = set(pool.map(start, [folder] * 6, wanted))

    authority = CertificateAuthority(Path(folder))
    assert len(authorities) == 1
    assert set(wanted) <= names(authority)
    key = serialization.load_pem_private_key(authority.key.read_bytes(), password=None)
    assert key.public_key() == certificate(authority.certificate).public_key()
    assert not [path for path in os.listdir(folder) if path.startswith(".")]


@pytest.mark.integration
def test_a_server_for_other_machines_is_covered_by_the_names_that_they_call_it_by(
    tmp_path: Path,
) -> None:
    names = machine_names()
    assert names
    assert names[0]
    authority = prepare_for_server("0.0.0.0", [], tmp_path)
    leaf = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names) <= {str(each.value) for each in alternatives}
