"""Who is found to listen where a server wants to."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving import serving
from vivavoce import __version__
from vivavoce.cli.environment import check_port
from vivavoce.cli.errors import CliError, ErrorCode
from vivavoce.cli.main import app
from vivavoce.config import load_config


async def test_a_vivavoce_is_told_as_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        port = server.port.address[1]
        with pytest.raises(CliError) as raised:
            await asyncio.to_thread(check_port, load_config(flags={"server.port": port}))

    fault = raised.value
    assert fault.code is ErrorCode.PORT_BUSY
    assert fault.problem == f"127.0.0.1:{port} is in use. vivavoce {__version__} answers there."
    assert fault.fix.startswith("Use that one")


def test_a_port_that_nobody_has_is_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    check_port(load_config(flags={"server.port": port}))
    check_port(load_config(flags={"server.port": 0}))


def test_a_busy_port_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        home = {"XDG_CACHE_HOME": str(tmp_path), "VIVAVOCE_LOG__LEVEL": "error"}
        result = CliRunner().invoke(app, ["serve", "--port", port], env=home)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"E-PORT-BUSY: 127.0.0.1:{port} is in use."
    assert list(tmp_path.iterdir()) == []
