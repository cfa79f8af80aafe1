"""The tools of the server's on the host: run, stopped, broken, and brought by updates."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest

from runtime.clients import hold, played
from support.host_rig import Client, Step, StepResponder
from vivavoce.core.events import ContextUpdated, TextReceived
from vivavoce.core.messages import Interrupted, ModelText, TurnComplete
from vivavoce.domain.content import (
    BuiltinTool,
    ServerTool,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolOutcome,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, SessionSetup
from vivavoce.engines.ports import CallsRequested, TextDelta
from vivavoce.errors import ClientFault
from vivavoce.runtime.tasks import EngineTasks
from vivavoce.runtime.tool_runner import BROKEN, NoTools
from vivavoce.testing.virtual_loop import run_virtually

PYTHON = ServerTool(ToolDeclaration("python"), ToolKind.CODE)
SERVED = Tools(builtin=(BuiltinTool("codeExecution"),), server=(PYTHON,))
SETUP = SessionSetup("models/scripted", modality=Modality.TEXT, tools=SERVED)
DONE = ToolOutcome({"output": "42"})

Run = Callable[[], Awaitable[ToolOutcome]]


class Toolset:
    """Runs one tool, in the way that a test wants it."""

    def __init__(self, run: Run, resolve_s: float = 0.0, fault: ClientFault | None = None) -> None:
        self.requests: list[GenerationRequest] = []
        self.started = asyncio.Event()
        self.stopped = 0
        self.closed = 0
        self._run = run
        self._resolve_s = resolve_s
        self._fault = fault

    async def resolve(self, tools: Tools) -> Tools:
        await asyncio.sleep(self._resolve_s)
        if self._fault is not None:
            raise self._fault
        return replace(tools, server=(PYTHON,) if tools.builtin else ())

    async def run(self, call: ToolCall, request: GenerationRequest) -> ToolOutcome:
        self.requests.append(request)
        self.started.set()
        try:
            return await self._run()
        except asyncio.CancelledError:
            self.stopped += 1
            raise

    async def aclose(self) -> None:
        self.closed += 1


async def done() -> ToolOutcome:
    return DONE


async def never() -> ToolOutcome:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


def model(request: GenerationRequest) -> Sequence[Step]:
    """Calls the tool if it is asked to and has it; says what came of it."""
    last = request.history[-1]
    (part,) = last.parts
    if isinstance(part, ToolResult):
        return [TextDelta(str(part.response))]
    if "run" in last.text and request.tools.find_server_tool("python"):
        return [CallsRequested((ToolCall(CallId(""), "python", {"code": "6 * 7"}),))]
    return [TextDelta(f"Heard: {last.text}")]


def said(client: Client) -> list[str]:
    return [message.text for message in client.messages if isinstance(message, ModelText)]


async def ask_to_run(client: Client) -> None:
    client.say(TextReceived("run it"))
    await client.until(TurnComplete)


def test_a_tool_gets_the_picture_that_its_call_was_made_from_and_is_closed_in_the_end() -> None:
    toolset = Toolset(done)
    client = played(ask_to_run, StepResponder(model), setup=SETUP, toolset=toolset)
    assert said(client) == ["{'output': '42'}"]
    (request,) = toolset.requests
    assert (request.history[-1].text, request.tools) == ("run it", SERVED)
    assert (toolset.stopped, toolset.closed) == (0, 1)


class Panic(BaseException):
    """What a library in Rust raises where its author was sure."""


async def divide() -> ToolOutcome:
    raise ZeroDivisionError("a bug")


async def panic() -> ToolOutcome:
    raise Panic


async def cancel_itself() -> ToolOutcome:
    raise asyncio.CancelledError


async def bring_nothing() -> ToolOutcome:
    return cast(ToolOutcome, None)


async def bring_words() -> ToolOutcome:
    return ToolOutcome("42")  # type: ignore[arg-type]


@pytest.mark.parametrize("broken", [divide, panic, cancel_itself, bring_nothing, bring_words])
def test_a_tool_that_breaks_down_is_a_failed_call_and_no_dead_session(
    broken: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask_twice(client: Client) -> None:
        await ask_to_run(client)
        client.say(TextReceived("hello"))
        await client.until(TurnComplete, 2)

    with caplog.at_level(logging.ERROR):
        client = played(
            ask_twice, StepResponder(model), setup=SETUP, toolset=Toolset(broken)
        )  # fmt: skip
    assert said(client) == [str({"error": BROKEN}), "Heard: hello"]
    broke = [vars(each) for each in caplog.records if each.message == "tool broke down"]
    assert [each["tool"] for each in broke] == ["python"]


def test_a_server_without_tools_reports_what_it_does_not_run() -> None:
    told: list[tuple[str, str]] = []
    tools = NoTools(lambda kind, name: told.append((kind, name)))
    assert run_virtually(tools.resolve(Tools(builtin=SERVED.builtin))).server == ()
    assert told == [("tool", "codeExecution")]


def test_an_interruption_stops_the_tool_at_once() -> None:
    toolset = Toolset(never)

    async def interrupt(client: Client) -> None:
        client.say(TextReceived("run it"))
        await toolset.started.wait()
        client.say(TextReceived("hello"))
        await client.until(TurnComplete, 2)
        assert toolset.stopped == 1

    client = played(interrupt, StepResponder(model), setup=SETUP, toolset=toolset)
    assert sum(isinstance(m, Interrupted) for m in client.messages) == 1
    assert said(client) == ["Heard: hello"]


def test_a_client_that_leaves_takes_its_tools_with_it() -> None:
    toolset = Toolset(never)

    async def leave(client: Client) -> None:
        client.say(TextReceived("run it"))
        await toolset.started.wait()

    _, ending = run_virtually(hold(leave, StepResponder(model), setup=SETUP, toolset=toolset))
    assert ending.by_client
    assert (toolset.stopped, toolset.closed) == (1, 1)


def test_a_tool_that_will_not_stop_is_not_waited_for() -> None:
    before = EngineTasks.uncancelled_total

    async def stubborn() -> ToolOutcome:
        until = asyncio.get_running_loop().time() + 60
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue
        return DONE

    async def visit() -> tuple[list[str], float]:
        async def interrupt(client: Client) -> None:
            client.say(TextReceived("run it"))
            await asyncio.sleep(0.1)
            client.say(TextReceived("hello"))
            await client.until(TurnComplete, 2)

        responder = StepResponder(model, stubborn=True)  # as a test of leftovers allows
        client, _ = await hold(interrupt, responder, setup=SETUP, toolset=Toolset(stubborn))
        return said(client), asyncio.get_running_loop().time()

    words, took_s = run_virtually(visit())
    assert words == ["Heard: hello"]
    assert took_s < 10
    assert EngineTasks.uncancelled_total == before + 1


# --- updates ----------------------------------------------------------------------------------


def test_what_is_said_after_an_update_waits_for_its_tools_and_what_is_said_before_does_not() -> (
    None
):
    toolset = Toolset(done, resolve_s=3.0)
    bare = replace(SETUP, tools=Tools())

    async def update(client: Client) -> None:
        client.say(TextReceived("run it first"))
        client.say(ContextUpdated(None, Tools(builtin=SERVED.builtin)))
        client.say(TextReceived("run it now"))
        await client.until(TurnComplete, 2)

    client = played(update, StepResponder(model), setup=bare, toolset=toolset)
    assert said(client) == ["Heard: run it first", "{'output': '42'}"]
    ends = [at for at, message in client.heard if isinstance(message, TurnComplete)]
    assert ends[0] < 1.0 < 3.0 <= ends[1]


def test_an_update_without_tools_asks_no_server() -> None:
    toolset = Toolset(done, fault=ClientFault(1007, "No."))

    async def update(client: Client) -> None:
        client.say(ContextUpdated("Be brief.", None))
        await ask_to_run(client)

    client = played(update, StepResponder(model), setup=SETUP, toolset=toolset)
    assert said(client) == ["{'output': '42'}"]


def test_an_update_that_asks_for_what_is_refused_closes_the_connection_with_the_reason() -> None:
    fault = ClientFault(1007, "No sandbox here.")

    async def update(client: Client) -> None:
        client.say(ContextUpdated(None, Tools(builtin=SERVED.builtin)))
        await asyncio.sleep(1)

    client = played(update, StepResponder(model), setup=SETUP, toolset=Toolset(done, fault=fault))
    assert client.closed == (1007, "No sandbox here.")


def test_an_update_that_brings_no_tool_any_more_lets_the_running_one_finish() -> None:
    async def slowly() -> ToolOutcome:
        await asyncio.sleep(2)
        return DONE

    async def update(client: Client) -> None:
        client.say(TextReceived("run it"))
        await asyncio.sleep(1)
        client.say(ContextUpdated(None, Tools()))
        await client.until(TurnComplete)
        client.say(TextReceived("run it again"))
        await client.until(TurnComplete, 2)

    client = played(update, StepResponder(model), setup=SETUP, toolset=Toolset(slowly))
    assert said(client) == ["{'output': '42'}", "Heard: run it again"]
