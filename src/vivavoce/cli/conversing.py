"""What the commands that hold a conversation share: where, with whom, and how they end.

Exit codes: 0 answered · 1 something on this side is wrong · 2 wrong use · 3 no server there ·
4 the server ended the session · 5 no answer came in time · 6 the server could not answer a turn.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console

from vivavoce import config
from vivavoce.cli.faults import Code, Fault, closed_fault, fault_of, leave
from vivavoce.client.devices import NoDevice
from vivavoce.client.live import Endpoint, Unreachable, Untrusted
from vivavoce.client.messages import DEFAULT_MODEL, LiveError, Wishes
from vivavoce.client.tools import ToolModule
from vivavoce.client.turns import Turn
from vivavoce.errors import ConfigError, VivavoceError

WRONG = 1
UNREACHABLE = 3
CLOSED = 4
SILENT = 5
FAILED = 6

Url = Annotated[
    str, typer.Option("--url", help="Base URL; default: GOOGLE_GEMINI_BASE_URL, else ours.")
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        envvar="VIVAVOCE_KEY",
        help="API key or token; default: our server's configured one, elsewhere GOOGLE_API_KEY, "
        "then GEMINI_API_KEY.",
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
    typer.Option("--use", help="Tools of the server's that the model may use: search, code, urls."),
]
BUILTIN = {"search": "googleSearch", "code": "codeExecution", "urls": "urlContext"}
Patience = Annotated[
    float, typer.Option("--wait", help="Seconds of silence from the server to bear.")
]


def endpoint(url: str, key: str, ca: Path | None) -> Endpoint:
    """Where to go: what was given, what SDKs are told, or this machine's own server.

    Our own server gets its own key and never the shell's, which may well be a real one of
    Google's.
    """
    url = url or os.environ.get("GOOGLE_GEMINI_BASE_URL", "")
    if url:
        shown = os.environ.get("GOOGLE_API_KEY", "") or os.environ.get("GEMINI_API_KEY", "")
        return Endpoint(url, key or shown, ca)
    server = config.load().server
    own = config.base_url(server.host, server.port)
    return Endpoint(own, key or next(iter(server.keys), ""), ca)


def wishes(
    model: str,
    voice: str,
    instruction: str,
    tools: ToolModule,
    use: str = "",
    modality: str = "AUDIO",
) -> Wishes:
    """The setup that the options ask for. Raises `ConfigError` for a tool that is none."""
    used = config.split_words(use)
    assert isinstance(used, list)
    if unknown := [name for name in used if name not in BUILTIN]:
        raise ConfigError(f"There is no tool {unknown[0]!r}.", f"Tools: {', '.join(BUILTIN)}.")
    return Wishes(
        model=model or DEFAULT_MODEL,
        voice=voice,
        instruction=instruction,
        modality=modality,
        functions=tools.declarations,
        builtin=tuple(BUILTIN[name] for name in used),
    )


@contextmanager
def told(console: Console) -> Iterator[None]:
    """Every expected failure becomes one sentence and an exit code."""
    try:
        yield
    except Untrusted as error:
        raise leave(Fault(Code.TLS_TRUST, error.problem, error.fix), UNREACHABLE) from None
    except Unreachable as error:
        raise leave(Fault(Code.NO_SERVER, error.problem, error.fix), UNREACHABLE) from None
    except LiveError as error:
        raise leave(closed_fault(error), CLOSED) from None
    except NoDevice as error:
        raise leave(Fault(Code.NO_AUDIO_DEVICE, error.problem, error.fix), WRONG) from None
    except VivavoceError as error:
        raise leave(fault_of(error), WRONG) from None


def judge(answered: bool, failed: bool) -> None:
    """Leave with the fault of a conversation in which something stayed unanswered."""
    if failed:
        fix = "Its log says why; `vivavoce doctor` tries each engine, --model as of `serve`."
        fault = Fault(Code.TURN_FAILED, "The server could not answer this turn.", fix)
        raise leave(fault, FAILED)
    if not answered:
        fix = "The server's log may say why; --wait bears a longer silence."
        raise leave(Fault(Code.NO_ANSWER, "No answer came in time.", fix), SILENT)


def plain_console(to_stderr: bool = False) -> Console:
    """A console without guesses: colour on a terminal, plain text into a pipe."""
    return Console(stderr=to_stderr, highlight=False, soft_wrap=True)


class TurnPrinter:
    """Tells turns to people, and to a transcript file if there is one.

    `failed` is whether the server could not answer one of them.
    """

    def __init__(self, console: Console, transcript: IO[str] | None = None) -> None:
        self.console = console
        self._transcript = transcript
        self.failed = False

    def __call__(self, turn: Turn) -> None:
        if turn.heard:
            self._line(f"you    {turn.heard.strip()}")
        if turn.said:
            self._line(f"voice  {turn.said.strip()}", "bold")
        for line in rests_on(turn):
            self._line(f"       {line}", "dim")
        if turn.failed:
            self.failed = True
            self._line("       no answer: the server's log says why", "red")
        self._line(turn.line(), "dim")
        if self._transcript:
            self._transcript.write(json.dumps(turn.as_json(), ensure_ascii=False) + "\n")
            self._transcript.flush()

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, markup=False)


def rests_on(turn: Turn) -> list[str]:
    """What the server ran for an answer, and what the answer rests on, a line each."""
    ran = [f"ran {' '.join(code.split())}" for code in turn.code]
    read = [f"read {url} ({status})" for url, status in turn.urls]
    return [*ran, *read, *(f"source: {title} ({uri})" for title, uri in turn.sources)]


def binary_stdout() -> IO[bytes]:
    """Standard output for sound."""
    return sys.stdout.buffer
