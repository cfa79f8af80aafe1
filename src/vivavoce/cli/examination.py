"""Examine a machine without starting an engine: host, port, TLS, weights, sound, store."""

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
from vivavoce.cli.environment import ServerAddress, get_json, trusted_certificates
from vivavoce.cli.errors import CliError, ErrorCode, describe_error, describe_tls_error
from vivavoce.client import audio as sound
from vivavoce.config import Config, is_loopback
from vivavoce.engines.registry import locate_weights
from vivavoce.engines.weights import cache_folder
from vivavoce.errors import ConfigError, EngineMissing, VivavoceError
from vivavoce.http import certificates
from vivavoce.wiring import store_of, weights_in_use


class Severity(IntEnum):
    """How bad it is; the worst one is the exit status of `vivavoce doctor`.

    A note is something to know that is not wrong.
    """

    NOTE = -1
    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `group` is what it belongs to: host, tls, engines, …"""

    group: str
    severity: Severity
    text: str
    code: ErrorCode | None = None
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        found: dict[str, Any] = {
            "group": self.group,
            "severity": self.severity.name.lower(),
            "what": self.text,
        }
        if self.code is not None:
            found |= {"code": self.code.value, "fix": self.fix}
        return found


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried next, and may take seconds."""

    text: str


def ok_finding(group: str, text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(group, Severity.OK, text)


def error_finding(group: str, failure: CliError, severity: Severity = Severity.ERROR) -> Finding:
    """Something is wrong."""
    return Finding(group, severity, failure.problem, failure.code, failure.fix)


def worst_severity(findings: Sequence[Finding]) -> Severity:
    """The severity of the whole."""
    return max((each.severity for each in findings if each.severity > 0), default=Severity.OK)


GIB = 1024**3
MIN_MEMORY_GIB = 2.0
MIN_DISK_GIB = 1.0
ANSWER_S = 3.0


def examine_host(folder: Path | None = None) -> Iterator[Finding]:
    """Processor, memory, disk."""
    yield ok_finding(
        "host",
        f"vivavoce {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores",
    )
    if (memory := _memory_gib()) is not None:
        if memory < MIN_MEMORY_GIB:
            cause = f"{memory:.1f} GiB of memory: the embedded engines take about 1.5 GiB."
            failure = CliError(
                ErrorCode.HOST, cause, "Use a model over the network: `vivavoce serve --model`."
            )
            yield error_finding("host", failure, Severity.WARNING)
        else:
            yield ok_finding("host", f"{memory:.1f} GiB of memory")
    cache = folder or cache_folder()
    there = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(there).free / GIB
    if free < MIN_DISK_GIB:
        cause = f"{free:.1f} GiB free where weights are kept ({cache})."
        yield error_finding(
            "host", CliError(ErrorCode.HOST, cause, "Free some space."), Severity.WARNING
        )
    else:
        yield ok_finding("host", f"{free:.1f} GiB free where weights are kept")


def examine_port(config: Config, address: ServerAddress) -> Iterator[Finding]:
    """Whether the port is free, of a vivavoce, or of something else."""
    try:
        with socket.create_connection((address.host, address.port), ANSWER_S) as plain:
            plain.settimeout(ANSWER_S)
            about = get_json(plain, "/version")
            yield from _describe_listener(address, about)
    except TimeoutError:
        yield error_finding("port", _is_foreign(address))
    except OSError:
        yield ok_finding("port", f"{address.host}:{address.port} is free: no server runs")


def _describe_listener(
    address: ServerAddress, about: Mapping[str, object] | None
) -> Iterator[Finding]:
    if about is None or about.get("name") != "vivavoce":
        yield error_finding("port", _is_foreign(address))
        return
    yield ok_finding(
        "port", f"vivavoce {about.get('version')} answers at {address.host}:{address.port}"
    )
    with socket.create_connection((address.host, address.port), ANSWER_S) as plain:
        plain.settimeout(ANSWER_S)
        ready = get_json(plain, "/readyz") or {}
    parts = ready.get("parts")
    for name, part in (parts if isinstance(parts, dict) else {}).items():
        state, note = part.get("state"), part.get("note", "")
        if state == "ready":
            yield ok_finding("port", f"{name} is ready")
        else:
            severity = Severity.ERROR if state == "failed" else Severity.WARNING
            failure = CliError(
                ErrorCode.SERVER_NOT_READY, f"{name} is {state}. {note}".strip(), "See its log."
            )
            yield error_finding("port", failure, severity)


def examine_tls(
    config: Config, address: ServerAddress, environment: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Whether a client of Google's SDKs could open TLS, and what stands in its way."""
    environment = os.environ if environment is None else environment
    if not config.server.tls.enabled:
        failure = CliError(
            ErrorCode.TLS_WRONG_VERSION,
            "TLS is off: Google's Python SDK will fail with WRONG_VERSION_NUMBER.",
            "Set server.tls.enabled = true.",
        )
        yield error_finding("tls", failure, Severity.WARNING)
        return
    try:
        trusted = _trusted_roots(config)
    except VivavoceError as error:
        yield error_finding("tls", describe_error(error))
        return
    yield ok_finding("tls", f"clients trust {trusted}")
    yield from _try_handshake(address, trusted)
    yield from _examine_shell(config, address, trusted, environment)


def examine_weights(config: Config) -> Iterator[Finding]:
    """What the profiles in use load."""
    try:
        names = weights_in_use(config)
    except EngineMissing as error:
        yield error_finding("weights", describe_error(error))
        return
    for name in names:
        try:
            yield ok_finding("weights", f"{name}: {locate_weights(name, config.weights)}")
        except VivavoceError as error:
            failure = describe_error(error)
            yield error_finding(
                "weights", CliError(ErrorCode.WEIGHTS_MISSING, failure.problem, failure.fix)
            )


def examine_devices() -> Iterator[Finding]:
    """Whether the microphone and the loudspeaker can be opened; only `talk` needs them."""
    try:
        sound.choose_backend()
    except ConfigError as error:
        fix = f"Only `vivavoce talk` needs one. {error.fix}"
        yield error_finding(
            "audio", CliError(ErrorCode.NO_AUDIO_DEVICE, error.problem, fix), Severity.NOTE
        )
        return
    for kind, opened in (
        ("microphone", sound.open_microphone),
        ("loudspeaker", sound.open_speaker),
    ):
        try:
            with opened():
                yield ok_finding("audio", f"a {kind} can be opened")
        except sound.AudioDeviceMissing as error:
            fix = "Only `vivavoce talk` needs one; it takes --in and --out files instead."
            failure = CliError(ErrorCode.NO_AUDIO_DEVICE, error.problem, fix)
            yield error_finding("audio", failure, Severity.NOTE)


def _trusted_roots(config: Config) -> Path:
    table = config.server.tls
    if table.certificate is not None and table.key is not None:
        certificates.server_context(table.certificate, table.key)
    return trusted_certificates(config)[0]


def _try_handshake(address: ServerAddress, trusted: Path) -> Iterator[Finding]:
    context = ssl.create_default_context(cafile=str(trusted))
    try:
        with (
            socket.create_connection((address.host, address.port), ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as secured,
        ):
            yield ok_finding("tls", f"a client that trusts it gets {secured.version()}")
    except ssl.SSLError as error:
        yield error_finding("tls", describe_tls_error(error))
    except OSError:
        return  # nothing listens there: the finding about the port says so


def _examine_shell(
    config: Config, address: ServerAddress, trusted: Path, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Whether programs started from this shell would get through."""
    base = environment.get("GOOGLE_GEMINI_BASE_URL", "")
    if f":{address.port}" not in base:
        yield ok_finding("tls", "this shell's programs talk to Google; `vivavoce env` changes that")
        return
    if environment.get("SSL_CERT_FILE") != str(trusted):
        failure = CliError(
            ErrorCode.TLS_TRUST,
            "This shell points programs here, and SSL_CERT_FILE does not name our bundle: "
            "Python will fail with CERTIFICATE_VERIFY_FAILED.",
            'eval "$(vivavoce env)"',
        )
        yield error_finding("tls", failure)
        return
    keys = config.server.keys
    shown = environment.get("GOOGLE_API_KEY") or environment.get("GEMINI_API_KEY", "")
    if keys and shown not in keys:
        cause = "This shell's API key is none of the server's."
        yield error_finding("tls", CliError(ErrorCode.KEY_REFUSED, cause, 'eval "$(vivavoce env)"'))
        return
    yield ok_finding("tls", "programs started from this shell find and trust the server")


def _is_foreign(address: ServerAddress) -> CliError:
    return CliError(
        ErrorCode.PORT_BUSY,
        f"Something else listens at {address.host}:{address.port}.",
        "Stop it, or set server.port (VIVAVOCE_SERVER__PORT).",
    )


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (AttributeError, ValueError, OSError):
        return None


async def examine_store(config: Config) -> AsyncGenerator[Finding, None]:
    """Whether the store can be used, and how many keys are in it."""
    try:
        state_store = store_of(config)
        try:
            await state_store.start()
            keys = await state_store.list_keys()
        finally:
            await state_store.aclose()
    except VivavoceError as error:
        yield error_finding("store", describe_error(error))
        return
    yield ok_finding("store", f"{state_store.name} can be used")
    good = [key for key in keys if not key.expires or key.expires > time.time()]
    count = len(good) + len(config.server.keys)
    if count:
        yield ok_finding("keys", f"{count} {'key' if count == 1 else 'keys'}")
    elif is_loopback(config.server.host):
        yield ok_finding("keys", "no key: every program on this machine may use the server")
    else:
        problem = f"server.host = {config.server.host!r} is reachable by others and has no key."
        yield error_finding(
            "keys", describe_error(ConfigError(problem, "Run `vivavoce keys add NAME`."))
        )
