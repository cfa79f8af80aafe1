"""Addresses as they stand in what people write, and whether certain ones are among them.

Only whole addresses count. `evil.example/x` is not mentioned by
`archive.example/web/evil.example/x`, nor is `a.example/x` by `a.example/x?more`, nor the host of a
mail address. Where an address ends is uncertain in a text, so that one may be read in several
ways: with and without the punctuation after it, and up to the first letter of another script,
since not all languages put a blank there. None of these readings holds anything that did not stand
in the text. What is looked for is read in one way only, to the letter: else a row of dots at its
end would count as nothing and could be a message.

Two spellings are of one address if they differ in the scheme, in `www.`, in the case of the host,
in one slash at the end, or in the fragment, which is not sent. The case of all else matters, as it
does to servers.

The work grows with the length of the text and not faster, whatever is in it: the expression never
goes back (its repetitions are possessive), and where it fails, the characters that it has passed
are none at which an address may begin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import regex

MOST_CHARACTERS = 2048
"""A longer address is none: the guard refuses it."""
MOST_PUNCTUATION = 8
"""Characters after an address that may be the sentence's and not its own."""

# Before an address may stand what is no part of another. A letter of another script may, before a
# scheme. `\w` of `regex` has the marks of all scripts in it, which that of `re` leaves out.
_ADDRESS = regex.compile(
    r"""
    (?: (?<![A-Za-z0-9_.@/%&=?\#~:+-]) [Hh][Tt][Tt][Pp][Ss]?+://
        (?P<host> [\w-]++ (?:\.[\w-]++)*+ | \[[0-9A-Fa-f:.]++\] )
      | (?<![\w.@/%&=?\#~:+-]) (?P<host> [\w-]++ (?:\.[\w-]++)++ ) )
    (?P<port> :[0-9]{1,5}+ )?+
    (?: (?P<rest> [/?\#] [^\s<>"`\\]*+ ) | (?! [\w@%\\&=+$] | :\S ) )
    """,
    regex.VERBOSE,
)
_ASCII = re.compile(r"[\x00-\x7f]*")
_PUNCTUATION = frozenset(".,;:!?')]}*_~|")

_Site = str
_Key = tuple[_Site, str]


class UrlSet:
    """Some addresses that are looked for in texts. Those that are none are never found."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls: dict[_Key, set[str]] = {}
        for url in urls:
            if (key := _key(url)) is not None:
                self._urls.setdefault(key, set()).add(url)
        self._sites = {site for site, _ in self._urls}

    def within(self, text: str) -> set[str]:
        """Those that stand in the text."""
        found: set[str] = set()
        seen: set[str] = set()
        for one in _ADDRESS.finditer(text, concurrent=True) if self._urls else ():
            # Taking one apart takes much longer than finding it, and texts repeat theirs.
            if (whole := one[0]) in seen or len(whole) > MOST_CHARACTERS:
                continue
            seen.add(whole)
            if (site := _site(one)) in self._sites:
                for rest in _readings(one["rest"] or ""):
                    found |= self._urls.get((site, rest), set())
        return found


def _key(uri: str) -> _Key | None:
    """What all spellings of the address have in common, if it is one."""
    one = _ADDRESS.fullmatch(uri) if len(uri) <= MOST_CHARACTERS else None
    return None if one is None else (_site(one), _sent(one["rest"] or ""))


def _site(one: regex.Match[str]) -> _Site:
    # Not `casefold`, which makes one name of straße and strasse: they are two hosts.
    host: str = one["host"].lower().removeprefix("www.")
    return host + (one["port"] or "")


def _sent(rest: str) -> str:
    return rest.partition("#")[0].removesuffix("/")


def _readings(rest: str) -> Iterator[str]:
    """What of `rest` may belong to the address."""
    plain = _ASCII.match(rest)
    for each in {rest, plain[0] if plain else ""}:
        left = each
        yield _sent(left)
        for _ in range(MOST_PUNCTUATION):
            if left[-1:] not in _PUNCTUATION:
                break
            left = left[:-1]
            yield _sent(left)
