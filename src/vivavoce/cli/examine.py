"""Examining this machine: what the server stands on, from the processor to the certificate."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from vivavoce import __version__
from vivavoce.cli.faults import Code, Fault, fault_of, tls_fault
from vivavoce.cli.findings import Finding, Severity, ok, wrong
from vivavoce.cli.listening import ask
from vivavoce.cli.surroundings import Place, trusted
from vivavoce.client import devices as sound
from vivavoce.config import Config
from vivavoce.edge import ca
from vivavoce.engines.registry import locate_weights
from vivavoce.engines.weights import cache_folder
from vivavoce.errors import ConfigError, EngineMissing, VivavoceError
from vivavoce.wiring import weights_in_use

GIB = 1024**3
LEAST_MEMORY_GIB = 2.0
LEAST_DISK_GIB = 1.0
ANSWER_S = 3.0


def host(folder: Path | None = None) -> Iterator[Finding]:
    """Processor, memory, disk."""
    yield ok(
        "host",
        f"vivavoce {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores",
    )
    if (memory := _memory_gib()) is not None:
        if memory < LEAST_MEMORY_GIB:
            cause = f"{memory:.1f} GiB of memory: the embedded engines take about 1.5 GiB."
            fault = Fault(
                Code.HOST, cause, "Use a model over the network: `vivavoce serve --model`."
            )
            yield wrong("host", fault, Severity.WARNING)
        else:
            yield ok("host", f"{memory:.1f} GiB of memory")
    cache = folder or cache_folder()
    there = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(there).free / GIB
    if free < LEAST_DISK_GIB:
        cause = f"{free:.1f} GiB free where weights are kept ({cache})."
        yield wrong("host", Fault(Code.HOST, cause, "Free some space."), Severity.WARNING)
    else:
        yield ok("host", f"{free:.1f} GiB free where weights are kept")


def port(config: Config, place: Place) -> Iterator[Finding]:
    """Whether the port is free, of a vivavoce, or of something else."""
    try:
        with socket.create_connection((place.host, place.port), ANSWER_S) as plain:
            plain.settimeout(ANSWER_S)
            about = ask(plain, "/version")
            yield from _who_answers(place, about)
    except TimeoutError:
        yield wrong("port", _strange(place))
    except OSError:
        yield ok("port", f"{place.host}:{place.port} is free: no server runs")


def _who_answers(place: Place, about: Mapping[str, object] | None) -> Iterator[Finding]:
    if about is None or about.get("name") != "vivavoce":
        yield wrong("port", _strange(place))
        return
    yield ok("port", f"vivavoce {about.get('version')} answers at {place.host}:{place.port}")
    with socket.create_connection((place.host, place.port), ANSWER_S) as plain:
        plain.settimeout(ANSWER_S)
        ready = ask(plain, "/readyz") or {}
    parts = ready.get("parts")
    for name, part in (parts if isinstance(parts, dict) else {}).items():
        state, note = part.get("state"), part.get("note", "")
        if state == "ready":
            yield ok("port", f"{name} is ready")
        else:
            severity = Severity.ERROR if state == "failed" else Severity.WARNING
            fault = Fault(
                Code.SERVER_NOT_READY, f"{name} is {state}. {note}".strip(), "See its log."
            )
            yield wrong("port", fault, severity)


def tls(
    config: Config, place: Place, environment: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Whether a client of Google's SDKs could open TLS, and what stands in its way."""
    environment = os.environ if environment is None else environment
    if not config.server.tls.enabled:
        fault = Fault(
            Code.TLS_WRONG_VERSION,
            "TLS is off: Google's Python SDK will fail with WRONG_VERSION_NUMBER.",
            "Set server.tls.enabled = true.",
        )
        yield wrong("tls", fault, Severity.WARNING)
        return
    try:
        trusted = _trusted(config)
    except VivavoceError as error:
        yield wrong("tls", fault_of(error))
        return
    yield ok("tls", f"clients trust {trusted}")
    yield from _handshake(place, trusted)
    yield from _shell(config, place, trusted, environment)


def weights(config: Config) -> Iterator[Finding]:
    """What the profiles in use load."""
    try:
        names = weights_in_use(config)
    except EngineMissing as error:
        yield wrong("weights", fault_of(error))
        return
    for name in names:
        try:
            yield ok("weights", f"{name}: {locate_weights(name, config.weights)}")
        except VivavoceError as error:
            fault = fault_of(error)
            yield wrong("weights", Fault(Code.WEIGHTS_MISSING, fault.cause, fault.fix))


def devices() -> Iterator[Finding]:
    """Whether the microphone and the loudspeaker can be opened; only `talk` needs them."""
    try:
        backend = sound.choose_backend()
    except ConfigError as error:
        fix = f"Only `vivavoce talk` needs one. {error.fix}"
        yield wrong("audio", Fault(Code.NO_AUDIO_DEVICE, error.problem, fix), Severity.NOTE)
        return
    for kind, opened in (
        ("microphone", sound.open_microphone),
        ("loudspeaker", sound.open_speaker),
    ):
        try:
            with opened(backend):
                yield ok("audio", f"a {kind} can be opened ({backend})")
        except sound.AudioDeviceMissing as error:
            fix = "Only `vivavoce talk` needs one; it takes --in and --out files instead."
            fault = Fault(Code.NO_AUDIO_DEVICE, error.problem, fix)
            yield wrong("audio", fault, Severity.NOTE)


def _trusted(config: Config) -> Path:
    table = config.server.tls
    if table.certificate is not None and table.key is not None:
        ca.server_context(table.certificate, table.key)
    return trusted(config)[0]


def _handshake(place: Place, trusted: Path) -> Iterator[Finding]:
    context = ssl.create_default_context(cafile=str(trusted))
    try:
        with (
            socket.create_connection((place.host, place.port), ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=place.host) as secured,
        ):
            yield ok("tls", f"a client that trusts it gets {secured.version()}")
    except ssl.SSLError as error:
        yield wrong("tls", tls_fault(error))
    except OSError:
        return  # nobody listens, which is the port's finding


def _shell(
    config: Config, place: Place, trusted: Path, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Whether programs started from this shell would get through."""
    base = environment.get("GOOGLE_GEMINI_BASE_URL", "")
    if f":{place.port}" not in base:
        yield ok("tls", "this shell's programs talk to Google; `vivavoce env` changes that")
        return
    if environment.get("SSL_CERT_FILE") != str(trusted):
        fault = Fault(
            Code.TLS_TRUST,
            "This shell points programs here, and SSL_CERT_FILE does not name our bundle: "
            "Python will fail with CERTIFICATE_VERIFY_FAILED.",
            'eval "$(vivavoce env)"',
        )
        yield wrong("tls", fault)
        return
    keys = config.server.keys
    shown = environment.get("GOOGLE_API_KEY") or environment.get("GEMINI_API_KEY", "")
    if keys and shown not in keys:
        cause = "This shell's API key is none of the server's."
        yield wrong("tls", Fault(Code.KEY_REFUSED, cause, 'eval "$(vivavoce env)"'))
        return
    yield ok("tls", "programs started from this shell find and trust the server")


def _strange(place: Place) -> Fault:
    return Fault(
        Code.PORT_BUSY,
        f"Something else listens at {place.host}:{place.port}.",
        "Stop it, or set server.port (VIVAVOCE_SERVER__PORT).",
    )


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (AttributeError, ValueError, OSError):
        return None
