"""Interruptions: which speech during an answer interrupts it, and holding the output meanwhile.

It joins `BargeIn`, which judges one sound, to the conversation: speech that begins while the model
has the floor becomes a candidate instead of taking the floor, gets the transcripts that it needs,
and takes the floor once it is found to be an interruption. Marks of the client, typed text and
content interrupt at once, and so does all activity under `BargeInHandling.IMMEDIATE`.
"""

from __future__ import annotations

from vivavoce.core.back_channels import BackChannels, ends_in_question
from vivavoce.core.barge_in import BargeIn, UserVoice, Verdict
from vivavoce.core.effects import HoldOutput, RefreshTranscript, Step
from vivavoce.core.events import TranscriptUpdated, VoiceScored
from vivavoce.core.history import History
from vivavoce.core.model_turns import ModelTurns
from vivavoce.core.turn_detection import PRE_ROLL_MS, SpeechEvent
from vivavoce.core.user_turns import FloorTaken, SpokenTurn, UserTurns
from vivavoce.domain.audio import Position, samples

ECHO_S = (3.0, 1.5)
"""The answer's words before and after the estimated place of playback that an echo may hold: a
client plays later than estimated, and a recognizer hears later still."""

QUESTION_S = 2.0
"""How long after a question of the model a back-channel is an answer to it."""

SAME_TURN_SAMPLES = samples(1.0)
"""A sound that begins so soon after its turn stays in it, and later ones are turns of their own."""


class Interruptions:
    """The candidates of one conversation. `deliberates`: speech is judged before it interrupts."""

    def __init__(
        self,
        user: UserTurns,
        model: ModelTurns,
        history: History,
        deliberates: bool,
        language_codes: tuple[str, ...] = (),
    ) -> None:
        self.deliberates = deliberates
        self.holds_output = False
        self._user = user
        self._model = model
        self._history = history
        self._back_channels = BackChannels(language_codes)
        self._voice = UserVoice()
        self._position: Position = 0

    # --- evidence ---------------------------------------------------------------------------

    def note_scores(self, scored: VoiceScored) -> None:
        """Note scores, before turn detection gets them."""
        if self.deliberates:
            turn = self._user.open
            self._position = scored.position
            self._voice.add_scores(scored, turn is not None and turn.barge_in is None)

    def begin_candidate(self, onset: SpeechEvent, step: Step) -> None:
        """Make the turn that has just begun a candidate, if the model has the floor."""
        turn = self._user.open
        if turn is not None and self.deliberates and self._model.busy:
            self._user.floor_taken = None
            self._open_candidate(turn, onset.edge, step)

    def judge_sound(self, step: Step) -> None:
        """Judge the open turn after scores, and request its words where they are due."""
        turn = self._user.open
        if turn is None or turn.barge_in is None:
            return
        turn.barge_in.advance(self._position)
        if (begun := turn.barge_in.begun_anew_at) is not None:
            if begun - turn.start > SAME_TURN_SAMPLES:
                turn = self._user.restart_turn(turn, begun - samples(PRE_ROLL_MS / 1000), step)
            self._open_candidate(turn, begun, step)
        if turn.barge_in is not None and turn.barge_in.look_is_due(self._position):
            turn.refreshed_at = self._position
            step.emit(RefreshTranscript(turn.id, self._position))
        self._settle_candidate(turn)

    def end_sound(self, turn: SpokenTurn) -> None:
        """Judge a turn whose sound is over."""
        if turn.barge_in is not None:
            turn.barge_in.end_sound(self._position)
            self._settle_candidate(turn)

    def judge_words(self, update: TranscriptUpdated, step: Step) -> None:
        """Judge a turn after a transcript."""
        turn = self._user.find_turn(update.turn)
        if turn is None:
            return
        if turn.barge_in is None:
            if update.final:
                self._voice.end_turn(bool(update.text.strip()))
            return
        if update.final and not self._model.busy:
            turn.barge_in.disregard_level()
        elif update.position <= turn.barge_in.edge:
            return  # of the sound before
        self._note_answer(turn.barge_in, step)
        turn.barge_in.add_words(self._back_channels, update)
        self._settle_candidate(turn)

    def confirm_candidate(self) -> None:
        """Let the open turn take the floor: something was typed into it."""
        if (turn := self._user.open) is not None and turn.barge_in is not None:
            turn.barge_in.confirm()
            self._settle_candidate(turn)

    # --- the output -------------------------------------------------------------------------

    @property
    def hold_is_wrong(self) -> bool:
        """Whether the output is held without an undecided candidate, or the other way around."""
        candidates = (t.barge_in for t in self._user.spoken if t.barge_in is not None)
        undecided = any(each.verdict is Verdict.UNDECIDED for each in candidates)
        return self.holds_output != (undecided and self._model.busy)

    def switch_hold(self, step: Step) -> None:
        """Hold the output, or release it."""
        self.holds_output = not self.holds_output
        step.emit(HoldOutput(self.holds_output))
        if self._model.turn is None:
            return
        if self.holds_output:
            self._model.turn.playout.hold_audio()
        else:
            self._model.turn.playout.release_audio(step.now)

    # --- inside -----------------------------------------------------------------------------

    def _open_candidate(self, turn: SpokenTurn, edge: Position, step: Step) -> None:
        turn.barge_in = BargeIn(edge, self._position, self._voice)
        if self._model.turn is not None:
            heard_s = self._model.turn.playout.heard_s(step.now)
            turn.barge_in.heard_from_s = max(0.0, heard_s - ECHO_S[0])
            turn.barge_in.answers = ends_in_question(
                self._history.draft_words(0.0, heard_s),
                self._history.draft_words(heard_s, heard_s + QUESTION_S),
                self._history.draft_words(heard_s - QUESTION_S, heard_s),
            )
        self._note_answer(turn.barge_in, step)

    def _note_answer(self, candidate: BargeIn, step: Step) -> None:
        """Note the words of the answer that the candidate may be an echo of."""
        if self._model.turn is not None:
            until_s = self._model.turn.playout.heard_s(step.now) + ECHO_S[1]
            candidate.heard = self._history.draft_words(candidate.heard_from_s, until_s)

    def _settle_candidate(self, turn: SpokenTurn) -> None:
        if turn.barge_in is not None and turn.barge_in.verdict is Verdict.INTERRUPTION:
            turn.barge_in = None
            self._user.floor_taken = self._user.floor_taken or FloorTaken.ACTIVITY
