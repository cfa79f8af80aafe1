"""Output of the server's tools, in order, and the estimate of playout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.world import FACT, FOUND, SETUP, World, kinds, requests
from vivavoce.core.effects import ReportMismatch, RunTool, StopTool
from vivavoce.core.events import (
    ClientGone,
    ContentReceived,
    TextReceived,
    ToolRan,
    ToolResponsesReceived,
    UsageProduced,
)
from vivavoce.core.messages import (
    GenerationComplete,
    Grounding,
    Message,
    ModelCode,
    ModelCodeResult,
    OutputTranscript,
    ServerCall,
    ServerResponse,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    UrlContext,
)
from vivavoce.core.model_output import MAX_SOURCES, Playout, ServerToolOutput
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import (
    Blob,
    CodeResult,
    Page,
    RetrievalStatus,
    ServerTool,
    Source,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolOutcome,
    ToolResult,
    Usage,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.setup import SessionSetup

SHOWN = replace(SETUP, shows_server_calls=True)
NEWER = replace(SETUP, model="models/gemini-3.1-flash-live")
EARLY = SessionSettings(early_turn_complete=True)
SEARCH = ServerTool(ToolDeclaration("search"), ToolKind.SEARCH)


def asked(setup: SessionSetup = SETUP, settings: SessionSettings | None = None) -> World:
    """A world whose model has been asked something."""
    world = World(setup, settings)
    world.do(TextReceived("how many bridges"))
    world.take()
    return world


def of(messages: list[Message], *kinds: type[Message]) -> list[Message]:
    return [message for message in messages if isinstance(message, kinds)]


# --- order ------------------------------------------------------------------------------------


def test_a_search_of_an_older_model_is_code_then_its_result_then_the_answer_and_its_grounds() -> (
    None
):
    world = asked()
    world.call("search")
    assert world.take() == [
        ModelCode(CallId("function-call-1"), 'print(search.search(queries=["Zürich"]))')
    ]
    world.ran()
    assert world.take() == [
        ModelCodeResult(CallId("function-call-1"), "OUTCOME_OK", "Zürich: file:zürich.md")
    ]
    world.say(FACT)
    world.finish()
    world.wait(1)
    assert kinds(world) == [
        "ModelAudio", "OutputTranscript", "Grounding", "GenerationComplete", "TurnComplete",
    ]  # fmt: skip


def test_newer_models_do_not_show_how_they_search() -> None:
    world = asked(NEWER)
    world.call("search")
    world.ran()
    assert world.take() == []
    world.say(FACT)
    world.finish()
    assert len(of(world.take(), Grounding)) == 1


def test_code_is_shown_by_every_model_and_its_result_when_the_turn_goes_on() -> None:
    world = asked(NEWER)
    world.call("python", "search")
    assert [type(m) for m in world.take()] == [ModelCode]
    python, search = world.running
    world.do(
        ToolRan(python, ToolOutcome({}, code=CodeResult("OUTCOME_FAILED", "ZeroDivisionError")))
    )
    assert world.take() == [], "it is told when the turn goes on, and the search still runs"
    world.do(ToolRan(search, FOUND))
    assert world.take() == [ModelCodeResult(python, "OUTCOME_FAILED", "ZeroDivisionError")]


def test_each_call_and_what_it_gave_is_shown_to_a_client_that_asks() -> None:
    world = asked(SHOWN)
    world.call("search", "lights")
    call, code, request = world.take()
    assert isinstance(call, ServerCall)
    assert (call.kind, call.call.args) == (ToolKind.SEARCH, {"query": "Zürich"})
    assert isinstance(code, ModelCode)
    assert isinstance(request, ToolCallRequest)
    assert [c.name for c in request.calls] == ["lights"]
    world.ran()
    world.answer("lights")
    told = world.take()
    assert [type(m) for m in told] == [ModelCodeResult, ServerResponse]
    assert isinstance(told[1], ServerResponse)
    assert told[1].response == FOUND.response


def test_pages_are_reported_with_what_became_of_them() -> None:
    world = asked()
    page = Page("http://a.example/", RetrievalStatus.UNSAFE)
    world.call("python")
    world.ran(ToolOutcome({}, pages=(page,)))
    assert of(world.take(), UrlContext) == [UrlContext((page,))]


# --- waiting ----------------------------------------------------------------------------------


def test_no_server_tool_is_reported_while_the_client_owes_an_answer() -> None:
    """A second batch of the same generation: the code waits until the turn goes on."""
    world = asked()
    world.call("lights")
    world.take()
    world.call("python")
    world.ran(ToolOutcome({}, code=CodeResult("OUTCOME_OK", "42")))
    assert world.take() == []
    world.answer("lights")
    assert [type(m) for m in world.take()] == [ModelCode, ModelCodeResult]
    assert len(requests(world)) == 2


def test_after_an_early_turn_complete_nothing_is_sent_before_the_turn_goes_on() -> None:
    """The client has answered, the server's own tool still runs, and another one is called."""
    world = asked(settings=EARLY)
    world.call("python", "lights")
    world.answer("lights")
    assert [type(m) for m in world.take()][-1] is TurnComplete
    world.call("search")
    assert world.take() == []
    world.ran()
    world.ran()
    assert ModelCode in [type(m) for m in world.take()]
    world.call("report")
    assert [type(m) for m in world.take()] == [ToolCallRequest]


