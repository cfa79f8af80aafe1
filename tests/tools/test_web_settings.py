"""The settings of the tool that reads pages, as a configuration gives them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from vivavoce.errors import ConfigError
from vivavoce.tools.web.settings import UrlContextSettings, read_settings


def test_without_a_word_the_public_web_is_open_in_small_amounts() -> None:
    settings = read_settings({})
    assert settings == UrlContextSettings()
    assert (settings.allow_hosts, settings.allow_private, settings.ports) == ((), (), (80, 443))


def test_everything_can_be_set() -> None:
    table = {
        "allow_hosts": ["Docs.Example.org", "*.example.org", "münchen.example", "::1", "10.0.0.1"],
        "allow_private": ["10.1.0.0/16", "fd00::/8", "127.0.0.1"],
        "ports": [80, 8080],
        "max_bytes": 1000,
        "max_characters": 100,
        "time_s": 2,
        "max_urls": 20,
    }
    assert read_settings(table) == UrlContextSettings(
        ("docs.example.org", "*.example.org", "xn--mnchen-3ya.example", "::1", "10.0.0.1"),
        (ip_network("10.1.0.0/16"), ip_network("fd00::/8"), ip_network("127.0.0.1/32")),
        (80, 8080),
        1000,
        100,
        2.0,
        20,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("allow_hosts", each) for each in ("a.org", ["*"], ["*.*.org"], ["a.*"], [1], [])),
        *(("allow_hosts", [each]) for each in ("http://a.org", "a.org/x", "a.org:80", "127.1", "")),
        *(("allow_hosts", [each]) for each in ("*.10.0.0.1", "u@a.org", "a b.org", "*.")),
        *(("allow_private", each) for each in ("10.0.0.0/8", ["10.0.0.1/8"], ["all"], [10])),
        *(("ports", each) for each in (80, [], ["80"], [0], [65536], [True])),
        *(
            (key, each)
            for key in ("max_bytes", "max_characters")
            for each in (0, -1, "9", True, 1.5)
        ),
        *(("time_s", each) for each in (0, -1, "9", True, 601)),
        *(("max_urls", each) for each in (0, 21, "5")),
        ("robots", True),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"`{key}`"):
        read_settings({key: value})


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"ports": [0], "time_s": 0, "colour": "red", "allow_hosts": ["*"]})
    for key in ("ports", "time_s", "colour", "allow_hosts"):
        assert f"`{key}`" in caught.value.problem
