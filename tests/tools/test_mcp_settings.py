"""What may be configured, and what a client may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.errors import ClientFault, ConfigError
from vivavoce.tools.mcp.registry import distinct_names
from vivavoce.tools.mcp.settings import (
    MAX_CALL_S,
    MAX_SERVERS,
    McpSettings,
    origin_of,
    read_request,
    read_settings,
)

ORIGIN = "https://tools.example.org"


def test_a_server_is_an_address_or_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KITCHEN_KEY", "Bearer secret")
    settings = read_settings(
        {
            "kitchen": {
                "url": f"{ORIGIN}/mcp",
                "headers": {"X-Room": "1"},
                "headers_env": {"Authorization": "KITCHEN_KEY"},
                "tools": ["add"],
                "prefix": "k_",
                "timeout_s": 4,
                "offer": "asked",
            },
            "files": {"command": ["mcp-files", "--all"], "env": {"A": "b"}},
        }
    )
    kitchen, files = settings.servers
    assert kitchen.url == f"{ORIGIN}/mcp"
    assert kitchen.headers == {"X-Room": "1", "Authorization": "Bearer secret"}
    assert (kitchen.allow, kitchen.prefix) == (frozenset({"add"}), "k_")
    assert (kitchen.timeout_s, kitchen.on_request) == (4, True)
    assert (kitchen.connect_s, files.connect_s) == (5, 30)
    assert (files.command, files.env, files.on_request) == (
        ("mcp-files", "--all"),
        {"A": "b"},
        False,
    )
    assert "secret" not in repr(settings)


def test_every_fault_of_the_configuration_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(
            {
                "none": {},
                "both": {"url": f"{ORIGIN}/mcp", "command": ["x"]},
                "ftp": {"url": "ftp://example.org"},
                "user": {"url": "https://me:pw@example.org/mcp"},
                "unknown": {"url": f"{ORIGIN}/mcp", "colour": "red"},
                "time": {"url": f"{ORIGIN}/mcp", "timeout_s": 0},
                "unset": {"command": ["x"], "env_pass": ["VIVAVOCE_NOT_SET"]},
                "host": {"url": f"{ORIGIN}/mcp", "headers": {"Host": "other"}},
                "no name": {"command": ["x"]},
            },
            [f"{ORIGIN}/path", "tools.example.org"],
        )
    told = caught.value.problem
    for word in (
        "none needs either", "both needs either", "ftp.url", "user.url", "unknown.colour",
        "time.timeout_s", "VIVAVOCE_NOT_SET", "host.headers", "'no name'", f"'{ORIGIN}/path'",
        "'tools.example.org'",
    ):  # fmt: skip
        assert word in told, word


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Tools.Example.org:443/mcp?x#y", ORIGIN),
        ("http://tools.example.org/mcp", "http://tools.example.org"),
        ("http://[::1]:8000/mcp", "http://[::1]:8000"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("https://tools.example.org@evil.example/", None),
        ("https://tools.example.org:99999/", None),
        ("http://a b/", None),
        ("file:///etc/passwd", None),
        ("//tools.example.org/", None),
        ("", None),
    ],
)
def test_an_origin_is_spelled_in_one_way(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


def asked(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"mcpServers": list(entries)}]


def entry(url: str = f"{ORIGIN}/mcp", name: str = "shop", **more: Any) -> dict[str, Any]:
    return {"name": name, "streamableHttpTransport": {"url": url, **more}}


ALLOWED = McpSettings(client_origins=frozenset({ORIGIN}))


def test_a_clients_server_is_taken_from_an_origin_that_the_operator_lists() -> None:
    options = asked(
        entry(headers={"Authorization": "Bearer x"}, timeout=2.5, terminateOnClose=False)
    )
    (spec,) = read_request(options, ALLOWED).specs
    assert (spec.name, spec.url) == ("shop", f"{ORIGIN}/mcp")
    assert spec.headers == {"Authorization": "Bearer x"}
    assert (spec.connect_s, spec.timeout_s, spec.terminate) == (2.5, 2.5, False)


def test_a_clients_times_are_bounded() -> None:
    options = asked(entry(timeout=1e9, sseReadTimeout=1e9), entry(name="b", timeout=-1.0))
    long, short = read_request(options, ALLOWED).specs
    assert (long.connect_s, long.timeout_s) == (5.0, MAX_CALL_S)
    assert short.timeout_s == 0.1


@pytest.mark.parametrize(
    "url",
    [
        "http://tools.example.org/mcp",
        "https://tools.example.org:8443/mcp",
        "https://tools.example.org.evil.example/mcp",
        "http://169.254.169.254/latest",
    ],
)
def test_a_clients_server_anywhere_else_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(ClientFault, match="not in mcp_clients") as caught:
        read_request(asked(entry(url)), ALLOWED)
    assert caught.value.code == 1008


def test_clients_bring_no_servers_unless_the_operator_says_so() -> None:
    with pytest.raises(ClientFault, match="not enabled here"):
        read_request(asked(entry()), McpSettings())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (asked(entry("https://tools.example.org@evil.example/")), "not an http address"),
        (asked(entry(headers={"Host": "inside"})), "Host is set by the transport"),
        (asked(entry(headers={"X": "a\r\nY: b"})), "not a header"),
        (asked(entry(headers={"X": " quoted in h11's complaint"})), "not a header"),
        (asked(entry(), entry()), "Duplicate MCP server found: shop"),
        (asked(*[entry(name=f"s{n}") for n in range(MAX_SERVERS + 1)]), "at most 8"),
    ],
)
def test_what_can_not_be_is_refused(options: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ClientFault, match=reason) as caught:
        read_request(options, ALLOWED)
    assert caught.value.code == 1007


def test_a_name_alone_asks_for_a_configured_server() -> None:
    settings = read_settings({"files": {"command": ["x"], "offer": "asked"}})
    assert read_request(asked({"name": "files"}), settings).names == ("files",)
    with pytest.raises(ClientFault, match="'other' has no transport and is not configured"):
        read_request(asked({"name": "other"}), settings)


def test_names_fit_the_live_api_and_are_qualified_only_where_they_clash() -> None:
    names = distinct_names(
        [
            ("a", "read list"),
            ("a", "add"),
            ("b", "add"),
            ("b", "9"),
            ("b", "search"),
            ("c", "ü" * 200),
        ],
        taken={"search", "b__search"},
    )
    assert names == ["read_list", "a__add", "b__add", "_9", "b__search_2", "_" * 128]


def test_a_name_that_is_given_twice_by_one_server_is_numbered() -> None:
    assert distinct_names([("a", "x y"), ("a", "x_y")]) == ["x_y", "a__x_y"]
    assert distinct_names([("a", "x"), ("a", "x"), ("a", "x")]) == ["x", "a__x", "a__x_2"]
