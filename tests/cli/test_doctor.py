"""`vivavoce doctor`: what it finds, by code, and its exit status."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serving import serving
from vivavoce.cli import examination
from vivavoce.cli.doctor import Trial, examine_all, try_tools
from vivavoce.cli.environment import sdk_variables
from vivavoce.cli.errors import ErrorCode
from vivavoce.cli.examination import Finding, Severity, worst_severity
from vivavoce.cli.main import app
from vivavoce.cli.options import ServerAddress
from vivavoce.client.audio import AudioDevice
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config
from vivavoce.engines.document_index import Index, list_documents, update_index
from vivavoce.http.certificates import prepare_authority, prepare_for_server


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stranger() -> Iterator[ServerAddress]:
    """Something that answers every connection in plain text, and not as we would."""

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        yield ServerAddress("127.0.0.1", port, f"https://127.0.0.1:{port}")
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def codes(findings: Iterator[Finding]) -> set[ErrorCode]:
    return {finding.code for finding in findings if finding.code is not None}


def scripted(**flags: Any) -> Config:
    return load_config(flags={"profile": "scripted", **flags})


@pytest.mark.integration
def test_another_program_on_the_port_is_named(stranger: ServerAddress) -> None:
    assert codes(examination.examine_port(stranger)) == {ErrorCode.PORT_BUSY}


@pytest.mark.integration
def test_plain_text_where_tls_is_spoken_is_named(stranger: ServerAddress) -> None:
    (finding,) = [
        f for f in examination.examine_tls(scripted(), stranger, {}) if f.severity is Severity.ERROR
    ]

    assert finding.code is ErrorCode.TLS_WRONG_VERSION
    assert "WRONG_VERSION_NUMBER" in finding.text


@pytest.mark.integration
async def test_a_certificate_of_another_authority_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with serving(tmp_path / "other") as server:
        host, port = server.listener.address
        place = ServerAddress(host, port, server.url("https"))
        found = await asyncio.to_thread(
            lambda: list(examination.examine_tls(scripted(), place, {}))
        )
        ours = await asyncio.to_thread(lambda: list(examination.examine_port(place)))

    (finding,) = [f for f in found if f.severity is Severity.ERROR]
    assert finding.code is ErrorCode.TLS_TRUST
    assert "CERTIFICATE_VERIFY_FAILED" in finding.text
    assert "vivavoce run" in finding.fix
    assert all(each.severity is Severity.OK for each in ours)
    assert any("profile scripted is ready" in each.text for each in ours)


@pytest.mark.integration
def test_a_free_port_is_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = ServerAddress("127.0.0.1", server.getsockname()[1], "")
    assert codes(examination.examine_port(place)) == set()


@pytest.mark.integration
def test_a_shell_that_points_here_and_does_not_trust_us_is_named() -> None:
    config = scripted()
    place = ServerAddress("127.0.0.1", 8482, "https://127.0.0.1:8482")
    right = sdk_variables(config, present={})
    wrong = {"GOOGLE_GEMINI_BASE_URL": place.url}

    assert ErrorCode.TLS_TRUST in codes(examination.examine_tls(config, place, wrong))
    assert codes(examination.examine_tls(config, place, right)) == set()


@pytest.mark.integration
def test_what_run_sets_satisfies_the_examination_of_an_own_certificate(tmp_path: Path) -> None:
    made = prepare_authority(tmp_path / "elsewhere")
    flags = {"server.tls.certificate": made.certificate, "server.tls.key": made.key}
    config = scripted(**flags)
    place = ServerAddress("127.0.0.1", 8482, "https://127.0.0.1:8482")

    assert codes(examination.examine_tls(config, place, sdk_variables(config, present={}))) == set()


@pytest.mark.integration
def test_a_shell_with_another_key_is_named() -> None:
    config = scripted(**{"server.keys": "right"})
    place = ServerAddress("127.0.0.1", 8482, "https://127.0.0.1:8482")
    right = sdk_variables(config, present={})

    assert codes(examination.examine_tls(config, place, right)) == set()
    assert codes(examination.examine_tls(config, place, right | {"GOOGLE_API_KEY": "x"})) == {
        ErrorCode.KEY_REFUSED
    }


def test_weights_that_are_absent_are_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, at_home: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(at_home / "empty"))

    findings = list(examination.examine_weights(load_config()))

    assert {finding.code for finding in findings} == {ErrorCode.WEIGHTS_MISSING}
    assert any("vivavoce pull silero" in finding.fix for finding in findings)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        ("NULL", ["a microphone can be opened", "a loudspeaker can be opened"]),
        ("WASAPI", ["No microphone could be opened", "No loudspeaker could be opened"]),
    ],
)
def test_sound_is_opened_and_not_only_listed(
    monkeypatch: pytest.MonkeyPatch, real: str, expected: list[str]
) -> None:
    """The library's own null device stands in for a sound card; Linux has no WASAPI."""
    miniaudio = pytest.importorskip("miniaudio", reason="miniaudio is not installed")
    backend = miniaudio.Backend[real]
    monkeypatch.setattr("vivavoce.client.audio._real_backends", lambda library: [backend])
    # Listed devices are no proof: ALSA names one that only discards sound where there is none.
    listed = [AudioDevice(0, "discard", False), AudioDevice(1, "discard", True)]
    monkeypatch.setattr("vivavoce.client.audio.list_devices", lambda: listed)

    found = list(examination.examine_devices())

    assert [
        each.text[: len(start)] for each, start in zip(found, expected, strict=True)
    ] == expected
    assert {each.severity for each in found} == {Severity.OK if real == "NULL" else Severity.NOTE}
    assert not any("((" in each.text or "'," in each.text for each in found)


