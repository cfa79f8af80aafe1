"""Options shared by the commands that open a session, and how these commands end.

Exit codes: 0 answered · 1 a problem on this machine · 2 wrong use · 3 no server there ·
4 the server ended the session · 5 no answer came in time · 6 the server could not answer a turn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated
from urllib.parse import urlsplit

import typer

from vivavoce import config
from vivavoce.cli.errors import CliError, ErrorCode, describe_close, describe_error, print_and_exit
from vivavoce.client.devices import AudioDeviceMissing
from vivavoce.client.messages import DEFAULT_MODEL, SessionClosed, SessionOptions
from vivavoce.client.session import ServerEndpoint, ServerUnreachable, ServerUntrusted
from vivavoce.client.tools import ToolModule
from vivavoce.errors import ConfigError, VivavoceError
from vivavoce.http import certificates as authority

WRONG = 1
UNREACHABLE = 3
CLOSED = 4
SILENT = 5
FAILED = 6

Url = Annotated[
    str,
    typer.Option(
        "--url", help="Base URL; default: GOOGLE_GEMINI_BASE_URL, else this machine's server."
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        envvar="VIVAVOCE_KEY",
        help="API key or token; default: the configured key of this machine's server; with a URL, "
        "GOOGLE_API_KEY, then GEMINI_API_KEY.",
    ),
]
Ca = Annotated[Path | None, typer.Option("--ca", help="PEM file to trust, for https://.")]
Model = Annotated[str, typer.Option("--model", help="Model name, as an SDK would give it.")]
Voice = Annotated[str, typer.Option("--voice", help="A voice of `vivavoce voices`.")]
Instruction = Annotated[str, typer.Option("--instruction", help="The system instruction.")]
Tools = Annotated[
    Path | None,
    typer.Option("--tools", help="Python file whose public functions the model may call."),
]
Use = Annotated[
    str,
    typer.Option("--use", help="Server-side tools that the model may use: search, code, urls."),
]
BUILTIN = {"search": "googleSearch", "code": "codeExecution", "urls": "urlContext"}
Timeout = Annotated[
    float, typer.Option("--wait", help="Timeout in seconds while waiting for the server.")
]
Plain = Annotated[
    bool,
    typer.Option("--plain", help="Print a line for each event, without colors or redrawing."),
]


def server_endpoint(url: str, key: str, ca: Path | None) -> ServerEndpoint:
    """Address and credentials: those given, those of the SDKs' variables, or this machine's server.

    This machine's server gets its own configured key and never the shell's, which may well be a
    real one of Google's.
    """
    url = url or os.environ.get("GOOGLE_GEMINI_BASE_URL", "")
    if url:
        shell_key = os.environ.get("GOOGLE_API_KEY", "") or os.environ.get("GEMINI_API_KEY", "")
        local_ca = _local_ca() if urlsplit(url).scheme in ("https", "wss") else None
        return ServerEndpoint(url, key or shell_key, ca, local_ca)
    server = config.load_config().server
    own = config.base_url(server.host, server.port)
    return ServerEndpoint(own, key or next(iter(server.keys), ""), ca)


def _local_ca() -> Path | None:
    """The certificate by which this machine's own server is trusted, where there is one."""
    certificate = config.load_config().server.tls.certificate
    if certificate is None:
        certificate = authority.CertificateAuthority(authority.default_folder()).ca
    return certificate if certificate.is_file() else None


def requested_setup(
    model: str,
    voice: str,
    instruction: str,
    tools: ToolModule,
    use: str = "",
    modality: str = "AUDIO",
) -> SessionOptions:
    """The setup that the options ask for. Raises `ConfigError` for an unknown tool."""
    used = config.split_words(use)
    assert isinstance(used, list)
    if unknown := [name for name in used if name not in BUILTIN]:
        raise ConfigError(f"There is no tool {unknown[0]!r}.", f"Tools: {', '.join(BUILTIN)}.")
    return SessionOptions(
        model=model or DEFAULT_MODEL,
        voice=voice,
        instruction=instruction,
        modality=modality,
        functions=tools.declarations,
        builtin=tuple(BUILTIN[name] for name in used),
    )


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn every expected error into a code, a sentence, a fix and an exit status."""
    try:
        yield
    except ServerUntrusted as error:
        raise print_and_exit(
            CliError(ErrorCode.TLS_TRUST, error.problem, error.fix), UNREACHABLE
        ) from None
    except ServerUnreachable as error:
        raise print_and_exit(
            CliError(ErrorCode.NO_SERVER, error.problem, error.fix), UNREACHABLE
        ) from None
    except SessionClosed as error:
        raise print_and_exit(describe_close(error), CLOSED) from None
    except AudioDeviceMissing as error:
        raise print_and_exit(
            CliError(ErrorCode.NO_AUDIO_DEVICE, error.problem, error.fix), WRONG
        ) from None
    except VivavoceError as error:
        raise print_and_exit(describe_error(error), WRONG) from None


def exit_unless_answered(answered: bool, failed: bool) -> None:
    """Exit with an error if a turn of the conversation failed or stayed unanswered."""
    if failed:
        fix = "Its log says why; `vivavoce doctor` tries each engine, --model as of `serve`."
        failure = CliError(ErrorCode.TURN_FAILED, "The server could not answer this turn.", fix)
        raise print_and_exit(failure, FAILED)
    if not answered:
        fix = "The server's log may say why; --wait sets a longer timeout."
        raise print_and_exit(CliError(ErrorCode.NO_ANSWER, "No answer came in time.", fix), SILENT)


def binary_stdout() -> IO[bytes]:
    """Standard output for sound."""
    return sys.stdout.buffer
