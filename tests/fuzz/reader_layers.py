"""Layers of the small readers: paths, credentials, origins, base64, WAV headers, configuration."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from fuzz.layer import Layer
from fuzz.mutation import BytesMutator
from fuzz.wire_layers import refusal
from vivavoce.config.loading import load_config
from vivavoce.engines.ports import citable_host
from vivavoce.errors import ClientFault, ConfigError
from vivavoce.http.keys import AuthError, find_request_credential
from vivavoce.http.origin_policy import OriginPolicy, RequestOrigin
from vivavoce.logs import scrub
from vivavoce.protocol import content
from vivavoce.protocol.json_frames import decode_base64
from vivavoce.protocol.paths import parse_live_path
from vivavoce.runtime.audio_input import WavHeaderReader

LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
HEADER = (
    b"RIFF\x24\x08\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0"
    b"data\0\x08\0\0"
)


def _path(data: bytes) -> Hashable:
    found = parse_live_path(data.decode("latin-1"))
    return found and (found.version, found.method, found.enterprise)


def _credential(data: bytes) -> Hashable:
    query, _, rest = data.partition(b"\n")
    pairs = (line.partition(b":") for line in rest.split(b"\n"))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, _, value in pairs}
    try:
        found = find_request_credential(query, headers)
    except AuthError as denied:  # a query that is too long, or has too many fields
        return refusal(denied)
    assert found is None or found.value
    return found and found.is_token


@cache
def _gate() -> OriginPolicy:
    return OriginPolicy(origins=("https://ours.example",))


def _origin(data: bytes) -> Hashable:
    host, origin, peer = (data.decode("latin-1") + "\n\n").split("\n", 3)[:3]
    objection = _gate().find_violation(RequestOrigin(False, peer, host, origin))
    if objection is None and origin:
        assert citable_host(origin) or "ours.example" in origin.lower() or "//" in origin
    return objection and objection.split()[1]


def _mime(data: bytes) -> Hashable:
    text = data.decode("utf-8", "replace")
    try:
        rate = content.pcm_rate(text)
    except ClientFault as fault:
        return refusal(fault)
    assert rate is None or 0 <= rate < 1_000_000
    return rate is not None, content.image_type(text) is not None


def _base64(data: bytes) -> Hashable:
    try:
        return min(len(decode_base64(data.decode("utf-8", "replace"))), 3)
    except ValueError as error:
        return str(error)[:20]


def _wav(data: bytes) -> Hashable:
    """The same sound however the stream is cut into messages."""
    whole, cut = WavHeaderReader(), WavHeaderReader()
    size = 1 + (data[0] if data else 0)
    try:
        found = whole.feed_bytes(data)
        pieces = [
            one for at in range(0, len(data), size) for one in cut.feed_bytes(data[at : at + size])
        ]
    except ClientFault as fault:
        return refusal(fault)
    assert b"".join(pcm for pcm, _ in found) == b"".join(pcm for pcm, _ in pieces)
    assert whole.flush_header() == cut.flush_header()
    return tuple((format and (format.channels, format.rate == 16000)) for _, format in found[:3])


def _log(data: bytes) -> Hashable:
    text = f"key=secret{'0' * 20}&{data.decode('utf-8', 'replace')}"
    masked = scrub(text)
    assert f"secret{'0' * 20}" not in masked
    return masked.count("…") > 1


READERS: tuple[tuple[Callable[[bytes], Hashable], tuple[bytes, ...]], ...] = (
    (_path, (
        LIVE.encode(), b"//ws//google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent",
        b"/p/ws/google.firebase.vertexai.v1beta.GenerativeService/BidiGenerateContent/locations/x/",
        b"/ws/google.ai.generativelanguage..GenerativeService.BidiGenerateContentConstrained",
    )),
    (_credential, (
        b"key=abc&alt=ws\n", b"access_token=auth_tokens/x\n", b"\nx-goog-api-key:k",
        b"a=%20&key=%\nauthorization:Bearer x\nAuthorization:Token auth_tokens/y",
    )),
    (_origin, (
        b"localhost:8482\nhttp://localhost:3000\n127.0.0.1",
        b"ours.example\nhttps://ours.example\n",
        b"[::1]:80\nhttps://evil.example\n::ffff:127.0.0.1", b"10.0.0.1\nnull\n10.0.0.1",
    )),
    (_mime, (
        b"audio/pcm;rate=16000", b'audio/L16; channels=1; rate="24000"', b"image/jpeg",
        b"audio/x-pcm",
    )),
    (_base64, (b"AAAA", b"AA-_\r\n", b"QUJD=", b"QQ==")),
    (_wav, (HEADER + bytes(400), HEADER.replace(b"fmt ", b"LIST") + HEADER, b"RIFF", bytes(64))),
    (_log, (
        b"Authorization: Bearer abc123", b"{'x-goog-api-key': 'AIzaSyA'}", b"?access_token=1",
        b"auth_tokens/abc vv-0123456789012345678901",
    )),
)  # fmt: skip


def run_reader(data: bytes) -> Hashable:
    """The first byte chooses the reader, the rest is what it reads."""
    number = (data[0] if data else 0) % len(READERS)
    return number, READERS[number][0](data[1:])


_TOKENS = (
    b"/", b"//", b".", b"v1", b"v1beta", b"/ws/", b"Constrained", b"%2f", b"%00", b"\0", b"\n",
    b"\xff",
    b"key=", b"&", b";", b"=", b"auth_tokens/", b"Bearer ", b"Token ", b"authorization:", b"://",
    b"localhost", b"127.1", b"[::1]", b"[", b"]", b"@", b":", b"rate=", b"channels=", b"audio/pcm",
    b"RIFF", b"WAVE", b"fmt ", b"data", b"\x10\0\0\0", b"\xff\xff\xff\xff", b"\x01\0", b"A" * 40,
    "é".encode(), "…".encode(), b"api-key", b'"', b"'", b"-", b"_", b"==",
)  # fmt: skip


def run_configuration(data: bytes) -> Hashable:
    """A configuration file: settings, or sentences that name every mistake and its fix."""
    try:
        tomllib.loads(data.decode())
    except ValueError as error:
        problem = str(error)[:16]
        if len(data) % 32:  # most are no TOML: not all of those need the slow way
            return problem
    path = _configuration_file()
    path.write_bytes(data)
    try:
        with _no_variables():
            config = load_config(path)
    except ConfigError as error:
        return str(error).split(":")[-1][:24]
    return config.profile, config.store.use, bool(config.models)


@contextmanager
def _no_variables() -> Iterator[None]:
    """Hide the environment, of which each table of the settings asks for every variable."""
    before = os.environ
    os.environ = _NO_VARIABLES  # type: ignore[assignment]  # noqa: B003
    try:
        yield
    finally:
        os.environ = before  # noqa: B003


_NO_VARIABLES: dict[str, str] = {}


@cache
def _configuration_file() -> Path:
    shared_memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(dir=shared_memory if shared_memory.is_dir() else None)
    return Path(folder) / "vivavoce.toml"


_CONFIGURATION = (
    b'model = "qwen-0.5b"\n[server]\nport = 8482\nkeys = ["abc"]\norigins = "https://a.example"\n',
    b'[server.tls]\nenabled = false\nplain = "anywhere"\n[server.quota]\nsessions = 2\n',
    b'profile = "scripted"\n[session]\nstall_s = 1.5\nearly_turn_complete = "never"\n',
    b'[models]\n"models/a" = "embedded"\na = "scripted"\n[profiles.x]\ndetector = "energy"\n'
    b'recognizer = "tones"\nresponder = { use = "cascade", model = { use = "echo" } }\n',
    b'[tools]\nsearch = { use = "external", url = "http://x" }\ncode = "monty"\nurl = true\n'
    b'[tools.mcp.weather]\nurl = "http://127.0.0.1:1/mcp"\n',
    b'[store]\nuse = "redis"\nurl = "redis://127.0.0.1:6379/0"\n[log]\nlevel = "debug"\n',
    b'[weights]\nsilero = "/tmp/x"\n',
)
_WORDS = (
    b"=", b"[", b"]", b"[[", b"]]", b"\n", b'"', b"'", b"{", b"}", b"true", b"-1", b"1e400", b"nan",
    b"0x10", b"1979-05-27", b"server", b"session", b"store", b"tools", b"log", b"profile",
    b"profiles",
    b"models", b"model", b"weights", b"port", b"host", b"tls", b"use", b".", b"#", b"\xff",
    b"9" * 5000,
    b'"""', b"[]", b"{}", b"openai:http://x#y", b"_", b"\\u0000", b"\\ud800",
)  # fmt: skip

SMALL_READERS = Layer(
    "readers",
    run_reader,
    lambda: [
        bytes((number,)) + seed for number, (_, seeds) in enumerate(READERS) for seed in seeds
    ],
    lambda: BytesMutator(_TOKENS),
)
CONFIGURATION = Layer(
    "configuration", run_configuration, lambda: _CONFIGURATION, lambda: BytesMutator(_WORDS)
)
