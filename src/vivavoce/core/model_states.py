"""The table of machine 2: where the model side stands, and what moves it.

    state        begin        speculate     part   call   blocks  finished  failed   refused
    IDLE         GENERATING   SPECULATING   -      -      -       -         -        -
    SPECULATING  -            -             hold   hold   hold    hold      IDLE     IDLE
    GENERATING   -            -             send   send   TOOLS   PLAYING   PLAYING  GENERATING
    TOOLS        -            -             -      send   send    TOOLS     PLAYING  -
    PLAYING      -            -             -      -      -       -         -        -

    state        answered     promote       discard  withdraw  played   interrupt
    IDLE         -            -             -        -         -        -
    SPECULATING  -            GENERATING    IDLE     -         -        -
    GENERATING   -            -             -        IDLE      -        IDLE
    TOOLS        GENERATING   -             -        -         -        IDLE
    PLAYING      -            -             -        -         IDLE     IDLE

    state        asked        cut           waits
    IDLE         -            -             -
    SPECULATING  -            -             -
    GENERATING   -            TOOLS         -
    TOOLS        GENERATING   -             -
    PLAYING      -            TOOLS         TOOLS

What is left of sound or text when a blocking call was made (the TOOLS row of *part*) is
dropped: clients open a new, empty answer for it. A failure plays out what was already said
before the turn is given up, since `turnComplete` makes some clients empty their speaker. A
live generation that is refused was speculative when it was started; it is started anew.
*Withdraw* takes back a turn of which the client has seen nothing. Content that asks for an answer
while the client's functions run is *asked*: it is answered at once, and the calls stay open. When
that answer was played the model *waits* for them again, and so it does when it was *cut*.
"""

from __future__ import annotations

from enum import Enum


class ModelState(Enum):
    """Where the model side stands."""

    IDLE = "idle"
    SPECULATING = "speculating"
    GENERATING = "generating"
    TOOLS = "tools"
    PLAYING = "playing"


class ModelTrigger(Enum):
    """What can happen to the model side."""

    BEGIN = "begin"
    SPECULATE = "speculate"
    PART = "part"
    CALL = "call"
    BLOCKS = "blocks"
    FINISHED = "finished"
    FAILED = "failed"
    REFUSED = "refused"
    ANSWERED = "answered"
    PROMOTE = "promote"
    DISCARD = "discard"
    WITHDRAW = "withdraw"
    PLAYED = "played"
    INTERRUPT = "interrupt"
    ASKED = "asked"
    CUT = "cut"
    WAITS = "waits"


_S, _C = ModelState, ModelTrigger

TRANSITIONS: dict[ModelState, dict[ModelTrigger, ModelState]] = {
    _S.IDLE: {_C.BEGIN: _S.GENERATING, _C.SPECULATE: _S.SPECULATING},
    _S.SPECULATING: {
        _C.PART: _S.SPECULATING,
        _C.CALL: _S.SPECULATING,
        _C.BLOCKS: _S.SPECULATING,
        _C.FINISHED: _S.SPECULATING,
        _C.FAILED: _S.IDLE,
        _C.REFUSED: _S.IDLE,
        _C.PROMOTE: _S.GENERATING,
        _C.DISCARD: _S.IDLE,
    },
    _S.GENERATING: {
        _C.PART: _S.GENERATING,
        _C.CALL: _S.GENERATING,
        _C.BLOCKS: _S.TOOLS,
        _C.FINISHED: _S.PLAYING,
        _C.FAILED: _S.PLAYING,
        _C.REFUSED: _S.GENERATING,
        _C.WITHDRAW: _S.IDLE,
        _C.INTERRUPT: _S.IDLE,
        _C.CUT: _S.TOOLS,
    },
    _S.TOOLS: {
        _C.CALL: _S.TOOLS,
        _C.BLOCKS: _S.TOOLS,
        _C.FINISHED: _S.TOOLS,
        _C.FAILED: _S.PLAYING,
        _C.ANSWERED: _S.GENERATING,
        _C.ASKED: _S.GENERATING,
        _C.INTERRUPT: _S.IDLE,
    },
    _S.PLAYING: {
        _C.PLAYED: _S.IDLE,
        _C.INTERRUPT: _S.IDLE,
        _C.CUT: _S.TOOLS,
        _C.WAITS: _S.TOOLS,
    },
}
"""What is absent changes nothing."""

BUSY = frozenset({_S.GENERATING, _S.TOOLS, _S.PLAYING})
