from __future__ import annotations

import pytest

from vivavoce.client.session import ServerEndpoint, ServerUnreachable
from vivavoce.config.loading import load_config
from vivavoce.engines.registry import EngineBuilder
from vivavoce.evaluation.labelled_speech import spoken_text
from vivavoce.evaluation.tiers import Evaluation
from vivavoce.server import Server

pytestmark = pytest.mark.integration


def evaluation_of_two() -> Evaluation:
    return Evaluation(clip_count=2, together=2, say=lambda line: None)


TURNS = (
    spoken_text("Good morning.", "whole", "short", 0),
    spoken_text("Eggs, [0.9] and some milk.", "paused", "list", 0),
)


@pytest.mark.integration
async def test_two_turns_through_the_scripted_engines() -> None:
    flags = {"profile": "scripted", "server.port": 0, "server.tls.enabled": False}
    server = Server(load_config(None, flags))
    builder = EngineBuilder()
    evaluation = evaluation_of_two()
    await evaluation.make_clips(await builder.build("synthesizer", "tones"), turns=TURNS)
    detector = await builder.build("detector", "energy")
    await evaluation.detect_turns(("turn-end", "pauses", "curve"), detector)
    await server.start()
    try:
        endpoint = ServerEndpoint(server.url())
        await evaluation.speak_turns(("turn-end", "pauses"), endpoint, "any", "")
    finally:
        await server.stop(drain_s=0)
    details = evaluation.report.details
    detected = details["turn detection, synthetic: silence only"]
    assert {each.name for each in detected} == {"whole", "paused"}
    assert all(each.delay_s is not None for each in detected)
    assert details["curve, synthetic, as heard: silence only"]
    [whole] = details["turns spoken to the server"]
    assert whole.latency_s is not None, "it was answered after its end"
    assert whole.times.overlap_count == 0
    [paused] = details["turns with pauses spoken to the server"]
    assert paused.latency_s is not None
    assert {row.tier for row in evaluation.report.rows} == {"turn-end", "pauses", "curve"}


async def test_a_server_that_is_not_there_is_one_error() -> None:
    evaluation = evaluation_of_two()
    await evaluation.make_clips(await EngineBuilder().build("synthesizer", "tones"), turns=TURNS)
    with pytest.raises(ServerUnreachable):
        await evaluation.speak_turns(("turn-end",), ServerEndpoint("http://127.0.0.1:1"), "any", "")
