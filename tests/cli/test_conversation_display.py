"""What terminals and pipes get of a conversation."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from rich.live import Live

from client.stub import READY, Peer, serving, spoken
from vivavoce.cli.conversation_display import (
    ConversationView,
    LiveDisplay,
    PlainDisplay,
    frame_block,
    open_display,
)
from vivavoce.client.audio import ClockSpeaker, wait_until_played
from vivavoce.client.conversation import ClientConversation, SpeechClock, TurnLog
from vivavoce.client.messages import (
    AudioMessage,
    InputTranscriptionMessage,
    OutputTranscriptionMessage,
    ReconnectedMessage,
    SessionClosed,
    SessionOptions,
)
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.client.tools import ToolModule

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


async def test_a_terminal_strikes_unheard_words_out() -> None:
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=80, height=24, color_system="standard"
    )
    async with serving(interrupting) as url:
        await hold(LiveDisplay(console), url)
    assert "\x1b[1;2;9mupon a time" in screen.getvalue() or "9mOnce upon" in screen.getvalue()


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
