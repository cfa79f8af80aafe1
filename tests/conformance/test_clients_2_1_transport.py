"""What broke real clients, section 2.1: transport. One test an item, named after it."""

from __future__ import annotations

import asyncio
import ssl
import time
import urllib.request
from collections.abc import Iterator

import pytest

from conformance.servers import Running, serving
from conformance.wire import PATH, RawClient, audio, kinds, raw, setup, talking
from vivavoce.engines.scripted import say
from vivavoce.http import certificates

pytestmark = pytest.mark.e2e

KEY = "right-key"
SERVICE = "google.ai.generativelanguage"
METHOD = "GenerativeService.BidiGenerateContent"
PATHS = [
    *(f"/ws/{SERVICE}.{v}.{METHOD}" for v in ("v1", "v1beta", "v1alpha")),
    *(f"/ws/{SERVICE}.{v}.{METHOD}Constrained" for v in ("v1", "v1beta", "v1alpha")),
    "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent",
    "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
]
OUTDATED_OR_MISSPELT = ["/ws/nothing", f"/ws/{SERVICE}.v1beta.GenerativeService.BidiGenerateMusic"]


@pytest.fixture(scope="module")
def keyed() -> Iterator[Running]:
    """A scripted server that asks for a key."""
    with serving("scripted", VIVAVOCE_SERVER__KEYS=KEY) as running:
        yield running


def trusting() -> ssl.SSLContext:
    """A context as clients of `vivavoce env` have it."""
    return ssl.create_default_context(
        cafile=str(certificates.prepare_for_server("127.0.0.1").bundle)
    )


async def greeted(client: RawClient) -> None:
    await client.send(setup())
    assert "setupComplete" in await client.receive()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_1_tls_and_plain_text_on_one_port(scripted: Running, host: str) -> None:
    async with raw(f"wss://{host}:{scripted.port}", ssl=trusting()) as client:
        await greeted(client)
    async with raw(f"ws://{host}:{scripted.port}") as client:
        await greeted(client)


def test_1_rest_is_on_the_same_port_in_both(scripted: Running) -> None:
    for base, context in (
        (scripted.url, None),
        (scripted.url.replace("http", "https"), trusting()),
    ):
        with urllib.request.urlopen(f"{base}/v1beta/models", context=context) as answer:
            assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("path", PATHS)
async def test_2_every_path_of_every_sdk(scripted: Running, path: str) -> None:
    async with raw(scripted.socket_url, path) as client:
        await greeted(client)


@pytest.mark.parametrize("path", OUTDATED_OR_MISSPELT)
async def test_2_other_paths_are_refused_before_the_upgrade(scripted: Running, path: str) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus, match="404"):
        async with raw(scripted.socket_url, path):
            pass


@pytest.mark.parametrize("before", ["/", "/live", "/live/", "/a/b", "///"])
async def test_3_repeated_slashes_and_prefixes(scripted: Running, before: str) -> None:
    async with raw(scripted.socket_url, before + PATH) as client:
        await greeted(client)


CREDENTIALS = {
    "key": (f"?key={KEY}", {}),
    "header": ("", {"x-goog-api-key": KEY}),
    "bearer": ("", {"Authorization": f"Bearer {KEY}"}),
}


@pytest.mark.parametrize("place", CREDENTIALS)
async def test_4_credentials_in_every_place(keyed: Running, place: str) -> None:
    query, headers = CREDENTIALS[place]
    async with raw(keyed.socket_url, PATH + query, headers) as client:
        await greeted(client)


@pytest.mark.parametrize(
    ("query", "headers", "code", "words"),
    [
        ("?key=wrong", {}, 1007, "API key not valid. Please pass a valid API key."),
        ("", {"x-goog-api-key": "wrong"}, 1007, "API key not valid."),
        ("", {}, 1008, "Method doesn't allow unregistered callers"),
        ("?access_token=auth_tokens/unknown", {}, None, ""),
        ("", {"Authorization": "Token auth_tokens/unknown"}, None, ""),
    ],
)
async def test_4_refusals_come_after_the_upgrade_with_code_and_reason(
    keyed: Running, query: str, headers: dict[str, str], code: int | None, words: str
) -> None:
    async with raw(keyed.socket_url, PATH + query, headers) as client:
        await client.send(setup())
        closed, reason = await client.closed()
    assert client.frames == [], "anything before the close would pass for a setup answer"
    assert closed == code if code else closed in (1007, 1008)
    assert words in reason
    assert reason


async def test_5_frames_are_binary_and_hold_json(scripted: Running) -> None:
    async with talking(scripted.socket_url) as client:
        await client.type("hi")
        await client.turn()
    assert {type(frame) for frame in client.raw} == {bytes}


async def test_5_binary_client_frames_are_read_too(scripted: Running) -> None:
    async with raw(scripted.socket_url) as client:
        await client.send(b'{"setup": {"model": "models/x"}}')
        assert "setupComplete" in await client.receive()


async def test_6_ten_seconds_of_sound_in_one_message(scripted: Running) -> None:
    """Detection works on the time in the sound, not on the time at which it came."""
    pcm = bytes(96_000) + say("good day", 16_000)
    async with talking(scripted.socket_url) as client:
        await client.send(audio(pcm.ljust(320_000, b"\0")))
        assert kinds(await client.turn())[-1] == "turnComplete"


async def test_6_a_message_of_twenty_megabytes(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup({"responseModalities": ["TEXT"]})) as client:
        image = {"inlineData": {"mimeType": "image/png", "data": "A" * 20_000_000}}
        turn = {"role": "user", "parts": [image, {"text": "what is this"}]}
        await client.send({"clientContent": {"turns": [turn], "turnComplete": True}})
        answer = await client.turn(within_s=30)
    assert any("picture" in str(message) for message in answer)


async def test_7_pongs_come_at_once_while_an_answer_is_made(scripted: Running) -> None:
    async with talking(scripted.socket_url) as client:
        await client.type("a long answer " * 8)
        await client.until(lambda m: "modelTurn" in m.get("serverContent", {}))
        # A client that does not read gets no pongs either: they come behind what it left unread.
        reading = asyncio.create_task(client.turn(within_s=30))
        longest = 0.0
        for _ in range(10):
            began = time.monotonic()
            await asyncio.wait_for(await client.socket.ping(), 5)
            longest = max(longest, time.monotonic() - began)
        await reading
    assert longest < 1.0


async def test_8_the_origin_of_a_page_of_this_machine_is_no_obstacle(scripted: Running) -> None:
    async with raw(scripted.socket_url, headers={"Origin": "http://localhost:5173"}) as client:
        await greeted(client)


async def test_8_nor_is_that_of_any_page_where_all_are_named() -> None:
    with serving("scripted", VIVAVOCE_SERVER__ORIGINS="*") as server:
        async with raw(server.socket_url, headers={"Origin": "https://example.com"}) as client:
            await greeted(client)


async def test_anchor_compression_may_be_offered(scripted: Running) -> None:
    from websockets.asyncio.client import connect

    async with connect(scripted.socket_url + PATH, compression="deflate", proxy=None) as socket:
        await greeted(RawClient(socket))
