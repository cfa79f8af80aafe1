"""Machine 1: every cell of its table, and the line of turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.documented import read_tables
from vivavoce.core import token_counts, user_turns
from vivavoce.core.effects import (
    DropTranscript,
    Effect,
    FinishTranscript,
    ForgetAudio,
    RefreshTranscript,
    ReportMismatch,
    StartTranscript,
    Step,
)
from vivavoce.core.events import TranscriptUpdated
from vivavoce.core.token_counts import MAX_BYTES
from vivavoce.core.turn_detection import SpeechEdge, SpeechEvent
from vivavoce.core.user_turns import (
    MAX_FRAMES,
    MAX_LINE,
    MAX_TYPED,
    TRANSITIONS,
    FloorTaken,
    SpokenTurn,
    TurnState,
    TypedTurn,
    UserTurns,
    VideoBuffer,
)
from vivavoce.domain.content import Blob, Content, Role, Text
from vivavoce.domain.ids import TurnId
from vivavoce.domain.setup import TurnCoverage

ONE = TurnId(1)
WAYS = {
    None: (),
    TurnState.SPEAKING: (SpeechEdge.ONSET,),
    TurnState.PAUSED: (SpeechEdge.ONSET, SpeechEdge.PAUSE),
    TurnState.ENDED: (SpeechEdge.ONSET, SpeechEdge.END),
}
STATES = {"(none)": None, "(new turn)": TurnState.SPEAKING, **TurnState.__members__}
DOCUMENTED = {
    STATES[state]: {edge: STATES[cells[edge.value]] for edge in SpeechEdge if edge.value in cells}
    for state, cells in read_tables(user_turns.__doc__ or "").items()
}
REQUESTED: dict[tuple[TurnState | None, SpeechEdge], type[Effect]] = {
    (None, SpeechEdge.ONSET): StartTranscript,
    (TurnState.SPEAKING, SpeechEdge.PAUSE): RefreshTranscript,
    (TurnState.SPEAKING, SpeechEdge.END): FinishTranscript,
    (TurnState.PAUSED, SpeechEdge.END): FinishTranscript,
    (TurnState.ENDED, SpeechEdge.ONSET): StartTranscript,
}


def side(coverage: TurnCoverage = TurnCoverage.ONLY_ACTIVITY) -> UserTurns:
    return UserTurns(VideoBuffer(coverage), streams=True)


def newest(user: UserTurns) -> TurnState | None:
    last = user.line[-1] if user.line else None
    return last.state if isinstance(last, SpokenTurn) else None


def cue(
    user: UserTurns, cue: SpeechEdge, position: int = 100, manual: bool = False
) -> list[Effect]:
    step = Step(0.0)
    user.handle_speech(SpeechEvent(cue, position, position), manual, step)
    return step.effects


def last_word(user: UserTurns, text: str, turn: TurnId = ONE) -> list[Effect]:
    step = Step(0.0)
    user.handle_transcript(TranscriptUpdated(turn, 100, text, True))
    user.settle_turn(turn, step)
    return step.effects


def test_the_documented_table_is_the_one_in_force() -> None:
    onset = {SpeechEdge.ONSET}
    assert {
        state: {edge: to for edge, to in DOCUMENTED[state].items() if edge not in onset}
        for state in TRANSITIONS
        if state in DOCUMENTED
    } == {state: edges for state, edges in TRANSITIONS.items() if edges or state in DOCUMENTED}


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("given", SpeechEdge)
def test_cell(state: TurnState | None, given: SpeechEdge) -> None:
    user = side()
    for way in WAYS[state]:
        cue(user, way)
    assert newest(user) is state
    effects = cue(user, given, 200)
    assert newest(user) is DOCUMENTED[state].get(given, state)
    requested = REQUESTED.get((state, given))
    assert [type(e) for e in effects if not isinstance(e, ForgetAudio)] == (
        [] if requested is None else [requested]
    )


def test_the_last_word_makes_a_turn_ready_or_gone() -> None:
    for text, left in (("hello", [TurnState.READY]), ("  ", [])):
        user = side()
        cue(user, SpeechEdge.ONSET)
        last_word(user, text)
        assert newest(user) is TurnState.SPEAKING
        cue(user, SpeechEdge.END)
        last_word(user, text)
        assert [turn.state for turn in user.line if isinstance(turn, SpokenTurn)] == left


def test_an_empty_manual_turn_is_ready_all_the_same() -> None:
    user = side()
    cue(user, SpeechEdge.ONSET, manual=True)
    cue(user, SpeechEdge.END)
    last_word(user, "")
    assert [entry.answer for entry in user.ready()] == [False]


def test_text_joins_the_turn_that_is_spoken_and_survives_its_coming_to_nothing() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    user.add_text("typed", step)
    cue(user, SpeechEdge.END)
    last_word(user, "spoken")
    (turn,) = user.ready()
    assert turn.contents() == (Content(Role.USER, (Text("spoken typed"),)),)
    user = side()
    cue(user, SpeechEdge.ONSET)
    user.add_text("typed", step)
    cue(user, SpeechEdge.END)
    last_word(user, "")
    assert [entry.contents()[0].text for entry in user.ready()] == ["typed"]


def test_content_stands_before_what_is_being_spoken() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    user.add_content((Content(Role.USER, (Text("first"),)),), True, step)
    assert [type(entry) for entry in user.line] == [TypedTurn, SpokenTurn]
    assert user.floor_taken is FloorTaken.CONTENT
    assert len(user.ready()) == 1


def test_content_that_joins_what_waits_is_weighed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[Content] = []

    def weigh(content: Content) -> int:
        weighed.append(content)
        return token_counts.size_bytes(content)

    monkeypatch.setattr(user_turns, "size_bytes", weigh)
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    said = [question(f"question {number}") for number in range(50)]
    for contents in said:
        user.add_content(contents, False, step)
    user.add_content((), True, step)
    typed = user.line[0]
    assert typed.contents() == tuple(content for contents in said for content in contents)
    assert typed == TypedTurn(typed.contents(), answer=True, urgent=True)
    assert typed.bytes == sum(map(token_counts.size_bytes, typed.contents()))
    assert len(weighed) == len(said)


def test_speech_waits_for_speech_that_follows_it_but_what_was_typed_does_not() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.END)
    cue(user, SpeechEdge.ONSET)
    last_word(user, "one")
    assert user.ready() == []
    user.add_content((), True, step)
    assert [type(entry) for entry in user.ready()] == [SpokenTurn, TypedTurn]


def refresh(user: UserTurns, position: int) -> list[Effect]:
    step = Step(0.0)
    user.refresh_transcript(position, step)
    return step.effects


def test_hypotheses_are_asked_for_twice_a_second_while_the_user_speaks() -> None:
    user = side()
    assert refresh(user, 50_000) == []
    cue(user, SpeechEdge.ONSET, 100)
    assert refresh(user, 8_000) == []
    assert refresh(user, 8_100) == [RefreshTranscript(ONE, 8_100)]
    assert refresh(user, 16_000) == []
    assert cue(user, SpeechEdge.PAUSE, 12_000) == [RefreshTranscript(ONE, 12_000, paused=True)]
    assert refresh(user, 30_000) == []
    cue(user, SpeechEdge.RESUME, 31_000)
    assert refresh(user, 31_000) == [RefreshTranscript(ONE, 31_000)]
    cue(user, SpeechEdge.END, 40_000)
    assert refresh(user, 60_000) == []


def test_the_end_names_the_pause_after_which_nothing_was_said() -> None:
    user = side()
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.PAUSE, 12_000)
    assert cue(user, SpeechEdge.END, 20_000) == [FinishTranscript(ONE, 20_000, 12_000)]
    user = side()
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.PAUSE, 12_000)
    cue(user, SpeechEdge.RESUME, 14_000)
    assert cue(user, SpeechEdge.END, 20_000) == [FinishTranscript(ONE, 20_000)]


def question(text: str) -> tuple[Content, ...]:
    return (Content(Role.USER, (Text(text),)),)


HOW: dict[str, Callable[[UserTurns, Step], None]] = {
    "text": lambda user, step: user.add_text("and this?", step),
    "content": lambda user, step: user.add_content(question("and this?"), True, step),
    "content of the model's": lambda user, step: user.add_content(
        (Content(Role.MODEL, (Text("Look:"),)),), True, step
    ),
    "trigger": lambda user, step: user.add_trigger(step),
    "bare content": lambda user, step: user.add_content((), True, step),
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize(
    ("coverage", "taken", "typed"),
    [
        (TurnCoverage.ONLY_ACTIVITY, [b"1", b"2"], [b"3"]),
        (TurnCoverage.AUDIO_ACTIVITY_AND_ALL_VIDEO, [b"1", b"2"], [b"3"]),
        (TurnCoverage.ALL_INPUT, [b"1", b"2"], [b"3"]),
    ],
)
def test_frames_join_the_turn_that_covers_them(
    coverage: TurnCoverage,
    taken: list[bytes],
    typed: list[bytes],
    how: Callable[[UserTurns, Step], None],
) -> None:
    user, step = side(coverage), Step(0.0)
    for position, name in ((50, b"1"), (150, b"2"), (350, b"3")):
        user.frames.add_frame(position, Blob(name, "image/png"))
    cue(user, SpeechEdge.ONSET, 100)
    cue(user, SpeechEdge.END, 300)
    last_word(user, "look")
    (turn,) = user.line
    assert [p.data for p in turn.contents()[0].parts if isinstance(p, Blob)] == taken
    how(user, step)
    (entry,) = user.line[1:]
    assert [p.data for c in entry.contents() for p in c.parts if isinstance(p, Blob)] == typed
    assert not typed or entry.contents()[-1].role is Role.USER


def test_frames_wait_for_what_asks_for_an_answer_and_for_the_speech_they_came_in() -> None:
    user, step = side(TurnCoverage.ALL_INPUT), Step(0.0)
    user.frames.add_frame(10, Blob(b"1", "image/png"))
    user.add_content((Content(Role.USER, (Text("first"),)),), False, step)
    assert user.line[0].contents()[0].parts == (Text("first"),)
    cue(user, SpeechEdge.ONSET, 5)
    user.add_content((Content(Role.USER, (Text("second"),)),), True, step)
    assert [content.text for content in user.line[0].contents()] == ["first", "second"]
    cue(user, SpeechEdge.END, 20)
    last_word(user, "look")
    assert user.line[1].contents()[0].parts == (Blob(b"1", "image/png"), Text("look"))


def test_what_waits_is_bounded() -> None:
    user, step = side(TurnCoverage.ALL_INPUT), Step(0.0)
    for at in range(100):
        user.frames.add_frame(at, Blob(b"", "image/png"))
    assert len(user.frames.within(0, 100)) == MAX_FRAMES
    for _ in range(100):
        user.add_trigger(step)
    assert len(user.line) == MAX_LINE
    user.line.clear()
    for _ in range(100):
        cue(user, SpeechEdge.ONSET)
        dropped = cue(user, SpeechEdge.END)
    assert len(user.line) == MAX_LINE
    assert [type(effect) for effect in dropped] == [FinishTranscript]


def test_what_was_typed_into_speech_is_bounded() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    for number in range(MAX_TYPED + 10):
        user.add_text(str(number), step)
    turn = user.open
    assert turn is not None
    assert turn.typed == [str(number) for number in range(10, MAX_TYPED + 10)]
    for _ in range(20):
        user.add_text("x" * (MAX_BYTES // 10), step)
    assert len(turn.typed) == 10


def test_what_waits_is_bounded_by_its_weight() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.END)
    for number in range(30):
        user.add_text(str(number) + "x" * (MAX_BYTES // 10), step)
    told = [effect for effect in step.effects if isinstance(effect, ReportMismatch)]
    assert [effect for effect in step.effects if effect not in told] == [DropTranscript(ONE)]
    assert len(told) == 31 - len(user.line)
    assert [entry.contents()[0].text[:2] for entry in user.line] == [
        str(number) for number in range(21, 30)
    ]
    user.add_content(question("x" * 2 * MAX_BYTES), True, step)
    assert len(user.line) == 1, "what is heavier than everything is taken all the same"