def test_a_machine_that_no_sound_library_can_reach_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "miniaudio", None)  # Python takes it for one that is missing

    assert [each.text for each in examination.examine_devices()] == [
        "No library for microphones and loudspeakers is installed."
    ]


def test_notes_leave_the_exit_status_alone() -> None:
    note = Finding("audio", Severity.NOTE, "no sound")
    warning = Finding("host", Severity.WARNING, "no memory")
    assert worst_severity([note]) is worst_severity([]) is Severity.OK
    assert worst_severity([note, warning]) is Severity.WARNING


@pytest.mark.integration
def test_the_language_model_that_the_server_runs_on_can_be_named() -> None:
    dead = "openai:http://127.0.0.1:9/v1#m"
    result = CliRunner().invoke(app, ["doctor", "--quick", "--model", dead, "--json"])
    found = json.loads(result.stdout)["findings"]
    assert not any("llamacpp" in each["what"] for each in found), result.output

    result = CliRunner().invoke(app, ["doctor", "--quick", "--model", "openai:nowhere"])
    assert (result.exit_code, "E-CONFIG" in result.stdout) == (2, True)


@pytest.mark.integration
def test_the_whole_examination_of_the_scripted_profile() -> None:
    prepare_for_server("127.0.0.1")

    result = CliRunner().invoke(app, ["doctor", "--profile", "scripted", "--json"])

    report = json.loads(result.stdout)
    what = [each["what"] for each in report["findings"] if each["group"] == "engines"]
    assert any("recognizer.tones hears" in each and "'The lights" in each for each in what)
    assert any("model.echo answers" in each for each in what)
    assert result.exit_code == Severity[report["severity"].upper()]
    assert all("fix" in each for each in report["findings"] if each["severity"] != "ok")


@pytest.mark.integration
def test_every_engine_is_named_before_it_is_tried() -> None:
    result = CliRunner().invoke(app, ["doctor", "--profile", "scripted"])

    tried = [line for line in result.stderr.splitlines() if line.startswith("Trying ")]
    assert "Trying recognizer.tones …" in tried
    assert "detector.energy scores" in result.stdout


@pytest.mark.integration
def test_findings_come_one_by_one() -> None:
    """A slow engine keeps back what is found after it, and nothing that was found before."""
    steps = examine_all(None, {"profile": "scripted"}, quick=False)
    engines = [step for step in steps if isinstance(step, Trial) or step.group == "engines"]

    assert [type(step) for step in engines[:6]] == [Trial, Finding] * 3


@pytest.mark.integration
def test_an_engine_that_is_missing_is_an_error(at_home: Path) -> None:
    path = at_home / "c.toml"
    path.write_text(
        'models = {"*" = "x"}\n[profiles.x]\ndetector = "energy"\nrecognizer = "tones"\n'
        'responder = { use = "cascade", model = "echo", voice = "unruly:absent" }\n'
    )

    result = CliRunner().invoke(app, ["doctor", "--config", str(path)])

    assert result.exit_code == 2
    assert "E-ENGINE-MISSING" in result.stdout
    assert "Bring it." in result.stdout


