"""Layers of the wire: messages, setups, tokens and what they lock, over both readers."""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import cache
from typing import Any

import orjson

from fuzz.layer import Layer
from fuzz.mutation import JsonMutator
from fuzz.seeds import VALUES, client_frames, dumped, every_name, models_in, setups, small_setups
from vivavoce.core.events import ContextUpdated
from vivavoce.domain.accounts import TokenRecord
from vivavoce.errors import INVALID, POLICY, TOO_BIG, ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.auth_tokens import (
    AuthToken,
    FoundToken,
    mask_paths,
    read_token_request,
    token_body,
)
from vivavoce.protocol.base import LENIENT, Wire, read_model, spellings
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.setup import Setup

NOW = 1_890_000_000.0
MOST_TOLD = 6
"""So many events make an outcome: with all, ever longer messages would be kept."""

_DETAIL = re.compile(r"\"[^\"]*\"|[0-9]+")


def refusal(fault: ClientFault) -> str:
    """What kind of refusal it is. Asserts that a close frame can say it."""
    assert fault.code in (INVALID, POLICY, TOO_BIG), fault.code
    assert 0 < len(close.cut_reason(fault.reason).encode()) <= 123
    place = fault.reason.partition("), ")[0]  # what follows is the value
    return _DETAIL.sub("", place[:1000])[:80]


def _decoded(data: bytes, strict: bool) -> tuple[Hashable, Any]:
    try:
        events = GeminiDialect(strict).decode(data)
    except ClientFault as fault:
        return refusal(fault), None
    found = list(events)
    return tuple(type(event).__name__ for event in found[:MOST_TOLD]), found


def _strict(data: bytes) -> bool:
    """Half of all inputs meet the strict reader, the others the lenient one."""
    return len(data) % 2 == 1


def run_decode(data: bytes) -> Hashable:
    """A frame after the setup. What a strict reader takes, a lenient one takes alike."""
    strict = _strict(data)
    outcome, meant = _decoded(data, strict)
    if strict and meant is not None:
        assert _decoded(data, strict=False)[1] == meant
    return strict, outcome


def run_setup(data: bytes) -> Hashable:
    """The first frame, and what a lenient reader found beside the setup."""
    strict = _strict(data)
    told: list[str] = []
    dialect = GeminiDialect(strict, on_unserved=lambda kind, name: told.append(name))
    try:
        setup = dialect.read_setup(data)
    except ClientFault as fault:
        return strict, refusal(fault)
    assert setup.model
    beside = _decoded(dialect.beside_setup, strict)[0] if dialect.beside_setup else None
    return strict, setup.modality, len(setup.tools.functions) > 0, tuple(told[:2]), beside


def run_tokens(data: bytes) -> Hashable:
    """The request for a token, its answer, and a setup read under it."""
    strict = _strict(data)
    try:
        record = read_token_request(data, NOW, strict=strict, digest="digest", owner="owner")
    except ClientFault as fault:
        return strict, refusal(fault)
    assert NOW < record.new_session_expires <= record.expires
    assert record.uses is None or record.uses > 0
    assert token_body("auth_tokens/x", record)["name"]
    token = FoundToken(record)
    locked = token.lock_setup(Setup(model="models/client"))
    assert locked.model or token.locks_field("model")
    return strict, bool(record.setup), record.mask, token.replaces_setup


def run_locks(data: bytes) -> Hashable:
    """Two clients under one token: they differ in nothing that it locks."""
    try:
        case = orjson.loads(data)
        mask = case["mask"]
        paths = None if mask is None else mask_paths(mask)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    except ClientFault as fault:
        return refusal(fault)
    bound = case.get("bound")
    setup = orjson.dumps(bound) if isinstance(bound, dict) else b""
    record = TokenRecord("digest", "owner", 1, NOW, NOW, setup, paths)
    token = FoundToken(record)
    locked: list[Setup] = []
    for name in ("a", "b"):
        try:
            client = read_model(Setup, case.get(name), LENIENT)
            locked.append(token.lock_setup(client))
        except ClientFault as fault:
            refusal(fault)
    _check_dialect(token, case.get("a"), case.get("update"))
    if len(locked) == 2:
        one, other = locked
        if paths is None and setup:
            assert _without_handle(one, bound) == _without_handle(other, bound)
        for path in paths or ():
            assert _at(one, path) == _at(other, path), path
    return paths if paths is None else tuple(path.split(".")[0] for path in paths[:4]), len(locked)


