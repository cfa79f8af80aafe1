"""Commands trust the certificate of this machine's own server, over a real TLS connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving import serving
from vivavoce.cli.main import app
from vivavoce.client.audio import Recording
from vivavoce.engines.scripted import say


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder, in which a server's authority is looked for."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vivavoce").mkdir()
    recording = Recording.empty(rate=16_000)
    recording.add_audio(bytes(8_000) + say("good day", 16_000))
    recording.save(tmp_path / "spoken.wav")
    return tmp_path


@pytest.mark.parametrize(
    "command", [["say", "good day"], ["talk", "--in", "spoken.wav", "--fast", "--plain"], ["token"]]
)
async def test_a_command_trusts_the_local_authority(home: Path, command: list[str]) -> None:
    async with serving(home / "vivavoce") as server:
        options = [*command, "--url", server.url("https")]
        done = await asyncio.to_thread(CliRunner().invoke, app, options)
    assert done.exit_code == 0, done.output
    assert "E-TLS" not in done.stderr


async def test_a_server_of_another_authority_is_not_trusted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(home / "vivavoce") as server:
        monkeypatch.setenv("XDG_DATA_HOME", str(home / "another"))
        options = ["say", "good day", "--url", server.url("https")]
        done = await asyncio.to_thread(CliRunner().invoke, app, options)
    assert done.exit_code == 3
    assert done.stderr.startswith("E-TLS-TRUST: ")
