"""Conformance tests for engines, one class a port; subclass one to test your own engine.

    class TestMyDetector(VoiceDetectorContract):
        def engine(self) -> VoiceDetector:
            return MyDetector()

Engines that need longer than a scripted one to be built may override `engine` with a cached
instance. Where a contract needs to know what an engine ought to understand or say, it asks the
subclass by an attribute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, ClassVar
from urllib.parse import urlsplit

from vivavoce.domain.audio import INPUT_RATE, pcm_seconds
from vivavoce.domain.content import Content, Role, Text, ToolDeclaration, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.ports import (
    CallsRequested,
    Ended,
    GenerationPart,
    LanguageModel,
    ModelPart,
    RecognitionOptions,
    Recognizer,
    Responder,
    SearchEngine,
    SearchQuery,
    Speech,
    Synthesizer,
    TextDelta,
    Transcript,
    TurnModel,
    TurnPause,
    UsageReported,
    VoiceDetector,
)


def request(
    *said: str,
    modality: Modality = Modality.AUDIO,
    functions: tuple[ToolDeclaration, ...] = (),
    session: str = "contract",
) -> GenerationRequest:
    """Return a request of a conversation in which the user said `said`, one content each."""
    return GenerationRequest(
        session=SessionId(session),
        generation=GenerationId(1),
        instruction="",
        history=tuple(Content(Role.USER, (Text(text),)) for text in said),
        tools=Tools(functions),
        modality=modality,
        voice="Puck",
        language="en-US",
        sampling=Sampling(),
    )


class VoiceDetectorContract:
    """Subclasses give `engine`, and `speech` if tones are no speech to it."""

    speech: ClassVar[bytes | None] = None

    def engine(self) -> VoiceDetector:
        raise NotImplementedError

    async def test_digital_silence_is_not_speech(self) -> None:
        scores = self._scores(self.engine(), bytes(INPUT_RATE * 2))
        assert max(scores) < 0.5

    async def test_speech_is_speech(self) -> None:
        if self.speech is not None:
            assert max(self._scores(self.engine(), self.speech)) >= 0.5

    async def test_scores_are_probabilities(self) -> None:
        noise = bytes(range(256)) * 64
        assert all(0.0 <= score <= 1.0 for score in self._scores(self.engine(), noise))

    async def test_scores_do_not_depend_on_the_batch(self) -> None:
        engine = self.engine()
        sound = (self.speech or bytes(range(256)) * 64)[: engine.frame_samples * 2 * 8]
        alone = self._scores(engine, sound)
        frames = self._frames(engine, sound)
        state, other = engine.fresh(), engine.fresh()
        together = []
        for frame in frames:
            quiet = bytes(len(frame))
            (_, other), (score, state) = engine.score([quiet, frame], [other, state])
            together.append(score)
        assert [round(score, 3) for score in together] == [round(score, 3) for score in alone]

    async def test_an_empty_batch_is_no_fault(self) -> None:
        assert list(self.engine().score([], [])) == []

    def _frames(self, engine: VoiceDetector, pcm: bytes) -> list[bytes]:
        size = engine.frame_samples * 2
        return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]

    def _scores(self, engine: VoiceDetector, pcm: bytes) -> list[float]:
        state = engine.fresh()
        scores = []
        for frame in self._frames(engine, pcm):
            ((score, state),) = engine.score([frame], [state])
            scores.append(score)
        return scores


class TurnModelContract:
    """Subclasses give `engine`, and `speech` (16 kHz PCM) if they need more than noise."""

    speech: ClassVar[bytes] = bytes(range(256)) * 256

    def engine(self) -> TurnModel:
        raise NotImplementedError

    async def test_scores_are_probabilities(self) -> None:
        pauses = [TurnPause(self.speech, text, "en") for text in ("", "What is it?", "and the")]
        scores = self.engine().score(pauses)
        assert len(scores) == len(pauses)
        assert all(0.0 <= score <= 1.0 for score in scores)

    async def test_a_score_depends_on_nothing_but_its_pause(self) -> None:
        engine = self.engine()
        pause = TurnPause(self.speech, "Turn it on", "en")
        (alone,) = engine.score([pause])
        other = TurnPause(self.speech[: len(self.speech) // 4 * 2], "because of the", "en")
        _, again, _ = engine.score([other, pause, other])
        assert abs(again - alone) < 1e-3

    async def test_an_empty_batch_has_no_scores(self) -> None:
        assert list(self.engine().score([])) == []

    async def test_any_sound_words_and_language_have_a_score(self) -> None:
        odd = ("", "?!", "é" * 3000, "\0", "1 2 3", "もしもし")
        sounds = (b"", bytes(2), bytes(2 * INPUT_RATE), self.speech * 12)
        pauses = [TurnPause(pcm, text, "ja-JP") for pcm in sounds for text in odd]
        assert all(0.0 <= score <= 1.0 for score in self.engine().score(pauses))


class RecognizerContract:
    """Subclasses give `engine`, and `speech` (16 kHz PCM) with the `words` in it."""

    speech: ClassVar[bytes] = b""
    words: ClassVar[str] = ""

    def engine(self) -> Recognizer:
        raise NotImplementedError

    async def test_speech_is_transcribed(self) -> None:
        assert await self._recognize(self.engine(), self.speech, 3200) == self.words

    async def test_chunk_size_does_not_change_the_transcript(self) -> None:
        engine = self.engine()
        assert await self._recognize(engine, self.speech, 1000) == self.words
        assert await self._recognize(engine, self.speech, len(self.speech)) == self.words

    async def test_silence_has_an_empty_transcript(self) -> None:
        assert await self._recognize(self.engine(), bytes(INPUT_RATE * 2), 3200) == ""

    async def test_an_utterance_without_audio_has_an_empty_transcript(self) -> None:
        assert await self._recognize(self.engine(), b"", 3200) == ""

    async def test_a_hypothesis_may_be_asked_for_at_any_time(self) -> None:
        recognition = self.engine().open(RecognitionOptions())
        async with recognition.utterance() as utterance:
            assert await utterance.hypothesis() == Transcript()
            await utterance.feed(self.speech)
            said = await utterance.hypothesis()
            assert said.text.startswith(said.stable)
            assert (await utterance.finish()).text == self.words
        await recognition.aclose()

    async def test_the_hypothesis_at_a_pause_is_final_if_only_silence_follows(self) -> None:
        recognition = self.engine().open(RecognitionOptions())
        async with recognition.utterance() as utterance:
            await utterance.feed(self.speech)
            assert (await utterance.pause()).text == self.words
            await utterance.feed(bytes(INPUT_RATE))
            assert (await utterance.finish()).text == self.words
        await recognition.aclose()

    async def test_a_confidence_is_a_probability_or_unknown(self) -> None:
        recognition = self.engine().open(RecognitionOptions())
        async with recognition.utterance() as utterance:
            await utterance.feed(self.speech)
            confidence = (await utterance.finish()).confidence
        assert confidence is None or 0.0 <= confidence <= 1.0
        await recognition.aclose()

    async def test_an_abandoned_utterance_leaves_the_conversation_usable(self) -> None:
        recognition = self.engine().open(RecognitionOptions())
        async with recognition.utterance() as utterance:
            await utterance.feed(self.speech[: len(self.speech) // 4 * 2])
        async with recognition.utterance() as utterance:
            await utterance.feed(self.speech)
            assert (await utterance.finish()).text == self.words
        await recognition.aclose()

    async def test_closing_a_conversation_twice_is_no_fault(self) -> None:
        recognition = self.engine().open(RecognitionOptions())
        await recognition.aclose()
        await recognition.aclose()

    async def _recognize(self, engine: Recognizer, pcm: bytes, piece: int) -> str:
        recognition = engine.open(RecognitionOptions(language_codes=("en-US",)))
        try:
            async with recognition.utterance() as utterance:
                for at in range(0, len(pcm), piece):
                    await utterance.feed(pcm[at : at + piece])
                return (await utterance.finish()).text
        finally:
            await recognition.aclose()


class LanguageModelContract:
    """Subclasses give `engine`."""

    def engine(self) -> LanguageModel:
        raise NotImplementedError

    async def test_it_answers_in_text(self) -> None:
        parts = await self._parts(self.engine(), request("Say hello."))
        said = "".join(p.text for p in parts if isinstance(p, TextDelta) and not p.thought)
        assert said.strip()

    async def test_the_end_and_the_usage_come_after_the_words(self) -> None:
        parts = await self._parts(self.engine(), request("Say hello."))
        kinds = [type(part) for part in parts]
        assert not any(kind is Ended for kind in kinds[:-1])
        if UsageReported in kinds:
            last_words = max(i for i, kind in enumerate(kinds) if kind is TextDelta)
            assert max(i for i, kind in enumerate(kinds) if kind is UsageReported) > last_words

    async def test_a_named_function_is_called(self) -> None:
        engine = self.engine()
        if not engine.capabilities.tools:
            return
        lights = ToolDeclaration("turn_on_the_lights", "Turns on the lights.")
        said = request("Turn on the lights please.", functions=(lights,))
        parts = await self._parts(engine, said)
        calls = [call for part in parts if isinstance(part, CallsRequested) for call in part.calls]
        assert [call.name for call in calls] == ["turn_on_the_lights"]
        assert all(call.id == "" for call in calls)

    async def test_closing_the_stream_early_keeps_it_usable(self) -> None:
        engine = self.engine()
        parts: Any = engine.generate(request("Tell me a long story."))
        async with aclosing(parts):
            async for _ in parts:
                break
        await self.test_it_answers_in_text()

    async def test_forgetting_an_unknown_conversation_is_no_fault(self) -> None:
        engine = self.engine()
        await engine.release("nobody")
        await engine.prepare(request("Hello.", session="somebody"))
        await engine.release("somebody")

    async def _parts(self, engine: LanguageModel, asked: GenerationRequest) -> list[ModelPart]:
        parts: Any = engine.generate(asked)
        async with aclosing(parts):
            return [part async for part in parts]


class SynthesizerContract:
    """Subclasses give `engine`."""

    text: ClassVar[str] = "Hello there, how are you today?"

    def engine(self) -> Synthesizer:
        raise NotImplementedError

    async def test_the_pieces_together_are_the_text(self) -> None:
        pieces = await self._pieces(self.engine(), self.text)
        assert "".join(piece.text for piece in pieces) == self.text

    async def test_audio_has_whole_samples_and_a_plausible_length(self) -> None:
        pieces = await self._pieces(self.engine(), self.text)
        assert all(len(piece.pcm) % 2 == 0 for piece in pieces)
        assert 0.5 < pcm_seconds(sum(len(piece.pcm) for piece in pieces)) < 8

    async def test_audio_is_not_silent(self) -> None:
        pieces = await self._pieces(self.engine(), self.text)
        assert any(any(piece.pcm) for piece in pieces)

    async def test_an_unknown_voice_still_speaks(self) -> None:
        assert await self._pieces(self.engine(), self.text, voice="Nobody")

    async def test_closing_the_stream_early_keeps_it_usable(self) -> None:
        engine = self.engine()
        pieces: Any = engine.speak(self.text, "Puck")
        async with aclosing(pieces):
            async for _ in pieces:
                break
        assert await self._pieces(engine, self.text)

    async def _pieces(self, engine: Synthesizer, text: str, voice: str = "Puck") -> list[Speech]:
        pieces: Any = engine.speak(text, voice)
        async with aclosing(pieces):
            return [piece async for piece in pieces]


class ResponderContract:
    """Subclasses give `engine`."""

    def engine(self) -> Responder:
        raise NotImplementedError

    async def test_it_answers_in_speech(self) -> None:
        if not self.engine().capabilities.speaks:
            return
        parts, reason = await self._answer(self.engine(), request("Say hello."))
        spoken = [part for part in parts if isinstance(part, Speech)]
        assert any(part.pcm for part in spoken)
        assert "".join(part.text for part in spoken).strip()
        assert reason is EndReason.COMPLETE

    async def test_it_answers_in_text_when_asked_to(self) -> None:
        said = request("Say hello.", modality=Modality.TEXT)
        parts, _ = await self._answer(self.engine(), said)
        assert "".join(p.text for p in parts if isinstance(p, TextDelta) and not p.thought)
        assert not any(isinstance(part, Speech) for part in parts)

    async def test_cancelled_at_any_part_it_leaves_at_once_and_stays_usable(self) -> None:
        engine = self.engine()
        parts, _ = await self._answer(engine, request("Say hello."))
        for stop_at in sorted({0, 1, len(parts) // 2, len(parts) - 1}):
            await self._cancelled_at(engine, stop_at)
        again, _ = await self._answer(engine, request("Say hello."))
        assert any(isinstance(part, Speech | TextDelta) for part in again)

    async def test_forgetting_an_unknown_conversation_is_no_fault(self) -> None:
        engine = self.engine()
        await engine.release("nobody")
        await engine.prepare(request("Hello.", session="somebody"))
        await engine.release("somebody")

    async def _answer(
        self,
        engine: Responder,
        asked: GenerationRequest,
        watch: Callable[[int], None] = lambda count: None,
    ) -> tuple[list[GenerationPart], EndReason]:
        parts: list[GenerationPart] = []

        async def emit(part: GenerationPart) -> None:
            watch(len(parts))
            parts.append(part)
            await asyncio.sleep(0)

        return parts, await engine.respond(asked, emit)

    async def _cancelled_at(self, engine: Responder, stop_at: int) -> None:
        task: asyncio.Task[Any]

        def watch(count: int) -> None:
            if count == stop_at:
                task.cancel()

        task = asyncio.ensure_future(self._answer(engine, request("Say hello."), watch))
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done, "a cancelled answer must end"
        assert task.cancelled()


class SearchEngineContract:
    """Subclasses give `engine`, and a `question` on which it finds at least two sources."""

    question: ClassVar[str] = ""

    def engine(self) -> SearchEngine:
        raise NotImplementedError

    async def test_results_can_be_cited(self) -> None:
        engine = self.engine()
        found = await engine.search(SearchQuery(self.question))
        await engine.aclose()
        assert found
        for source in found:
            assert urlsplit(source.uri).scheme in ("http", "https", "file")
            assert source.title.strip() == source.title != ""
            assert source.text.strip() == source.text != ""

    async def test_results_are_at_most_count(self) -> None:
        engine = self.engine()
        assert len(await engine.search(SearchQuery(self.question, count=2))) == 2
        assert len(await engine.search(SearchQuery(self.question, count=1))) == 1
        await engine.aclose()

    async def test_an_empty_query_has_no_results(self) -> None:
        engine = self.engine()
        assert list(await engine.search(SearchQuery(" "))) == []
        assert list(await engine.search(SearchQuery(self.question, count=0))) == []
        await engine.aclose()

    async def test_concurrent_searches_work(self) -> None:
        engine = self.engine()
        asked = [engine.search(SearchQuery(self.question)) for _ in range(8)]
        results = await asyncio.gather(*asked)
        await engine.aclose()
        assert all(list(found) == list(results[0]) for found in results)

    async def test_a_query_is_only_words(self) -> None:
        """Nothing in it is an operator, and none of it is a fault."""
        engine = self.engine()
        for odd in ('"', "a AND (", "' OR 1=1 --", "title:x*", "NEAR(", "\0", "é" * 3000, "^-+{}"):
            await engine.search(SearchQuery(odd))
        await engine.aclose()

    async def test_cancelling_leaves_it_usable(self) -> None:
        engine = self.engine()
        asking = asyncio.ensure_future(engine.search(SearchQuery(self.question)))
        await asyncio.sleep(0)
        asking.cancel()
        assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0],
                          asyncio.CancelledError)  # fmt: skip
        assert await engine.search(SearchQuery(self.question))
        await engine.aclose()