def _check_dialect(token: FoundToken, client: object, update: object) -> None:
    """The session of a client can be read, and what is locked stays so in later messages."""
    dialect = GeminiDialect()
    try:
        dialect.read_setup(orjson.dumps({"setup": client}), token)
        events = dialect.decode(orjson.dumps({"contextUpdate": update}))
    except ClientFault as fault:
        refusal(fault)
        return
    for event in events:
        if isinstance(event, ContextUpdated):
            assert event.instruction is None or not token.locks_field("system_instruction")
            assert event.tools is None or not token.locks_field("tools")


def _without_handle(setup: Setup, bound: Any) -> dict[str, Any]:
    """What a token without a mask determines: all but the handle, and a model it leaves open."""
    fields = setup.model_dump()
    resumption = fields.get("session_resumption")
    if isinstance(resumption, dict):
        fields["session_resumption"] = {**resumption, "handle": ""}
    if not read_model(Setup, bound, LENIENT).model:
        fields["model"] = ""
    return fields


def _at(setup: Setup, path: str) -> Any:
    """The value at a path of proto names, the default where an object on the way is absent.

    The handle of a resumption is left out: it is the client's own.
    """
    kind: type[Wire] = Setup
    value: Any = setup
    for name in path.split("."):
        fields = kind.model_fields
        attribute = next((each for each, field in fields.items() if field.alias == name), name)
        field = fields[attribute]
        absent = _absent(kind, attribute)
        value = absent if value is None else getattr(value, attribute)
        kind = next(iter(models_in(field.annotation)), Wire)
    if path == "session_resumption" and value is not None:
        return value.model_copy(update={"handle": ""})
    return None if path == "session_resumption.handle" else value


@cache
def _absent(kind: type[Wire], attribute: str) -> Any:
    """The value of a field that is absent; the library looks up its signature each time."""
    return kind.model_fields[attribute].get_default(call_default_factory=True)


@cache
def _masks() -> tuple[str, ...]:
    top = sorted(set(spellings(Setup)))
    deep = (
        "generationConfig.speechConfig.voice_config", "tools.0.functionDeclarations", "temperature",
        "systemInstruction.parts", "realtimeInputConfig.automaticActivityDetection.disabled",
        "session_resumption.handle", "generation_config.top_k", "setup.model", "model,tools", "",
    )  # fmt: skip
    return (*top, *deep, ",".join(top))


def _token_seeds() -> list[bytes]:
    times = {"expireTime": "2029-11-22T00:00:00Z", "newSessionExpireTime": "2029-11-22T00:00:00Z"}
    small = small_setups()
    bound = [{"bidiGenerateContentSetup": setup, **times, "uses": 2} for setup in small]
    masked = [
        {"bidiGenerateContentSetup": small[0], "fieldMask": mask, "uses": 1} for mask in _masks()
    ]
    return [b"", *dumped([{}, {"uses": 0}, {"authToken": times}, *bound, *masked])]


def _lock_seeds() -> list[bytes]:
    known = small_setups()
    update = {"systemInstruction": {"parts": [{"text": "obey"}]}, "tools": {"tools": []}}
    cases = [
        {
            "mask": None if number % 9 == 8 else _masks()[number % len(_masks())],
            "bound": known[number % len(known)],
            "a": known[(number + 1) % len(known)],
            "b": known[(number + 2) % len(known)],
            "update": update,
        }
        for number in range(2 * len(known))
    ]
    return dumped(cases)


def _wire_mutator() -> JsonMutator:
    return JsonMutator(sorted(every_name()), VALUES)


def _token_mutator() -> JsonMutator:
    names = sorted({*every_name(Setup), *spellings(AuthToken)})
    return JsonMutator(names, (*VALUES, *_masks(), "models/x"))


DECODE = Layer("decode", run_decode, lambda: dumped(client_frames()), _wire_mutator)
SETUP = Layer(
    "setup",
    run_setup,
    lambda: dumped([{"setup": setup} for setup in (*setups(), *small_setups())]),
    _wire_mutator,
)
TOKENS = Layer("tokens", run_tokens, _token_seeds, _token_mutator)
LOCKS = Layer("locks", run_locks, _lock_seeds, _token_mutator)
