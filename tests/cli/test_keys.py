"""`vivavoce keys` and `vivavoce token`: made here, heeded by a server that runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving import connected, serving
from vivavoce.cli.main import app
from vivavoce.domain.accounts import KeyRecord, Quota, Scope
from vivavoce.http import keys
from vivavoce.store import build_store

RUN = CliRunner()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIVAVOCE_STORE__PATH", str(tmp_path / "state.sqlite3"))
    monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state.sqlite3"


def stored_keys(path: Path) -> tuple[KeyRecord, ...]:
    async def read() -> tuple[KeyRecord, ...]:
        store = build_store("sqlite", path)
        await store.start()
        try:
            return await store.list_keys()
        finally:
            await store.aclose()

    return asyncio.run(read())


def add(*arguments: str) -> str:
    done = RUN.invoke(app, ["keys", "add", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_a_key_is_printed_once_and_kept_as_a_hash(state: Path) -> None:
    limits = "--sessions 2 --audio-minutes 10.5 --tool-calls 7 --messages-per-s 60"
    secret = add("laptop", "--scopes", "live", "--expires", "30d", *limits.split())
    assert secret.startswith("vv-")
    assert len(secret) == 46
    (record,) = stored_keys(state)
    assert (record.name, record.scopes) == ("laptop", frozenset({Scope.LIVE}))
    assert record.quota == Quota(2, 10.5, 7, 60)
    assert record.expires - record.created == 30 * 86_400
    assert secret.encode() not in state.read_bytes()
    listed = RUN.invoke(app, ["keys", "list"], env={"COLUMNS": "200"}).stdout
    assert "laptop" in listed
    assert "2 sessions, 10.5 audio minutes a day, 7 tool calls a day" in listed
    assert secret not in listed
    assert secret[:7] in listed


def test_a_key_is_revoked_by_name_or_id(state: Path) -> None:
    add("one")
    add("two")
    by_id = next(key.id for key in stored_keys(state) if key.name == "two")
    for name in ("one", by_id):
        assert RUN.invoke(app, ["keys", "revoke", name]).exit_code == 0
    assert stored_keys(state) == ()
    gone = RUN.invoke(app, ["keys", "revoke", "one"])
    assert (gone.exit_code, "There is no key 'one'" in gone.stderr) == (1, True)
    assert "There are no keys" in RUN.invoke(app, ["keys", "list"]).stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["laptop", "--scopes", "everything"], "A key cannot open everything"),
        (["laptop", "--scopes", ""], "A key cannot open nothing"),
        (["laptop", "--expires", "soon"], "'soon' is no time"),
        (["laptop", "--expires", "0d"], "'0d' is no time"),
        ([""], "name"),
        (["there"], "There is a key 'there' already"),
    ],
)
def test_what_cannot_be_a_key_is_reported_with_what_can(arguments: list[str], problem: str) -> None:
    add("there")
    done = RUN.invoke(app, ["keys", "add", *arguments])
    assert done.exit_code == 1
    assert problem in done.stderr
    assert done.stdout == ""


def test_a_store_that_no_server_sees_takes_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_STORE__USE", "memory")
    monkeypatch.delenv("VIVAVOCE_STORE__PATH")
    done = RUN.invoke(app, ["keys", "add", "laptop"])
    assert done.exit_code == 1
    assert "E-CONFIG" in done.stderr


def test_a_file_that_is_no_store_is_reported(state: Path) -> None:
    state.write_text("not a database, and long enough to look like something else " * 50)
    done = RUN.invoke(app, ["keys", "list"])
    assert done.exit_code == 1
    assert "cannot be used" in done.stderr


FILE = "[store]\nuse = 'sqlite'\n"


@pytest.mark.integration
async def test_a_running_server_heeds_keys_and_makes_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "KEY_CACHE_S", 0.0)
    async with serving(tmp_path, FILE) as server:

        async def run(*arguments: str) -> tuple[int, str, str]:
            done = await asyncio.to_thread(RUN.invoke, app, list(arguments))
            return done.exit_code, done.stdout.strip(), done.stderr

        async def opened(secret: str) -> bool:
            async with connected(server, additional_headers={"x-goog-api-key": secret}) as client:
                await client.send(setup={"model": "models/gemini-2.5-flash"})
                answer = await client.socket.recv() if secret else b""
                return b"setupComplete" in answer

        assert await opened("anything"), "nobody needs a key yet"
        _, secret, _ = await run("keys", "add", "laptop")
        assert await opened(secret)
        _, made, _ = await run("token", "--url", server.url(), "--key", secret)
        assert made.startswith("auth_tokens/")
        assert await opened(made)
        code, nothing, told = await run("token", "--url", server.url(), "--key", "wrong")
        assert (code, nothing) == (1, "")
        assert "E-KEY-REFUSED: API key not valid" in told
        bad = await run("token", "--url", server.url(), "--key", secret, "--mask", "nonsense")
        assert "E-REFUSED: field_mask is invalid" in bad[2]


@pytest.mark.integration
async def test_a_token_holds_a_setup(tmp_path: Path) -> None:
    (tmp_path / "setup.json").write_text(
        json.dumps({"setup": {"model": "models/token", "generationConfig": {"temperature": 0}}})
    )
    async with serving(tmp_path, '[models]\ntoken = "scripted"', profile=None) as server:
        arguments = ["token", "--url", server.url(), "--setup", str(tmp_path / "setup.json")]
        made = (await asyncio.to_thread(RUN.invoke, app, arguments)).stdout.strip()
        async with connected(server, additional_headers={"authorization": f"Token {made}"}) as it:
            await it.send(setup={"model": "models/another"})
            assert "setupComplete" in await it.receive()


@pytest.mark.integration
def test_without_a_server_there_is_no_token() -> None:
    done = RUN.invoke(app, ["token", "--url", "http://127.0.0.1:9"])
    assert done.exit_code == 3
    assert "E-NO-SERVER" in done.stderr


def test_programs_are_run_with_a_key_that_the_server_knows_as_a_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    given = json.loads(RUN.invoke(app, ["env", "--json", "--key", "vv-mine"]).stdout)
    assert given["GOOGLE_API_KEY"] == "vv-mine"
    monkeypatch.setenv("VIVAVOCE_KEY", "vv-other")
    assert json.loads(RUN.invoke(app, ["env", "--json"]).stdout)["GOOGLE_API_KEY"] == "vv-other"