def test_a_configuration_that_cannot_work_is_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_SERVER__PORT", "many")

    result = CliRunner().invoke(app, ["doctor", "--quick"])

    assert result.exit_code == 2
    assert "E-CONFIG" in result.stdout


def test_every_code_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"

    assert [code.value for code in ErrorCode if f"`{code.value}`" not in page.read_text()] == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("variables", "severity", "what"),
    [
        ({}, "ok", "state.sqlite3 can be used"),
        ({"VIVAVOCE_STORE__PATH": "/proc/nowhere/state"}, "error", "cannot be used"),
        (
            {"VIVAVOCE_STORE__USE": "redis", "VIVAVOCE_STORE__URL": "redis://127.0.0.1:9/0"},
            "error",
            "redis 127.0.0.1:9/0 cannot be used",
        ),
    ],
)
def test_the_store_is_tried(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], severity: str, what: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["doctor", "--json", "--quick"])
    (found,) = [each for each in json.loads(done.stdout)["findings"] if each["group"] == "store"]
    assert (found["severity"], what in found["what"]) == (severity, True), found


@pytest.mark.integration
def test_an_open_address_without_a_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_SERVER__HOST", "0.0.0.0")
    done = CliRunner().invoke(app, ["doctor", "--json", "--quick"])
    (found,) = [each for each in json.loads(done.stdout)["findings"] if each["group"] == "keys"]
    assert (found["severity"], found["fix"]) == ("error", "Run `vivavoce keys add NAME`.")


async def found(**tools: Any) -> list[Finding]:
    config = load_config(flags={f"tools.{name}": value for name, value in tools.items()})
    return [step async for step in try_tools(config) if isinstance(step, Finding)]


def indexed(folder: Path) -> Path:
    (folder / "documents").mkdir()
    (folder / "documents" / "a.txt").write_text("The vivavoce library is open on Mondays.")
    path = folder / "index.sqlite3"
    index = Index(path)
    list(update_index(index, folder / "documents", list_documents(folder / "documents")))
    index.close()
    return path


async def test_with_nothing_set_up_it_only_notes_that_there_is_no_index() -> None:
    (only,) = await found()
    assert (only.severity, only.code) == (Severity.NOTE, ErrorCode.ENGINE_MISSING)
    assert "vivavoce index" in only.fix


async def test_what_works_is_reported_with_how_long_it_took(tmp_path: Path) -> None:
    local = {"use": "local", "path": str(indexed(tmp_path))}
    search, code, url = await found(search=local, code="monty", url=True)
    assert {each.severity for each in (search, code, url)} == {Severity.OK}
    assert search.text.startswith("search: local answers a query within ")
    assert code.text.startswith("code: monty starts and runs a line within ")
    assert url.text.startswith("url: addresses are read")


async def test_what_was_asked_for_and_lacks_something_is_an_error(tmp_path: Path) -> None:
    (search,) = await found(search={"use": "local", "path": str(tmp_path / "none")})
    assert (search.severity, search.code) == (Severity.ERROR, ErrorCode.ENGINE_MISSING)


@pytest.mark.integration
async def test_a_search_service_that_is_not_there_is_a_warning() -> None:
    (search,) = await found(search={"use": "searxng", "url": "http://127.0.0.1:9"})
    assert (search.severity, search.code) == (Severity.WARNING, ErrorCode.TOOL_FAILED)


@pytest.mark.integration
async def test_an_mcp_server_that_is_not_there_is_a_warning() -> None:
    kitchen = {"kitchen": {"url": "http://127.0.0.1:9/mcp"}}
    (server,) = await found(search="", mcp=kitchen)
    assert (server.severity, server.code) == (Severity.WARNING, ErrorCode.TOOL_FAILED)
    assert server.text.startswith("MCP server kitchen: ")


async def test_a_table_that_is_wrong_is_reported_as_such() -> None:
    (fault,) = await found(search="", mcp={"kitchen": {}})
    assert (fault.severity, fault.code) == (Severity.ERROR, ErrorCode.CONFIG)


async def test_a_mistake_is_reported_with_its_place() -> None:
    code, mcp = await found(search="", code="monti", mcp={"kitchen": {"uri": "x"}})
    assert code.text == "tools.code: There is no sandbox called 'monti'."
    assert mcp.text.startswith("tools.mcp: ")
    assert (code.code, mcp.code) == (ErrorCode.CONFIG, ErrorCode.CONFIG)
