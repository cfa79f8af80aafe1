"""From where, by which name and for which page the server may be called."""

from __future__ import annotations

import pytest

from vivavoce.http.origin_policy import OriginPolicy, RequestOrigin


def call(
    peer: str = "127.0.0.1", host: str = "127.0.0.1:8482", origin: str = "", secure: bool = False
) -> RequestOrigin:
    return RequestOrigin(secure, peer, host, origin)


@pytest.mark.parametrize("origin", [
    "", "http://localhost", "http://localhost:5173", "https://localhost:8443", "http://127.0.0.1:3000",
    "http://127.9.9.9", "http://[::1]:3000", "http://app.localhost:3000", "HTTP://LOCALHOST:1",
    "http://127.0.0.1:8482",
])  # fmt: skip
def test_programs_and_pages_of_this_machine_are_welcome(origin: str) -> None:
    assert OriginPolicy().find_violation(call(origin=origin)) is None


@pytest.mark.parametrize("origin", [
    "https://evil.example", "null", "http://localhost.evil.example", "http://evil.localhost.com",
    "http://127.0.0.1.evil.example", "http://localhost:3000/path", "http://localhost@evil.example",
    "file://", "chrome-extension://abc", "http://1270.0.1", "x" * 5000,
    "http://[", "http://[::1", "http://[x]",
])  # fmt: skip
def test_other_pages_are_not(origin: str) -> None:
    objection = OriginPolicy().find_violation(call(origin=origin))
    assert objection is not None
    assert "server.origins" in objection
    assert len(objection) <= 123
    assert OriginPolicy(origins=["*"]).find_violation(call(origin=origin)) is None


def test_pages_that_are_named_are_and_so_is_the_servers_own() -> None:
    gate = OriginPolicy("0.0.0.0", ["voice.example"], ["https://Page.Example/"])
    for origin in ("https://page.example", "https://voice.example:8482"):
        asked = call("192.168.1.9", "voice.example:8482", origin, secure=True)
        assert gate.find_violation(asked) is None
    for origin in ("http://page.example", "https://page.example:444", "https://voice.example"):
        asked = call("192.168.1.9", "voice.example:8482", origin, secure=True)
        assert gate.find_violation(asked) is not None


@pytest.mark.parametrize("host", [
    "127.0.0.1:8482", "localhost", "LOCALHOST.:8482", "[::1]:8482", "192.168.1.5:8482", "10.0.0.1",
    "app.localhost", "", "[fe80::1%25eth0]:80", "my.name:8482",
])  # fmt: skip
def test_names_that_are_the_servers_own(host: str) -> None:
    assert OriginPolicy(hosts=["My.Name"]).find_violation(call(host=host)) is None


@pytest.mark.parametrize(
    "host", ["evil.example:8482", "127.0.0.1.evil.example", "localhost.evil", "a:b:c"]
)
def test_a_foreign_name_that_points_at_this_machine_is_not(host: str) -> None:
    objection = OriginPolicy().find_violation(call(host=host, origin=f"http://{host}"))
    assert objection is not None
    assert "server.hosts" in objection
    assert OriginPolicy(hosts=["*"]).find_violation(call(host=host)) is None


@pytest.mark.parametrize(
    ("plain", "peer", "secure", "welcome"),
    [
        ("loopback", "127.0.0.1", False, True),
        ("loopback", "::1", False, True),
        ("loopback", "::ffff:127.0.0.1", False, True),
        ("loopback", "", False, True),
        ("loopback", "192.168.1.9", False, False),
        ("loopback", "::ffff:192.168.1.9", False, False),
        ("loopback", "nonsense", False, False),
        ("loopback", "192.168.1.9", True, True),
        ("anywhere", "192.168.1.9", False, True),
        ("never", "127.0.0.1", False, False),
        ("never", "127.0.0.1", True, True),
    ],
)
def test_plain_text_is_taken_from_this_machine(
    plain: str, peer: str, secure: bool, welcome: bool
) -> None:
    objection = OriginPolicy(plain=plain).find_violation(call(peer, secure=secure))
    assert (objection is None) is welcome
