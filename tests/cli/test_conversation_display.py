"""What is shown of a conversation at each moment, in a terminal and in a pipe."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console
from rich.live import Live

from client.stub import READY, Peer, serving, spoken
from vivavoce.cli.conversation_display import (
    METER_CELLS,
    ConversationState,
    ConversationView,
    Line,
    LiveDisplay,
    PlainDisplay,
    frame_block,
    open_display,
    plain_text,
    status_line,
    styled_lines,
    turn_lines,
)
from vivavoce.client.audio import ClockSpeaker, wait_until_played
from vivavoce.client.conversation import ClientConversation, SpeechClock, TurnLog
from vivavoce.client.messages import (
    AudioMessage,
    ExecutableCodeMessage,
    GenerationCompleteMessage,
    GroundingMessage,
    InputTranscriptionMessage,
    InterruptedMessage,
    OutputTranscriptionMessage,
    ReconnectedMessage,
    ServerMessage,
    SessionClosed,
    SessionOptions,
    ToolCallMessage,
    TurnCompleteMessage,
    UrlContextMessage,
)
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.client.tools import ToolModule
from vivavoce.domain.content import Json, ToolCall, ToolResult
from vivavoce.domain.ids import CallId

SECOND = AudioMessage(bytes(48_000), 24_000)


class Shown:
    """A view, and what it is fed with."""

    def __init__(self) -> None:
        self.clock = SpeechClock()
        self.log = TurnLog(self.clock)
        self.view = ConversationView(self.log, self.clock)

    def speak(self, at: float) -> None:
        self.clock.add_audio(np.full(640, 8_000, "<i2").tobytes(), at)

    def add(self, *messages: ServerMessage, at: float = 0.0, played_s: float = 0.0) -> None:
        for message in messages:
            self.log.add_message(message, at, played_s)

    def lines(self, now: float = 0.0, played_s: float = 0.0) -> list[str]:
        return [plain_text(line) for line in self.view.frame(now, played_s).lines]

    def finished(self, played_s: float) -> list[int]:
        return [turn.number for turn in self.view.finished_turns(played_s)]


def test_the_users_words_grow_while_they_are_understood() -> None:
    shown = Shown()
    assert shown.lines() == []
    shown.add(InputTranscriptionMessage("what is"))
    assert shown.lines() == ["you    what is"]
    shown.add(InputTranscriptionMessage(" the capital"))
    assert shown.lines() == ["you    what is the capital"]


def test_words_of_the_answer_appear_when_they_are_played() -> None:
    shown = Shown()
    shown.add(
        InputTranscriptionMessage("hello"),
        SECOND,
        OutputTranscriptionMessage("Good"),
        SECOND,
        OutputTranscriptionMessage(" day."),
        GenerationCompleteMessage(),
    )
    assert shown.lines(played_s=0.0) == ["you    hello"]
    assert shown.lines(played_s=0.1) == ["you    hello", "voice  Good"]
    assert shown.lines(played_s=1.1) == ["you    hello", "voice  Good day."]


def test_a_turn_is_finished_once_it_is_complete_and_played() -> None:
    shown = Shown()
    shown.add(
        SECOND,
        OutputTranscriptionMessage("One."),
        TurnCompleteMessage(),
        InputTranscriptionMessage("and"),
    )
    assert shown.finished(played_s=0.9) == []
    assert shown.lines(played_s=0.9) == ["voice  One.", "you    and"]
    assert shown.finished(played_s=1.0) == [1]
    assert shown.finished(played_s=1.0) == []
    assert shown.lines(played_s=1.0) == ["you    and"]
    shown.add(SECOND, TurnCompleteMessage())
    assert [turn.number for turn in shown.view.finished_turns(1.0, everything=True)] == [2]


def test_a_turn_is_finished_where_the_speakers_position_is_exactly_its_end() -> None:
    shown = Shown()
    tenth = AudioMessage(bytes(4_800), 24_000)  # whose sums depend on the order of adding
    shown.add(*[tenth] * 2, TurnCompleteMessage(), *[tenth] * 4, TurnCompleteMessage())
    assert shown.finished(played_s=shown.log.queued_s) == [1, 2]


def test_words_that_were_not_heard_are_marked() -> None:
    shown = Shown()
    shown.add(
        SECOND,
        OutputTranscriptionMessage("Once"),
        SECOND,
        OutputTranscriptionMessage(" upon a time"),
    )
    shown.add(InterruptedMessage(), played_s=0.5)
    assert shown.lines(played_s=0.5) == ["voice  Once [not heard: upon a time]"]
    console = Console(width=40, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(styled_lines(shown.view.frame(1.0, 0.5).lines))
    assert "\x1b[1mOnce \x1b[0m\x1b[1;2;9mupon a time\x1b[0m" in capture.get()


def test_states_follow_question_answer_and_playing() -> None:
    shown, state = Shown(), ConversationState
    assert shown.view.state(0.0, 0.0) is state.LISTENING
    shown.speak(1.0)
    shown.add(InputTranscriptionMessage("tell me"), at=1.1)
    assert shown.view.state(1.1, 0.0) is state.LISTENING, "the user speaks still"
    assert shown.view.state(1.4, 0.0) is state.THINKING
    shown.add(ToolCallMessage((ToolCall(CallId("1"), "find", {}),)), at=1.5)
    shown.speak(1.6)
    assert shown.view.state(1.6, 0.0) is state.THINKING, "whatever the microphone hears"
    shown.add(SECOND, at=1.7)
    assert shown.view.state(1.7, 0.0) is state.SPEAKING
    assert shown.view.state(2.7, 1.0) is state.THINKING, "a gap: more is to come"
    shown.add(SECOND, GenerationCompleteMessage(), at=2.8)
    assert shown.view.state(2.8, 1.0) is state.SPEAKING
    assert shown.view.state(3.8, 2.0) is state.LISTENING
    shown.add(TurnCompleteMessage(), at=3.9)
    assert shown.view.state(3.9, 2.0) is state.LISTENING


def test_after_an_interruption_it_listens() -> None:
    shown = Shown()
    shown.speak(0.5)
    shown.add(SECOND, InterruptedMessage(), at=1.0, played_s=0.5)
    assert shown.view.state(1.0, 0.5) is ConversationState.LISTENING


def test_the_meter_shows_the_microphones_level() -> None:
    shown = Shown()
    assert shown.view.frame(0.0, 0.0).meter == 0
    shown.clock.add_audio(np.full(640, 2**15 - 1, "<i2").tobytes(), 1.0)
    assert shown.view.frame(1.0, 0.0).meter == METER_CELLS
    assert 0 < shown.view.frame(1.5, 0.0).meter < METER_CELLS
    frame = shown.view.frame(9.0, 0.0)
    assert status_line(frame).plain == "listening " + "━" * METER_CELLS
    assert status_line(frame, unicode=False).plain == "listening " + "-" * METER_CELLS
    assert str(status_line(frame).spans[-1].style) == "dim"
    assert str(status_line(shown.view.frame(1.0, 0.0)).spans[-1].style) == "green"


@pytest.mark.parametrize(
    ("response", "result"),
    [
        ({"result": "ok"}, '"ok"'),
        ({"temperature": 21, "sky": "clear"}, '{"temperature": 21, "sky": "clear"}'),
        ({"result": "x" * 500}, '"' + "x" * 158 + "…"),
    ],
)
def test_a_call_stands_beside_its_result(response: Json, result: str) -> None:
    shown = Shown()
    call = ToolCall(CallId("1"), "look", {"city": "Köln", "days": 2})
    shown.add(InputTranscriptionMessage("look"), ToolCallMessage((call,)))
    assert shown.lines()[1:] == ['tool   look(city="Köln", days=2) …']
    shown.log.add_result(call, ToolResult(CallId("1"), "look", response))
    assert shown.lines()[1:] == [f'tool   look(city="Köln", days=2) → {result}']


def test_a_whole_turn_in_its_order() -> None:
    shown = Shown()
    shown.speak(1.0)
    shown.add(InputTranscriptionMessage(" hello "), at=1.5)
    shown.add(ExecutableCodeMessage("print(\n  1)"), UrlContextMessage((("u", "OK"),)), at=1.6)
    shown.add(
        SECOND, OutputTranscriptionMessage("One."), GroundingMessage((("T [b]", "file:t"),)), at=1.7
    )
    turn = shown.log.add_message(TurnCompleteMessage("GENERATED_OTHER"), 2.7)
    assert turn is not None
    assert [plain_text(line) for line in turn_lines(turn)] == [
        "you    hello",
        "tool   ran print( 1)",
        "voice  One.",
        "       read u (OK)",
        "       source: T [b] (file:t)",
        "       no answer: the server's log says why",
        "turn 1 · transcript 0.50 s · first audio 0.70 s · complete 1.70 s · answer 1.0 s"
        " · failed: GENERATED_OTHER",
    ]


def test_what_a_terminal_would_obey_is_not_passed_on() -> None:
    line = Line("voice", "a\x1b[2Jb\r\nc\x07 [bold]d[/bold]", "", " e\x1b]0;f\x07")
    assert plain_text(line) == "voice  a [2Jb c [bold]d[/bold] [not heard: e ]0;f]"
    console = Console(width=60, color_system=None)
    with console.capture() as capture:
        console.print(styled_lines([line]))
    assert capture.get().rstrip() == "voice  a [2Jb c [bold]d[/bold] e ]0;f"


@pytest.mark.parametrize("width", [12, 20, 80])
def test_long_texts_and_long_words_stay_beside_their_label(width: int) -> None:
    console = Console(width=width, color_system=None)
    text = "some words and " + "x" * 90
    with console.capture() as capture:
        console.print(styled_lines([Line("you", text)]))
    first, *others = capture.get().splitlines()
    assert first.startswith("you    ")
    assert others
    assert all(line.startswith(" " * 7) for line in others)
    assert all(len(line) <= width for line in (first, *others))
    joined = "".join(line[7:].rstrip() for line in (first, *others))
    assert joined.replace(" ", "") == text.replace(" ", "")


PIECE = bytes(9_600)
OVER = {"serverContent": {"turnComplete": True}}
QUESTION = [{"serverContent": {"inputTranscription": {"text": text}}} for text in ("turn ", "on")]
CALL = {"toolCall": {"functionCalls": [{"id": "1", "name": "lights", "args": {"on": True}}]}}
TIMES = "turn 1 · transcript "


def said(text: str) -> dict[str, object]:
    return {"serverContent": {"outputTranscription": {"text": text}}}


async def asked(peer: Peer) -> None:
    await peer.take()
    await peer.say(READY)
    await peer.take_until("clientContent")


async def hold(display: LiveDisplay | PlainDisplay, url: str) -> None:
    """A conversation of one question, with a loudspeaker that keeps time."""

    def lights(on: bool) -> dict[str, bool]:
        return {"on": on}

    async with connect(ServerEndpoint(url), SessionOptions()) as session:
        speaker = ClockSpeaker()
        conversation = ClientConversation(session, speaker, ToolModule([lights]), display)

        async def course() -> bool:
            await conversation.send_text("turn on")
            answered = await conversation.wait_for_turns(1, 5)
            await wait_until_played(speaker)
            return answered

        async with display.show_conversation(conversation):
            await conversation.run_while_receiving(course())


async def answering(peer: Peer) -> None:
    await asked(peer)
    await peer.say(*QUESTION, CALL)
    await peer.take_until("toolResponse")
    await peer.say(spoken(PIECE), said("It is"), spoken(PIECE), said(" on."))
    await peer.say({"serverContent": {"generationComplete": True}}, OVER)
    await peer.gone()


async def interrupting(peer: Peer) -> None:
    await asked(peer)
    await peer.say(*QUESTION, spoken(PIECE), said("Once"), spoken(PIECE * 50), said(" upon a time"))
    await peer.say({"serverContent": {"interrupted": True}}, OVER)
    await peer.gone()


@pytest.mark.integration
async def test_a_pipe_gets_a_line_for_each_thing() -> None:
    out, transcript = io.StringIO(), io.StringIO()
    display = PlainDisplay(
        Console(file=out, soft_wrap=True, color_system=None, markup=False), transcript
    )
    async with serving(answering) as url:
        await hold(display, url)
    *lines, times = out.getvalue().splitlines()
    assert lines == ["you    turn on", 'tool   lights(on=true) → {"on": true}', "voice  It is on."]
    assert times.startswith(TIMES)
    turn = json.loads(transcript.getvalue())
    assert (turn["heard"], turn["said"], turn["calls"]) == ("turn on", "It is on.", ["lights"])
    assert not display.failed


@pytest.mark.integration
async def test_the_question_is_printed_before_its_answer_is_there() -> None:
    out = io.StringIO()

    async def leaving(peer: Peer) -> None:
        await asked(peer)
        await peer.say(*QUESTION, spoken(PIECE))
        await peer.close(1011, "going")

    display = PlainDisplay(Console(file=out, soft_wrap=True, color_system=None, markup=False))
    async with serving(leaving) as url:
        with pytest.raises(SessionClosed):
            await hold(display, url)
    assert out.getvalue() == "you    turn on\n"


@pytest.mark.integration
async def test_words_that_come_late_are_printed_too() -> None:
    out = io.StringIO()

    async def late(peer: Peer) -> None:
        await asked(peer)
        await peer.say(QUESTION[0], spoken(PIECE), QUESTION[1], said("Yes."), OVER)
        await peer.gone()

    async with serving(late) as url:
        await hold(
            PlainDisplay(Console(file=out, soft_wrap=True, color_system=None, markup=False)), url
        )
    assert out.getvalue().splitlines()[:3] == ["you    turn", "you    on", "voice  Yes."]


@pytest.mark.integration
async def test_a_pipe_gets_unheard_words_in_brackets_and_the_transcript_in_a_field() -> None:
    out, transcript = io.StringIO(), io.StringIO()
    display = PlainDisplay(
        Console(file=out, soft_wrap=True, color_system=None, markup=False), transcript
    )
    async with serving(interrupting) as url:
        await hold(display, url)
    assert "[not heard: " in out.getvalue()
    turn = json.loads(transcript.getvalue())
    assert turn["interrupted"]
    assert turn["unheard"].endswith(" upon a time")
    assert turn["said"] + turn["unheard"] == "Once upon a time"


@pytest.mark.integration
async def test_a_terminal_keeps_finished_turns_and_nothing_of_the_status_line() -> None:
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=80, height=24, color_system="standard"
    )
    async with serving(answering) as url:
        await hold(LiveDisplay(console), url)
    assert "speaking" in screen.getvalue()
    left = after_cursor_movements(screen.getvalue())
    assert left[:3] == [
        "you    turn on",
        'tool   lights(on=true) → {"on": true}',
        "voice  It is on.",
    ]
    assert left[3].startswith(TIMES)
    assert left[4:] == []


@pytest.mark.integration
async def test_a_terminal_strikes_unheard_words_out() -> None:
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=80, height=24, color_system="standard"
    )
    async with serving(interrupting) as url:
        await hold(LiveDisplay(console), url)
    assert "\x1b[1;2;9mupon a time" in screen.getvalue() or "9mOnce upon" in screen.getvalue()


@pytest.mark.integration
async def test_what_an_end_cuts_off_stays_on_the_screen() -> None:
    async def leaving(peer: Peer) -> None:
        await asked(peer)
        await peer.say(*QUESTION)
        await peer.close(1011, "going")

    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=80, height=24, color_system="standard"
    )
    async with serving(leaving) as url:
        with pytest.raises(SessionClosed):
            await hold(LiveDisplay(console), url)
    assert after_cursor_movements(screen.getvalue()) == ["you    turn on"]


def test_a_frame_that_has_not_changed_is_not_drawn_again() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, height=24)
    display, clock = LiveDisplay(console), SpeechClock()
    log = TurnLog(clock)
    view = ConversationView(log, clock)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        display.draw_frame(view, live, 1.0, 0.0)
        drawn = len(screen.getvalue())
        display.draw_frame(view, live, 1.1, 0.0)
        assert len(screen.getvalue()) == drawn
        log.add_message(InputTranscriptionMessage("hello"), 1.2)
        display.draw_frame(view, live, 1.2, 0.0)
        assert "hello" in screen.getvalue()[drawn:]


def test_of_a_long_answer_a_small_terminal_shows_the_end() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    for number in range(100):
        log.add_message(AudioMessage(PIECE, 24_000), 0.0)
        log.add_message(OutputTranscriptionMessage(f" word{number}"), 0.0)
    console = Console(force_terminal=True, width=40, height=6, color_system=None)
    with console.capture() as capture:
        console.print(frame_block(ConversationView(log, clock).frame(0.0, 19.9), console))
    lines = capture.get().splitlines()
    assert len(lines) == 5
    assert "word99" in lines[2]
    assert lines[3].strip() == ""
    assert lines[4].startswith("speaking")


def test_a_new_connection_is_remarked_on() -> None:
    out = io.StringIO()
    display = PlainDisplay(Console(file=out, soft_wrap=True, color_system=None, markup=False))
    display.on_message(ReconnectedMessage(SessionClosed(1001, "restart")), None)
    assert out.getvalue() == (
        "The server closed the session (1001): restart. "
        "The conversation continues on a new connection.\n"
    )


@pytest.mark.parametrize(
    ("variables", "plain", "kind"),
    [
        ({"TTY_COMPATIBLE": "1", "TERM": "xterm"}, False, LiveDisplay),
        ({"TTY_COMPATIBLE": "1", "TERM": "xterm"}, True, PlainDisplay),
        ({"TTY_COMPATIBLE": "1", "TERM": "dumb"}, False, PlainDisplay),
        ({"TTY_COMPATIBLE": "0", "TERM": "xterm"}, False, PlainDisplay),
    ],
)
def test_only_a_terminal_that_can_move_its_cursor_is_drawn_on(
    variables: dict[str, str], plain: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert type(open_display(plain)) is kind


def after_cursor_movements(output: str) -> list[str]:
    """The lines that stand on a terminal at the end: obeys what rich uses to redraw."""
    import re

    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", output):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[1A":
            row -= 1
        elif token == "\x1b[2K":
            lines[row] = ""
        elif not token.startswith(("\x1b", "\r")):
            lines[row] += token
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_that_lacks_a_letter_gets_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out, encoding="cp1252"))
    display = open_display(plain=True)
    display.print_note("γ → x")
    display.console.file.flush()
    assert out.getvalue().strip() == b"? ? x"
