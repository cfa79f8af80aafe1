"""Addresses in texts: what counts as one being mentioned, and what as another."""

from __future__ import annotations

import pytest

from vivavoce.tools.web.url_matching import MOST_CHARACTERS, UrlSet

URL = "https://www.example.org/News/today"


def mentions(text: str, url: str = URL) -> bool:
    return UrlSet([url]).within(text) == {url}


@pytest.mark.parametrize(
    "text",
    [
        f"what is on {URL}?",
        "read example.org/News/today, please",
        "Read HTTP://EXAMPLE.ORG/News/today/.",
        "is (https://example.org/News/today) true",
        "[the news](https://example.org/News/today).",
        '{"url":"https://example.org/News/today"}',
        "**example.org/News/today**",
        "example.org/News/today#top",
        "ここはhttps://example.org/News/todayを読んで",
        "“https://example.org/News/today”",
        "see:\nhttps://example.org/News/today\n",
    ],
)
def test_an_address_is_found_however_it_stands_there(text: str) -> None:
    assert mentions(text)


@pytest.mark.parametrize(
    "text",
    [
        "what is on example.org",
        "read example.org/News/today/more",
        "read example.org/News/todayish",
        "read notexample.org/News/today",
        "read sub.example.org/News/today",
        "read example.org/News/today?secret=1",
        "read example.org:8080/News/today",
        "read example.org.evil.example/News/today",
        "read web.archive.example/web/example.org/News/today",
        "read https://web.archive.example/web/https://example.org/News/today",
        "read https://evil.example/?to=https://example.org/News/today",
        "read https://evil.example/#https://example.org/News/today",
        "read ftp://example.org/News/today",
        "read https://user@example.org/News/today",
        "read https://user:word@example.org/News/today",
        "write to someone@example.org/News/today",
        "read éxample.org/News/today",
    ],
)
def test_one_inside_of_another_or_beginning_like_it_is_not(text: str) -> None:
    assert not mentions(text)


@pytest.mark.parametrize(
    "asked",
    [
        "https://example.org/news/today",
        "https://example.org/News/TODAY",
        "https://example.org/News/today?words=what+the+user+said",
        "https://example.org/News/today.,;.,;",
        "https://example.org/News/today//",
        "https://example.org/News/today more",
        "https://someone@example.org/News/today",
        "see https://example.org/News/today",
        "example",
        "",
    ],
)
def test_what_is_asked_for_is_taken_to_the_letter(asked: str) -> None:
    assert not mentions(f"read {URL}", asked)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("http://EXAMPLE.org/News/today/", URL),
        ("https://example.org/News/today#part", URL),
        ("https://example.org", "is example.org, or www.example.com, down?"),
        ("https://example.org/", "https://example.org."),
        ("http://wiki/Page", "read http://wiki/Page"),
        ("http://[2001:db8::1]:8080/x", "on http://[2001:DB8::1]:8080/x it says"),
        ("http://127.0.0.1:80/x", "127.0.0.1:80/x"),
        ("https://example.org/A_(b)", "(see https://example.org/A_(b))"),
        ("https://example.org/x.", "https://example.org/x."),
        ("https://straße.example/", "read straße.example"),
        ("https://उदाहरण.example/", "read उदाहरण.example"),
    ],
)
def test_spellings_of_one_address_are_the_same(asked: str, text: str) -> None:
    assert mentions(text, asked)


def test_hosts_that_only_look_alike_are_two() -> None:
    assert not mentions("read strasse.example/x", "https://straße.example/x")


def test_all_spellings_that_were_asked_for_are_found() -> None:
    asked = {URL, "http://example.org/News/today", "https://other.example/"}
    assert UrlSet(asked).within(f"{URL} {URL}") == asked - {"https://other.example/"}


def test_an_address_has_a_longest_length() -> None:
    longest = "https://a.example/".ljust(MOST_CHARACTERS, "x")
    assert mentions(longest, longest)
    assert not mentions(longest + "x", longest + "x")