def test_a_further_call_in_an_early_turn_is_a_further_early_turn_even_if_not_waited_for() -> None:
    world = asked(settings=EARLY)
    world.call("lights")
    early = [ToolCallRequest, GenerationComplete, TurnComplete]
    assert [type(m) for m in world.take()] == early
    world.call("report")
    assert [type(m) for m in world.take()] == early


def test_grounding_of_an_early_turn_counts_the_words_of_each_turn_by_itself() -> None:
    world = asked(settings=EARLY)
    world.call("search")
    world.ran()
    world.say(FACT)
    world.call("lights")
    world.call("lights")
    (first,) = of(world.take(), Grounding)
    assert isinstance(first, Grounding)
    assert len(first.supports) == 1, "the second turn said nothing before its early end"
    world.answer("lights")
    world.answer("lights")
    world.say("Now they are on.")
    world.finish()
    world.wait(60)
    (second,) = of(world.take(), Grounding)
    assert isinstance(second, Grounding)
    assert second.supports == (), "and what it says in the end is not the fact"


def test_a_turn_does_not_go_on_before_all_its_tools_are_done() -> None:
    world = asked()
    world.call("search", "python")
    world.finish()
    world.ran()
    assert len(requests(world)) == 1
    world.ran()
    assert len(requests(world)) == 2
    results = [p for p in requests(world)[1].history[-1].parts if isinstance(p, ToolResult)]
    assert [result.name for result in results] == ["search", "python"]


def test_a_result_reaches_the_model_with_its_media() -> None:
    world = asked()
    image = Blob(b"png", "image/png")
    world.call("python")
    world.ran(ToolOutcome({"output": "a plot"}, parts=(image,)))
    (result,) = requests(world)[1].history[-1].parts
    assert isinstance(result, ToolResult)
    assert (result.response, result.parts) == ({"output": "a plot"}, (image,))


# --- endings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [TextReceived("stop"), ContentReceived((), False)])
def test_an_interruption_stops_what_runs_and_withdraws_only_what_the_client_was_asked_for(
    ending: TextReceived | ContentReceived,
) -> None:
    world = asked()
    world.call("search", "lights", "python")
    world.ran()
    world.take()
    lights = world.calls[0].id
    stopped = [e.call for e in world.do(ending) if isinstance(e, StopTool)]
    assert stopped == ["function-call-3"]
    assert of(world.take(), ToolCallCancellation) == [ToolCallCancellation((lights,))]
    assert world.do(ToolRan(CallId("function-call-3"), FOUND)) == []


def test_an_abandoned_call_leaves_no_trace_of_what_it_found() -> None:
    world = asked()
    world.call("search")
    world.do(TextReceived("stop"))
    world.say("Very well.")
    world.finish()
    world.wait(1)
    assert of(world.take(), Grounding, ModelCodeResult) == []


def test_an_overdue_tool_is_stopped_and_reported_to_the_model() -> None:
    world = asked(settings=SessionSettings(server_tool_deadline_s=5))
    world.call("search")
    world.take()
    effects = world.wait(5)
    assert [e.call for e in effects if isinstance(e, StopTool)] == ["function-call-1"]
    (told,) = world.take()
    assert isinstance(told, ModelCodeResult)
    assert told.outcome == "OUTCOME_FAILED"
    world.say("I could not find out.")
    world.finish()
    assert of(world.take(), Grounding) == []


def test_tools_stop_with_the_client() -> None:
    world = asked()
    world.call("search", "python")
    stopped = [e.call for e in world.do(ClientGone()) if isinstance(e, StopTool)]
    assert stopped == ["function-call-1", "function-call-2"]


