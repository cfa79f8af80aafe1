"""Clients that know one host alone are led here, as docs/reference/clients.md says."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import websockets

from serving import LIVE, serving
from vivavoce.http.certificates import CertificateAuthority

HOST = "generativelanguage.googleapis.com"
SETUP = json.dumps({"setup": {"model": "models/gemini-2.0-flash-exp"}})


def connect(port: int, trusted: ssl.SSLContext) -> websockets.connect:
    """As a browser connects whose resolver maps the host here, from a page of this machine."""
    return websockets.connect(
        f"wss://{HOST}{LIVE}?key=any", host="127.0.0.1", port=port, ssl=trusted,
        origin=websockets.Origin("http://localhost:5173"), compression=None, proxy=None,
    )  # fmt: skip


async def test_the_name_has_a_certificate_and_is_answered_to(tmp_path: Path) -> None:
    async with serving(tmp_path, server__tls__names=[HOST]) as server:
        trusted = ssl.create_default_context(cafile=str(CertificateAuthority(tmp_path / "tls").ca))
        async with connect(server.listener.address[1], trusted) as socket:
            await socket.send(SETUP)
            assert "setupComplete" in json.loads(await socket.recv())


async def test_without_the_setting_the_refusal_names_it(tmp_path: Path) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with serving(tmp_path) as server, connect(server.listener.address[1], trusting) as socket:
        await socket.send(SETUP)
        with pytest.raises(websockets.ConnectionClosed) as refused:
            await socket.recv()
    assert refused.value.rcvd is not None
    assert refused.value.rcvd.code == 1008
    assert f"The host '{HOST}' is not known here; server.hosts" in refused.value.rcvd.reason
