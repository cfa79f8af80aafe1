"""How the server writes down what happens: for people on a terminal, JSON otherwise.

A line is a fixed sentence and fields: the standard library's `extra`, or structlog's. Keys and
tokens travel in URLs and headers, so no query and no header is ever logged, and anything that
looks like a secret is masked once more here: by its own look, or by the name of the header or
field that it belongs to. What was said stands only in the fields of `PERSONAL`, which are left
out unless the operator asks for them.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

PERSONAL = frozenset({"heard", "said", "text", "args", "instruction", "told"})
"""Fields that may hold a person's words."""

_HEADERS = (
    r"(?:[\w-]{0,40}api[-_]?key|[\w-]{0,40}[-_](?:token|secret|password|session-id)"
    r"|(?:proxy-)?authorization|(?:set-)?cookie|password|secret)"
)
_SECRET_NAME = re.compile(_HEADERS, re.IGNORECASE)
"""Names of headers and fields whose values nobody has to read."""

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

Fields = MutableMapping[str, Any]


def scrub(text: str) -> str:
    """The text with everything masked that looks like a key or a token."""
    return _SECRETS.sub(lambda match: next(filter(None, match.groups())) + "…", text)


def configure(
    level: str = "info", style: str = "auto", personal: bool = False, stream: TextIO | None = None
) -> None:
    """Set up logging for the whole process; our own lines and those of the libraries alike."""
    out = stream or sys.stderr
    human = style == "human" or (style == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
        structlog.processors.format_exc_info,
        *(() if personal else (_leave_out_personal,)),
        _leave_out_nothings,
        _scrub_fields,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty())
        if human
        else structlog.processors.JSONRenderer()
    )
    # Lines written by structlog itself go the same way.
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *(each for each in shared if not isinstance(each, structlog.stdlib.ExtraAdder)),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
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


def _leave_out_personal(_: Any, __: str, fields: Fields) -> Fields:
    for name in PERSONAL & fields.keys():
        fields[name] = f"({len(str(fields[name]))} characters)"
    return fields


def _leave_out_nothings(_: Any, __: str, fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _scrub_fields(_: Any, __: str, fields: Fields) -> Fields:
    for name, value in fields.items():
        fields[name] = _scrubbed(name, value)
    return fields


def _scrubbed(name: object, value: Any) -> Any:
    """The value of a field, and all values within it."""
    if isinstance(name, str) and _SECRET_NAME.fullmatch(name):
        return "…"
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: _scrubbed(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(None, inner) for inner in value]
    return value
