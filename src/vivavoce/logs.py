"""Configure logging: readable lines on a terminal, JSON otherwise.

A line is a fixed sentence and fields, the `extra` of the standard library. Keys and tokens travel
in URLs and headers, so no query and no header is ever logged, and anything that looks like a secret
is masked once more here: by its own look, or by the name of the header or field that it belongs to.
A person's words are only in the fields of `PERSONAL`, which are left out unless configured.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

PERSONAL = frozenset({"heard", "said", "text", "args", "instruction", "quoted"})
"""Fields of log records that may hold a person's words."""

_HEADERS = (
    r"(?:[\w-]{0,40}api[-_]?key|[\w-]{0,40}[-_](?:token|secret|password|session-id)"
    r"|(?:proxy-)?authorization|(?:set-)?cookie|password|secret)"
)
_SECRET_NAME = re.compile(_HEADERS, re.IGNORECASE)
"""Names of headers and fields whose values are masked."""

_SECRETS = re.compile(
    # A header as it is sent, as a dictionary's or a pair's entry, and as a variable.
    rf"(\b{_HEADERS}(?:['\"]?\s*[:,=]\s*(?:b?['\"])?)(?:(?:Basic|Bearer|Digest|Token)\s+)?)"
    r"[^\s\"',;&)}][^\s\"'&)}]*"
    r"|((?:[?&]|\b)(?:key|access_token|api_key)=)[^&\s\"']+"
    r"|(auth_tokens/)[^&\s\"']+"
    # A word with a digit, or a long one: "Token has expired" is a sentence.
    r"|(\b(?:Bearer|Token)\s+)(?=\S*[\d/_]|\S{20})[^\s\"']+"
    r"|(vv-)[\w-]{20,}"
    r"|(AIza)[\w-]{20,}",
    re.IGNORECASE,
)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of a log record that are not fields."""

_COLORS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31"}


def scrub(text: str) -> str:
    """Mask everything in the text that looks like a key or a token."""
    return _SECRETS.sub(lambda match: next(filter(None, match.groups())) + "…", text)


def configure(
    level: str = "info", style: str = "auto", personal: bool = False, stream: TextIO | None = None
) -> None:
    """Set up logging for the whole process, libraries included."""
    out = stream or sys.stderr
    human = style == "human" or (style == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        HumanFormatter(personal, colors=out.isatty()) if human else JsonFormatter(personal)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx2", "httpcore2", "asyncio", "websockets", "markdown_it"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    # The `mcp` package (some of it says only `client`) writes identifiers of sessions, and
    # excerpts of whatever it could not read.
    for telltale in ("mcp.client", "client"):
        logging.getLogger(telltale).setLevel(logging.CRITICAL)


class JsonFormatter(logging.Formatter):
    """Formatter of log records as one line of JSON; `personal` keeps the fields of `PERSONAL`."""

    def __init__(self, personal: bool = False) -> None:
        super().__init__()
        self._personal = personal

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object: sentence, level, fields, time, and any traceback."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        line = {
            "event": scrub(record.getMessage()),
            "level": record.levelname.lower(),
            **self.read_fields(record),
            "timestamp": at,
        }
        if record.exc_info:
            line["exception"] = scrub(self.formatException(record.exc_info))
        return json.dumps(line, default=repr)

    def read_fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the fields that are written, with secrets masked."""
        fields = {}
        for name, value in vars(record).items():
            if name in _STANDARD or value is None:
                continue
            if name in PERSONAL and not self._personal:
                value = f"({len(str(value))} characters)"
            fields[name] = _scrubbed(name, value)
        return fields


class HumanFormatter(JsonFormatter):
    """Formatter of log records as readable lines: time, level, sentence, `name=value` pairs."""

    def __init__(self, personal: bool = False, colors: bool = False) -> None:
        super().__init__(personal)
        self._colors = colors

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the last events of a session and the traceback below it."""
        level = f"{record.levelname.lower():<8}"
        if self._colors and (color := _COLORS.get(record.levelname)):
            level = f"\x1b[{color}m{level}\x1b[0m"
        at = self.formatTime(record, "%H:%M:%S")
        line = f"{at} {level} {scrub(record.getMessage()):<30}"
        below: list[str] = []
        for name, value in self.read_fields(record).items():
            text = str(value)
            if name == "events" and isinstance(value, list):
                below += (f"  {_printable(str(item))}" for item in value)
            elif text.split() == [text]:
                line += f" {name}={_printable(text)}"
            else:
                line += f" {name}={text!r}"
        if record.exc_info:
            below.append(scrub(self.formatException(record.exc_info)))
        return "\n".join((line.rstrip(), *below))


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _scrubbed(name: object, value: Any) -> Any:
    """Mask secrets in the value of a field, and in all values within it."""
    if isinstance(name, str) and _SECRET_NAME.fullmatch(name):
        return "…"
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: _scrubbed(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(None, inner) for inner in value]
    return value
