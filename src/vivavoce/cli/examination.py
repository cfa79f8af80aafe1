"""Check an installation without starting an engine: host, port, TLS, store, weights, sound."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from vivavoce import __version__
from vivavoce.cli.environment import trusted_certificates
from vivavoce.cli.errors import ErrorCode, describe_error
from vivavoce.cli.options import ServerAddress, get_json
from vivavoce.client import audio as sound
from vivavoce.config.settings import Config, is_loopback
from vivavoce.engines.registry import locate_weights
from vivavoce.engines.weights import cache_folder
from vivavoce.errors import ConfigError, EngineMissing, VivavoceError
from vivavoce.http import certificates
from vivavoce.server import configured_store, weights_in_use

GIB = 1024**3
MIN_MEMORY_GIB = 2.0
MIN_DISK_GIB = 1.0
ANSWER_S = 3.0


class Severity(IntEnum):
    """Severity of a finding; the worst one is the exit status of `vivavoce doctor`.

    A note is something to know that is not wrong.
    """

    NOTE = -1
    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined. `group` is what it belongs to: host, tls, engines, …"""

    group: str
    severity: Severity
    text: str
    code: ErrorCode | None = None
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """The finding for `--json`."""
        found = {"group": self.group, "severity": self.severity.name.lower(), "what": self.text}
        return found if self.code is None else {**found, "code": self.code.value, "fix": self.fix}


def ok(group: str, text: str) -> Finding:
    """Report that nothing is wrong."""
    return Finding(group, Severity.OK, text)


def fault(
    group: str, code: ErrorCode, text: str, fix: str, severity: Severity = Severity.ERROR
) -> Finding:
    """Report what is wrong and what to do about it."""
    return Finding(group, severity, text, code, fix)


def fault_of(group: str, error: BaseException) -> Finding:
    """Report an exception that a user can meet; raise any other again."""
    failure = describe_error(error)
    return fault(group, failure.code, failure.problem, failure.fix)


def worst_severity(findings: Sequence[Finding]) -> Severity:
    """Return the severity of the whole."""
    return max((each.severity for each in findings if each.severity > 0), default=Severity.OK)


def examine_host(folder: Path | None = None) -> Iterator[Finding]:
    """Examine processor, memory and disk."""
    yield ok(
        "host",
        f"vivavoce {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores",
    )
    memory = _memory_gib()
    if memory is not None and memory < MIN_MEMORY_GIB:
        text = f"{memory:.1f} GiB of memory: the embedded engines take about 1.5 GiB."
        fix = "Use a model over the network: `vivavoce serve --model`."
        yield fault("host", ErrorCode.HOST, text, fix, Severity.WARNING)
    elif memory is not None:
        yield ok("host", f"{memory:.1f} GiB of memory")
    cache = folder or cache_folder()
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(existing).free / GIB
    if free < MIN_DISK_GIB:
        text = f"{free:.1f} GiB free where weights are kept ({cache})."
        yield fault("host", ErrorCode.HOST, text, "Free some space.", Severity.WARNING)
    else:
        yield ok("host", f"{free:.1f} GiB free where weights are kept")


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (AttributeError, ValueError, OSError):
        return None


def examine_port(address: ServerAddress) -> Iterator[Finding]:
    """Find out whether the port is free, of a vivavoce, or of another program."""
    try:
        about = _ask(address, "/version")
        if about.get("name") != "vivavoce":
            yield _is_foreign(address)
            return
        text = f"vivavoce {about.get('version')} answers at {address.host}:{address.port}"
        yield ok("port", text)
        parts = _ask(address, "/readyz").get("parts")
    except TimeoutError:
        yield _is_foreign(address)
        return
    except OSError:
        yield ok("port", f"{address.host}:{address.port} is free: no server runs")
        return
    for name, part in (parts if isinstance(parts, dict) else {}).items():
        state, note = part.get("state"), part.get("note", "")
        if state == "ready":
            yield ok("port", f"{name} is ready")
        else:
            severity = Severity.ERROR if state == "failed" else Severity.WARNING
            text = f"{name} is {state}. {note}".strip()
            yield fault("port", ErrorCode.SERVER_NOT_READY, text, "See its log.", severity)


def _ask(address: ServerAddress, path: str) -> dict[str, Any]:
    with socket.create_connection((address.host, address.port), ANSWER_S) as plain:
        plain.settimeout(ANSWER_S)
        return get_json(plain, path) or {}


def _is_foreign(address: ServerAddress) -> Finding:
    text = f"Something else listens at {address.host}:{address.port}."
    fix = "Stop it, or set server.port (VIVAVOCE_SERVER__PORT)."
    return fault("port", ErrorCode.PORT_BUSY, text, fix)


