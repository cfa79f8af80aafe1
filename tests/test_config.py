"""One tree of settings: who overrides whom, and every mistake told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from vivavoce.config.loading import load_config
from vivavoce.config.settings import (
    Config,
    LogTable,
    ProfileTable,
    ServerTable,
    SessionTable,
    TlsTable,
    ToolsTable,
)
from vivavoce.core.settings import Pacing
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ConfigError


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No file and no variable of the machine's own."""
    import os

    for name in list(os.environ):
        if name.startswith("VIVAVOCE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_defaults() -> None:
    config = load_config()

    assert (config.server.host, config.server.port) == ("127.0.0.1", 8482)
    assert config.profile_of("gemini-3.8-live") == "embedded"
    assert {"embedded", "scripted"} <= set(config.profiles)


@pytest.mark.parametrize(
    ("flag", "variable", "file", "expected"),
    [
        (1, 2, 3, 1),
        (None, 2, 3, 2),
        (None, None, 3, 3),
        (None, None, None, 8482),
        (1, None, 3, 1),
        (1, 2, None, 1),
    ],
)
def test_flag_over_environment_over_file_over_default(
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    flag: int | None,
    variable: int | None,
    file: int | None,
    expected: int,
) -> None:
    if variable:
        monkeypatch.setenv("VIVAVOCE_SERVER__PORT", str(variable))
    path = written(alone, f"[server]\nport = {file}\n") if file else None

    assert load_config(path, {"server.port": flag}).server.port == expected


def test_tables_are_merged_entry_by_entry(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(alone, '[server]\nport = 3\nstrict = true\nkeys = ["file"]\n')
    monkeypatch.setenv("VIVAVOCE_SERVER__PORT", "2")

    server = load_config(path, {"server.host": "::1"}).server

    assert (server.host, server.port, server.strict, server.keys) == ("::1", 2, True, ["file"])


def test_files_are_found_in_order(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = alone / "user" / "vivavoce" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("[server]\nport = 1\n")
    assert load_config().server.port == 1
    (alone / "vivavoce.toml").write_text("[server]\nport = 2\n")
    assert load_config().server.port == 2
    monkeypatch.setenv("VIVAVOCE_CONFIG", str(written(alone, "[server]\nport = 3\n")))
    assert load_config().server.port == 3


def test_lists_in_variables_are_words_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_SERVER__KEYS", "one, two,")
    monkeypatch.setenv("VIVAVOCE_SERVER__TLS__NAMES", "a.example")

    server = load_config().server

    assert server.keys == ["one", "two"]
    assert server.tls.names == ["a.example"]


def test_all_mistakes_are_reported_at_once_and_no_key_is_shown(alone: Path) -> None:
    path = written(
        alone,
        '[server]\nport = "many"\nprot = 1\nkeys = 12345\n[session]\nstall_s = -1\n',
    )

    with pytest.raises(ConfigError) as error:
        load_config(path)

    told = str(error.value)
    for part in ("server.port", "server.prot: there is no such setting", "stall_s", "server.keys"):
        assert part in told
    assert "12345" not in told


def test_a_name_that_does_not_exist_brings_the_one_that_was_meant(alone: Path) -> None:
    file = (
        'port = 1\ncolour = "red"\n[tool]\nx = 1\n[tools]\nserach = "local"\ndeadline = 3\n'
        "[server.tls]\nenabld = true\n[profiles.mine]\ndetectr = 1\n"
    )
    with pytest.raises(ConfigError) as error:
        load_config(written(alone, file))

    told = {
        place: rest.removeprefix("there is no such setting")
        for place, _, rest in (line.partition(": ") for line in error.value.problem.splitlines())
        if rest.startswith("there is no such setting")
    }
    assert told == {
        "port": "; did you mean `server.port`?",
        "colour": ".",
        "tool": "; did you mean `tools`?",
        "tools.serach": "; did you mean `tools.search`?",
        "tools.deadline": "; did you mean `tools.deadline_s`?",
        "server.tls.enabld": "; did you mean `server.tls.enabled`?",
        "profiles.mine.detectr": "; did you mean `profiles.mine.detector`?",
    }


def test_a_setting_of_several_types_is_one_mistake_and_tables_are_not_shown(alone: Path) -> None:
    file = (
        '[tools]\nurl = 3\nsearch = ["brave", "secret"]\ncode = 4\n'
        'mcp = { kitchen = "http://a.example/mcp" }\nmcp_clients = { secret = 1 }\n'
    )
    with pytest.raises(ConfigError) as error:
        load_config(written(alone, file))

    assert error.value.problem.splitlines() == [
        "tools.search: Input should be an engine's name or a table, not a list.",
        "tools.code: Input should be an engine's name or a table, not 4.",
        "tools.url: Input should be true, false or a table, not 3.",
        "tools.mcp.kitchen: Input should be a table, not 'http://a.example/mcp'.",
        "tools.mcp_clients: Input should be a valid list, not a table.",
    ]


def test_a_setting_that_is_missing_is_named(alone: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(alone, '[profiles.x]\ndetector = "energy"\nrecognizer = "tones"\n'))
    assert error.value.problem == "profiles.x.responder: this setting is missing."


def test_a_switch_may_still_be_a_word_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_TOOLS__URL", "true")
    monkeypatch.setenv("VIVAVOCE_TOOLS__SEARCH", '{"use": "searxng"}')

    tools = load_config().tools

    assert (tools.url, tools.search) == (True, {"use": "searxng"})


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ('[server]\nhost = "0.0.0.0"\ntls.enabled = false', "reachable by others", "tls.enabled"),
        ('[store]\nuse = "redis"', "store.url", "redis://"),
        ('[store]\nurl = "redis://127.0.0.1"', "store.use", 'store.use = "redis"'),
        ('[models]\n"*" = "nowhere"', "nowhere", "embedded, scripted"),
        ('[server.tls]\nkey = "k.pem"', "only one", "both files"),
        ('model = "echo"\nprofile = "scripted"', "no model name leads to", "profile = 'embedded'"),
        (
            '[models]\na = "scripted"\n"models/a" = "embedded"',
            "'models/a' and 'a' are one model",
            "Keep one",
        ),
        ('model = "openai:qwen"', "engine:URL#NAME", "127.0.0.1:11434"),
        ("[server", "cannot be read", "Correct"),
        (f"port = {'1' * 5000}", "cannot be read", "Correct"),
    ],
)
def test_what_cannot_work_is_refused_with_the_fix(
    alone: Path, text: str, problem: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(alone, text))

    assert problem in error.value.problem
    assert fix in error.value.fix


def test_an_open_address_is_fine_with_a_key() -> None:
    assert load_config(flags={"server.host": "0.0.0.0", "server.keys": "k"}).server.keys == ["k"]


def test_a_missing_file_is_reported(alone: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(alone / "absent.toml")


def model_of(config: Config) -> object:
    responder = config.profiles["embedded"].responder
    assert isinstance(responder, dict)
    return responder["model"]


def test_one_line_swaps_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_MODEL", "openai:http://127.0.0.1:11434/v1#qwen3:4b")

    assert model_of(load_config()) == {
        "use": "openai",
        "base_url": "http://127.0.0.1:11434/v1",
        "model": "qwen3:4b",
    }
    assert model_of(load_config(flags={"model": "echo"})) == {"use": "echo"}
    for name in ("auto", "qwen-0.5b", "qwen-1.5b"):
        assert model_of(load_config(flags={"model": name})) == {"use": "llamacpp", "model": name}
    own = load_config(flags={"model": "/models/Own:7b.gguf"})
    assert model_of(own) == {"use": "llamacpp", "path": "/models/Own:7b.gguf"}


@pytest.mark.integration
async def test_the_line_is_what_the_engine_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_MODEL_KEY", "secret")
    choice = model_of(load_config(flags={"model": "openai:http://127.0.0.1:11434/v1#qwen3"}))
    assert isinstance(choice, dict)

    engine = await EngineBuilder().build("model", choice)

    await engine.aclose()


def test_models_name_profiles_and_a_star_takes_the_rest(alone: Path) -> None:
    path = written(alone, '[models]\n"gemini-3.8-live" = "scripted"\n')

    assert load_config(path).profile_of("gemini-3.8-live") == "scripted"
    assert load_config(path).profile_of("another") is None
    path = written(alone, '[models]\na = "scripted"\n"*" = "embedded"\n')
    assert load_config(path).profile_of("another") == "embedded"
    assert load_config(path, {"profile": "scripted"}).profile_of("another") == "scripted"


def test_a_chosen_profile_takes_every_name_that_is_left_open(alone: Path) -> None:
    path = written(alone, 'profile = "scripted"\n[models]\na = "embedded"\n')

    assert load_config(path).profile_of("a") == "embedded"
    assert load_config(path).profile_of("another") == "scripted"


def test_models_may_be_named_as_clients_name_them(alone: Path) -> None:
    path = written(alone, '[models]\n"models/a" = "scripted"\n')

    assert load_config(path).profile_of("a") == "scripted"


def test_a_line_for_a_model_that_cannot_be_swapped_is_refused(alone: Path) -> None:
    own = 'detector = "energy"\nrecognizer = "tones"\nresponder = "my.module:create"\n'

    with pytest.raises(ConfigError, match="not a table"):
        load_config(written(alone, f'model = "echo"\n[profiles.embedded]\n{own}'))


def test_a_profile_of_the_users_own(alone: Path) -> None:
    path = written(
        alone,
        'profile = "mine"\n[profiles.mine]\ndetector = "energy"\nrecognizer = "tones"\n'
        'responder = { use = "cascade", model = "echo", voice = "tones" }\n',
    )

    config = load_config(path)

    assert config.profile_of("anything") == "mine"
    assert config.profiles["mine"].detector == "energy"


def test_session_settings_reach_the_core() -> None:
    flags = {"session.turn_complete": "immediate", "session.stall_s": 2.5}

    settings = load_config(flags=flags).session.settings(early_turn_complete=True)

    assert settings.pacing is Pacing.IMMEDIATE
    assert settings.stall_s == 2.5
    assert settings.early_turn_complete


def test_the_core_does_not_give_an_answer_up_before_the_operator_does() -> None:
    patient = load_config(flags={"session.engine_silence_s": 300}).session

    assert patient.settings(False).generation_stall_s > 300


def test_the_core_does_not_stop_a_tool_before_its_own_time_is_over() -> None:
    config = load_config(flags={"tools.deadline_s": 120})

    settings = config.session.settings(False, tools_deadline_s=config.tools.deadline_s)
    assert settings.server_tool_deadline_s > 120


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "configuration.md").read_text()
    tables: dict[str, type[BaseModel]] = {"server": ServerTable, "server.tls": TlsTable}
    tables |= {"session": SessionTable, "tools": ToolsTable}
    tables |= {"log": LogTable, "profiles.NAME": ProfileTable}
    names = [f"{table}.{name}" for table, kind in tables.items() for name in kind.model_fields]
    names = [name for name in names if name != "server.tls"]

    assert [name for name in [*names, *Config.model_fields] if f"`{name}`" not in page] == []