def test_a_client_cannot_answer_for_the_server() -> None:
    world = asked()
    effects = world.call("search")
    (run,) = [effect for effect in effects if isinstance(effect, RunTool)]
    assert (run.call.id, run.kind) == ("function-call-1", ToolKind.SEARCH)
    for id in (run.call.id, CallId("")):
        told = world.do(ToolResponsesReceived((ToolResult(id, "search", {"wrong": True}),)))
        assert [type(effect) for effect in told] == [ReportMismatch]
    assert world.session.conversation.ledger.running() == (run.call.id,)


# --- what it cost, and what it rests on -------------------------------------------------------


def test_what_tools_add_to_the_prompt_is_counted_apart() -> None:
    counts = []
    for outcome in (ToolOutcome({}), ToolOutcome({"output": "x" * 4000})):
        world = asked()
        world.call("python")
        world.ran(outcome)
        world.do(UsageProduced(world.current, Usage(prompt_tokens=1500, response_tokens=5)))
        world.say("Done.")
        world.finish()
        world.wait(1)
        (complete,) = of(world.take(), TurnComplete)
        assert isinstance(complete, TurnComplete)
        assert complete.usage is not None
        counts.append(complete.usage)
    without, with_output = counts
    assert 1000 <= with_output.tools - without.tools <= 1010
    assert abs(with_output.prompt - without.prompt) <= 3, "what was read stands apart"


def test_several_searches_are_sent_once_each_query_and_each_source() -> None:
    world = asked()
    for _ in range(2):
        world.call("search")
        world.ran()
    world.say(FACT)
    world.finish()
    (grounding,) = of(world.take(), Grounding)
    assert isinstance(grounding, Grounding)
    assert (grounding.queries, grounding.sources) == (("Zürich",), tuple(FOUND.sources))


def test_words_of_all_generations_of_a_turn_are_what_offsets_count() -> None:
    world = asked()
    world.say("Let me see – ")
    world.call("search")
    world.ran()
    world.say(FACT)
    world.finish()
    told = world.take()
    words = "".join(m.text for m in told if isinstance(m, OutputTranscript)).encode()
    (grounding,) = of(told, Grounding)
    assert isinstance(grounding, Grounding)
    (support,) = grounding.supports
    assert words[support.start : support.end].decode() == support.text
    assert FACT in support.text


def test_sources_are_bounded() -> None:
    served = ServerToolOutput(shows_search=False, shows_calls=False)
    for number in range(MAX_SOURCES + 5):
        id = CallId(str(number))
        served.add_call(ToolCall(id, "search", {}), SEARCH)
        served.add_outcome(
            id, ToolOutcome({}, (f"q{number}",), (Source(f"file:{number}", "", "text"),))
        )
    grounding = served.grounding("")
    assert grounding is not None
    assert len(grounding.sources) == MAX_SOURCES


def test_a_search_that_fails_claims_nothing() -> None:
    served = ServerToolOutput(shows_search=True, shows_calls=False)
    served.add_call(ToolCall(CallId("1"), "search", {}), SEARCH)
    served.add_outcome(
        "1", ToolOutcome({"error": "No."}, ("query",), (Source("a", "b", "c"),), failed="No.")
    )
    assert served.take_messages() == [ModelCodeResult(CallId("1"), "OUTCOME_FAILED", "No.")]
    assert served.grounding("c") is None


def test_nothing_sent_is_unheard_and_without_an_end() -> None:
    playout = Playout()
    assert playout.heard_s(9.0) == 0.0
    assert playout.ends_at is None


def test_sound_sent_in_a_burst_plays_from_the_first_piece() -> None:
    playout = Playout()
    assert playout.add_audio(1.0, now=10.0) == (0.0, 1.0)
    assert playout.add_audio(2.0, now=10.1) == (1.0, 3.0)
    assert playout.ends_at == 13.0
    assert [playout.heard_s(at) for at in (10.0, 10.5, 12.0, 13.0, 20.0)] == [0, 0.5, 2, 3, 3]
    assert playout.ends_at == 13.0


def test_a_gap_in_production_is_a_gap_in_playing() -> None:
    playout = Playout()
    playout.add_audio(1.0, now=0.0)
    playout.add_audio(1.0, now=5.0)
    assert playout.ends_at == 6.0
    assert playout.heard_s(5.5) == 1.5


def test_held_audio_is_not_heard_before_it_is_released() -> None:
    playout = Playout()
    playout.add_audio(1.0, now=0.0)
    playout.hold_audio()
    assert playout.ends_at == 1.0
    playout.add_audio(1.0, now=0.5)
    assert playout.ends_at == float("inf")
    assert playout.heard_s(5.0) == 1.0
    playout.release_audio(now=5.0)
    assert playout.ends_at == 6.0
    assert playout.heard_s(5.5) == 1.5