def examine_tls(
    config: Config, address: ServerAddress, environment: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Find out whether a client of Google's SDKs could open TLS, and what prevents it."""
    environment = os.environ if environment is None else environment
    table = config.server.tls
    if not table.enabled:
        text = "TLS is off: Google's Python SDK will fail with WRONG_VERSION_NUMBER."
        fix = "Set server.tls.enabled = true."
        yield fault("tls", ErrorCode.TLS_WRONG_VERSION, text, fix, Severity.WARNING)
        return
    try:
        if table.certificate is not None and table.key is not None:
            certificates.server_context(table.certificate, table.key)
        trusted, _ = trusted_certificates(config)
    except VivavoceError as error:
        yield fault_of("tls", error)
        return
    yield ok("tls", f"clients trust {trusted}")
    yield from _try_handshake(address, trusted)
    yield _examine_shell(config, address, trusted, environment)


def _try_handshake(address: ServerAddress, trusted: Path) -> Iterator[Finding]:
    context = ssl.create_default_context(cafile=str(trusted))
    try:
        with (
            socket.create_connection((address.host, address.port), ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as secured,
        ):
            yield ok("tls", f"a client that trusts it gets {secured.version()}")
    except ssl.SSLError as error:
        yield fault_of("tls", error)
    except OSError:
        return  # nothing listens there: the finding about the port says so


def _examine_shell(
    config: Config, address: ServerAddress, trusted: Path, environment: Mapping[str, str]
) -> Finding:
    """Find out whether programs started from this shell would reach the server."""
    fix = 'eval "$(vivavoce env)"'
    if f":{address.port}" not in environment.get("GOOGLE_GEMINI_BASE_URL", ""):
        return ok("tls", "this shell's programs talk to Google; `vivavoce env` changes that")
    if environment.get("SSL_CERT_FILE") != str(trusted):
        text = (
            "This shell points programs here, and SSL_CERT_FILE does not name our bundle: "
            "Python will fail with CERTIFICATE_VERIFY_FAILED."
        )
        return fault("tls", ErrorCode.TLS_TRUST, text, fix)
    keys = config.server.keys
    key = environment.get("GOOGLE_API_KEY") or environment.get("GEMINI_API_KEY", "")
    if keys and key not in keys:
        text = "This shell's API key is none of the server's."
        return fault("tls", ErrorCode.KEY_REFUSED, text, fix)
    return ok("tls", "programs started from this shell find and trust the server")


async def examine_store(config: Config) -> AsyncGenerator[Finding, None]:
    """Find out whether the store can be used, and how many keys are in it."""
    try:
        state_store = configured_store(config)
        try:
            await state_store.start()
            keys = await state_store.list_keys()
        finally:
            await state_store.aclose()
    except VivavoceError as error:
        yield fault_of("store", error)
        return
    yield ok("store", f"{state_store.name} can be used")
    valid = [key for key in keys if not key.expires or key.expires > time.time()]
    count = len(valid) + len(config.server.keys)
    if count:
        yield ok("keys", f"{count} {'key' if count == 1 else 'keys'}")
    elif is_loopback(config.server.host):
        yield ok("keys", "no key: every program on this machine may use the server")
    else:
        text = f"server.host = {config.server.host!r} is reachable by others and has no key."
        yield fault("keys", ErrorCode.CONFIG, text, "Run `vivavoce keys add NAME`.")


def examine_weights(config: Config) -> Iterator[Finding]:
    """Find the weights that the profiles in use load."""
    try:
        names = weights_in_use(config)
    except EngineMissing as error:
        yield fault_of("weights", error)
        return
    for name in names:
        try:
            yield ok("weights", f"{name}: {locate_weights(name, config.weights)}")
        except VivavoceError as error:
            failure = describe_error(error)
            yield fault("weights", ErrorCode.WEIGHTS_MISSING, failure.problem, failure.fix)


def examine_devices() -> Iterator[Finding]:
    """Open the microphone and the loudspeaker for a moment; only `talk` needs them."""
    code = ErrorCode.NO_AUDIO_DEVICE
    try:
        sound.choose_backend()
    except ConfigError as error:
        fix = f"Only `vivavoce talk` needs one. {error.fix}"
        yield fault("audio", code, error.problem, fix, Severity.NOTE)
        return
    for kind, opened in (
        ("microphone", sound.open_microphone),
        ("loudspeaker", sound.open_speaker),
    ):
        try:
            with opened():
                yield ok("audio", f"a {kind} can be opened")
        except sound.AudioDeviceMissing as error:
            fix = "Only `vivavoce talk` needs one; it takes --in and --out files instead."
            yield fault("audio", code, error.problem, fix, Severity.NOTE)
