"""The variables for each shell, read back by real shells where there are some; the port check."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving import serving
from vivavoce import __version__
from vivavoce.cli.environment import (
    KEY_VARIABLES,
    dotenv_lines,
    fish_lines,
    posix_lines,
    powershell_lines,
    sdk_variables,
)
from vivavoce.cli.errors import CliError, ErrorCode
from vivavoce.cli.main import app
from vivavoce.cli.options import check_port
from vivavoce.config.loading import load_config
from vivavoce.http import certificates

AWKWARD = {"PLAIN": "http://127.0.0.1:8482", "SPACED": "/a b/c", "QUOTED": 'it\'s $HOME \\ "x"'}


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sdks_find_and_trust_the_server(at_home: Path) -> None:
    found = sdk_variables(load_config(), present={})

    assert found["GOOGLE_GEMINI_BASE_URL"] == "https://127.0.0.1:8482"
    assert found["GOOGLE_VERTEX_BASE_URL"] == "https://127.0.0.1:8482"
    assert Path(found["SSL_CERT_FILE"]).read_text().count("BEGIN CERTIFICATE") > 50
    assert Path(found["NODE_EXTRA_CA_CERTS"]).read_text().count("BEGIN CERTIFICATE") == 1


@pytest.mark.parametrize(
    ("present", "names"),
    [
        ({}, ["GOOGLE_API_KEY"]),
        ({"GEMINI_API_KEY": ""}, ["GOOGLE_API_KEY"]),
        ({"GEMINI_API_KEY": "a real one"}, ["GEMINI_API_KEY"]),
        ({"GOOGLE_API_KEY": "a real one"}, ["GOOGLE_API_KEY"]),
        ({"GOOGLE_API_KEY": "1", "GEMINI_API_KEY": "2"}, ["GOOGLE_API_KEY", "GEMINI_API_KEY"]),
    ],
)
def test_one_key_variable_is_set_the_one_that_a_program_may_read(
    present: dict[str, str], names: list[str]
) -> None:
    """SDKs warn when both are set. No key of the shell's own reaches the server."""
    found = sdk_variables(load_config(), present=present)

    assert {n: found[n] for n in found if n.endswith("API_KEY")} == dict.fromkeys(names, "vivavoce")


def test_what_was_set_about_proxies_stays() -> None:
    found = sdk_variables(load_config(), present={"NO_PROXY": "intra.example, localhost"})

    assert found["NO_PROXY"] == "intra.example,localhost,127.0.0.1,::1"


@pytest.mark.integration
def test_the_first_configured_key_is_the_clients() -> None:
    config = load_config(flags={"server.keys": "first,second", "server.host": "0.0.0.0"})

    found = sdk_variables(config, present={})

    assert found["GOOGLE_API_KEY"] == "first"
    assert found["GOOGLE_GEMINI_BASE_URL"] == "https://127.0.0.1:8482"


def test_a_certificate_of_the_users_own_is_trusted_beside_the_public_roots(tmp_path: Path) -> None:
    made = certificates.prepare_authority(tmp_path / "elsewhere")
    flags = {"server.tls.certificate": made.certificate, "server.tls.key": made.key}

    found = sdk_variables(load_config(flags=flags), present={})

    bundle = Path(found["SSL_CERT_FILE"]).read_text()
    assert made.certificate.read_text() in bundle
    assert bundle.count("BEGIN CERTIFICATE") > 50
    assert found["NODE_EXTRA_CA_CERTS"] == str(made.certificate)


def test_without_tls_nothing_is_said_about_trust() -> None:
    found = sdk_variables(load_config(flags={"server.tls.enabled": False}), present={})

    assert found["GOOGLE_GEMINI_BASE_URL"].startswith("http://")
    assert "SSL_CERT_FILE" not in found


@pytest.mark.integration
@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_posix_shells_read_it_back(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    script = f"{posix_lines(AWKWARD)}\nfor name in {' '.join(AWKWARD)}; do printenv $name; done"

    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(AWKWARD.values())


def test_fish_reads_it_back() -> None:
    if shutil.which("fish") is None:
        assert fish_lines({"A": "it's \\"}) == r"set -gx A 'it\'s \\';"
        return
    script = f"{fish_lines(AWKWARD)}\nfor name in {' '.join(AWKWARD)}; printenv $name; end"
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(AWKWARD.values())


def test_the_other_forms() -> None:
    assert powershell_lines({"A": "it's"}) == "$env:A = 'it''s'"
    assert dotenv_lines({"A": "x y", "B": "z"}) == "A=x y\nB=z"


@pytest.mark.parametrize(
    ("option", "beginning"),
    [
        ((), "export GOOGLE_GEMINI_BASE_URL="),
        (("--fish",), "set -gx GOOGLE_GEMINI_BASE_URL "),
        (("--powershell",), "$env:GOOGLE_GEMINI_BASE_URL = "),
        (("--dotenv",), "GOOGLE_GEMINI_BASE_URL="),
        (("--json",), "{\n"),
    ],
)
def test_the_command(option: tuple[str, ...], beginning: str) -> None:
    result = CliRunner().invoke(app, ["env", *option])

    assert result.exit_code == 0
    assert result.stdout.startswith(beginning)
    if option == ("--json",):
        assert json.loads(result.stdout)["GOOGLE_API_KEY"]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        (("--port", "19004"), "https://127.0.0.1:19004"),
        (("--url", "http://[::1]:19004/"), "https://[::1]:19004"),
        (("--url", "https://voice.example"), "https://voice.example"),
        (("--url", "http://voice.example:81/live"), "http://voice.example:81/live"),
    ],
)
def test_a_server_elsewhere(options: tuple[str, ...], url: str) -> None:
    result = CliRunner().invoke(app, ["env", "--json", *options])

    assert json.loads(result.stdout)["GOOGLE_GEMINI_BASE_URL"] == url


def test_a_mistake_is_reported_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_SERVER__PORT", "many")

    result = CliRunner().invoke(app, ["env"])

    assert result.exit_code == 1
    assert "E-CONFIG" in result.stderr
    assert "server.port" in result.stderr
    assert result.stdout == ""


@pytest.mark.integration
async def test_another_vivavoce_is_recognized(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        port = server.listener.address[1]
        with pytest.raises(CliError) as raised:
            await asyncio.to_thread(check_port, load_config(flags={"server.port": port}))

    fault = raised.value
    assert fault.code is ErrorCode.PORT_BUSY
    assert fault.problem == f"127.0.0.1:{port} is in use. vivavoce {__version__} answers there."
    assert fault.fix.startswith("Use that one")


@pytest.mark.integration
def test_an_unbound_port_is_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    check_port(load_config(flags={"server.port": port}))
    check_port(load_config(flags={"server.port": 0}))


@pytest.mark.integration
def test_a_busy_port_is_reported_before_anything_is_fetched(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        home = {"XDG_CACHE_HOME": str(tmp_path), "VIVAVOCE_LOG__LEVEL": "error"}
        result = CliRunner().invoke(app, ["serve", "--port", port], env=home)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"E-PORT-BUSY: 127.0.0.1:{port} is in use."
    assert list(tmp_path.iterdir()) == []
