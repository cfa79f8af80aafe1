"""How the wire spells grounding, code, addresses and the server's own calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types

from vivavoce.core.messages import (
    Grounding,
    Message,
    ModelCode,
    ModelCodeResult,
    ServerCall,
    ServerResponse,
    Support,
    UrlContext,
)
from vivavoce.domain.content import ToolCall, ToolKind
from vivavoce.domain.ids import CallId
from vivavoce.domain.tool_outcome import Page, RetrievalStatus, Source
from vivavoce.protocol.encode import MAX_FRAME_BYTES, encode_message
from vivavoce.protocol.tool_metadata import LONGEST

ID = CallId("call-1")
SOURCE = Source("https://www.example.org/quake", "The quake", "It had a magnitude of 7.0.")


def spelled(message: Message) -> Any:
    return json.loads(encode_message(message, enterprise=False))


def part(message: Message) -> Any:
    (only,) = spelled(message)["serverContent"]["modelTurn"]["parts"]
    return only


def test_grounding_as_the_sdk_reads_it() -> None:
    support = Support(0, 12, "It was small", (0,), (0.8,))
    further = Support(13, 20, "Was it?", (0,), (1.0,))
    grounding = Grounding(("how strong",), (SOURCE,), (support, further))
    wire = spelled(grounding)["serverContent"]["groundingMetadata"]
    read = types.GroundingMetadata.model_validate(wire)
    assert read.web_search_queries == ["how strong"]
    assert read.grounding_chunks is not None
    (chunk,) = read.grounding_chunks
    assert chunk.web is not None
    assert (chunk.web.uri, chunk.web.title) == (SOURCE.uri, "The quake")
    assert chunk.web.domain == "www.example.org"
    assert read.grounding_supports is not None
    first, second = (each.segment for each in read.grounding_supports)
    assert first is not None
    assert second is not None
    assert (first.start_index, first.end_index, first.text) == (None, 12, "It was small")
    assert (second.start_index, second.end_index) == (13, 20)
    assert read.grounding_supports[0].confidence_scores == [0.8]


def test_the_entry_point_escapes_what_it_shows_and_leads_nowhere() -> None:
    wire = spelled(Grounding(('<img src="https://evil.example/x">',), (), ()))
    shown = wire["serverContent"]["groundingMetadata"]["searchEntryPoint"]["renderedContent"]
    assert "&lt;img" in shown
    assert "<img" not in shown
    assert "href" not in shown


def test_a_search_without_findings_is_told_by_its_queries_alone() -> None:
    wire = spelled(Grounding(("x",), (), ()))["serverContent"]["groundingMetadata"]
    assert set(wire) == {"webSearchQueries", "searchEntryPoint"}


def test_code_and_its_result_are_parts_of_their_own() -> None:
    code = part(ModelCode(ID, "print(1)"))["executableCode"]
    assert (code["language"], code["code"]) == ("PYTHON", "print(1)")
    result = part(ModelCodeResult(ID, "OUTCOME_OK", "1\n"))["codeExecutionResult"]
    assert types.CodeExecutionResult.model_validate(result).outcome is types.Outcome.OUTCOME_OK
    assert result["output"] == "1\n"


def test_what_is_empty_is_left_out() -> None:
    assert part(ModelCodeResult(ID, "OUTCOME_OK", "")) == {
        "codeExecutionResult": {"outcome": "OUTCOME_OK", "id": ID}
    }
    bare = Grounding(("q",), (Source("https://[broken", "", "text"),), ())
    (chunk,) = spelled(bare)["serverContent"]["groundingMetadata"]["groundingChunks"]
    assert chunk == {"web": {"uri": "https://[broken"}}, "what only looks like an address, too"


def test_what_became_of_addresses() -> None:
    pages = (
        Page("https://a.example/", RetrievalStatus.SUCCESS, "A", "text"),
        Page("http://10.0.0.1/", RetrievalStatus.UNSAFE),
    )
    wire = spelled(UrlContext(pages))["serverContent"]["urlContextMetadata"]
    read = types.UrlContextMetadata.model_validate(wire)
    assert read.url_metadata is not None
    assert [each.url_retrieval_status for each in read.url_metadata] == [
        types.UrlRetrievalStatus.URL_RETRIEVAL_STATUS_SUCCESS,
        types.UrlRetrievalStatus.URL_RETRIEVAL_STATUS_UNSAFE,
    ]
    assert "text" not in json.dumps(wire)


@pytest.mark.parametrize(
    ("kind", "tool_type", "args"),
    [
        (ToolKind.SEARCH, "GOOGLE_SEARCH_WEB", {"query": "x"}),
        (ToolKind.URL, "URL_CONTEXT", {"query": "x"}),
        (ToolKind.MCP, None, {"name": "f", "arguments": {"query": "x"}}),
    ],
)
def test_the_servers_calls_for_those_who_asked(kind: ToolKind, tool_type: Any, args: Any) -> None:
    call = ToolCall(ID, "f", {"query": "x"})
    asked = part(ServerCall(call, kind))["toolCall"]
    assert (asked["id"], asked.get("toolType"), asked["args"]) == (ID, tool_type, args)
    answered = part(ServerResponse(call, kind, {"output": 2}))["toolResponse"]
    assert (answered["id"], answered["response"]) == (ID, {"output": 2})


@pytest.mark.parametrize(
    "message",
    [
        ModelCode(ID, "é" * 2_000_000),
        ModelCodeResult(ID, "OUTCOME_OK", "é" * 2_000_000),
        ServerResponse(ToolCall(ID, "f", {}), ToolKind.MCP, {"output": "é" * 2_000_000}),
        Grounding(("q" * 10**6,), (Source("u" * 10**6, "t" * 10**6, "x" * 10**6),) * 20, ()),
    ],
)
def test_no_frame_grows_beyond_what_clients_read(message: Message) -> None:
    frame = encode_message(message, enterprise=False)
    assert len(frame) < MAX_FRAME_BYTES / 2
    assert LONGEST < MAX_FRAME_BYTES
