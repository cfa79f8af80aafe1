"""Start and end of the embedded language model: its listener, files, template, and threads."""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from engines import function_calling_cases as cases
from engines.llamacpp_model import Host, calls_of, conversation, load, text_model, text_of
from engines.openai_build import settings_of
from engines.talk import answer, said, user
from vivavoce.domain.content import ToolCall, ToolResult, Tools
from vivavoce.domain.ids import CallId
from vivavoce.domain.setup import Sampling
from vivavoce.engines.llamacpp import create
from vivavoce.engines.llamacpp.settings import model_file, read_settings
from vivavoce.engines.openai import OpenAIModel
from vivavoce.engines.ports import LanguageModel, ModelPart, UsageReported
from vivavoce.errors import EngineError, EngineMissing

pytestmark = pytest.mark.embedded


def get(address: str, path: str, key: str = "") -> http.client.HTTPResponse:
    where = urlsplit(address)
    link = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    link.request("GET", path, headers={**headers, "Origin": "http://evil.example"})
    answered = link.getresponse()
    answered.read()
    link.close()
    return answered


def test_the_listener_is_locked_and_shows_no_page(model: LanguageModel) -> None:
    address, key = text_model(model).listener
    assert urlsplit(address).hostname == "127.0.0.1"
    for path in ("/v1/models", "/props", "/slots", "/v1/chat/completions"):
        assert get(address, path).status == http.HTTPStatus.UNAUTHORIZED
        assert get(address, path, "wrong").status == http.HTTPStatus.UNAUTHORIZED
    assert get(address, "/v1/models", key).status == http.HTTPStatus.OK
    assert get(address, "/").status != http.HTTPStatus.OK
    assert not get(address, "/v1/models", key).getheader("access-control-allow-origin")


async def test_nothing_is_left_after_closing() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    model = await load(slots=1, tools=False)
    address, _ = text_model(model).listener
    port = urlsplit(address).port
    parts: Any = model.generate(conversation(user("Tell me a very long story about the sea.")))
    await anext(parts)
    await model.aclose()
    await parts.aclose()
    listening = [link.laddr.port for link in psutil.Process().net_connections("tcp") if link.laddr]
    assert port not in listening
    threads = [
        t for t in threading.enumerate() if t.name.startswith("worker-") and t.ident not in before
    ]
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
    with pytest.raises(EngineError):
        await answer(model, conversation(user("Hello.")))


async def test_a_second_implementation_of_the_chat_form_understands_us(
    model: LanguageModel,
) -> None:
    address, key = text_model(model).listener
    remote = OpenAIModel(
        settings_of({"base_url": f"{address}/v1", "model": "any", "api_key": key, "spoken": ""})
    )
    try:
        parts = await answer(
            remote,
            conversation(
                user("What is the capital of France?"),
                instruction="Answer in one short sentence.",
                sampling=Sampling(temperature=0.0, max_output_tokens=40),
            ),
        )
        assert "Paris" in text_of(parts)
        (usage,) = [part.usage for part in parts if isinstance(part, UsageReported)]
        assert usage.prompt_tokens > 10
        assert usage.response_tokens > 3
        wrong = OpenAIModel(settings_of({"base_url": f"{address}/v1", "api_key": "wrong"}))
        with pytest.raises(EngineMissing, match="api_key"):
            await answer(wrong, conversation(user("Hello.")))
        await wrong.aclose()
    finally:
        await remote.aclose()


async def test_a_file_that_is_no_model_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=r"nothing\.gguf"):
        await create({"path": str(tmp_path / "nothing.gguf")}, Host())
    (tmp_path / "text.gguf").write_text("this is no model")
    with pytest.raises(EngineError, match=r"text\.gguf can't be loaded"):
        await create({"path": str(tmp_path / "text.gguf")}, Host())


TOOLS_TEMPLATE = (
    "<|im_start|>system\nYou are an assistant.{% if tools %} You have these functions:\n"
    "{{ tools | tojson }}"
    "{% endif %}<|im_end|>\n{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


async def test_a_template_that_knows_tools_gets_them_natively(
    own: list[LanguageModel], tmp_path: Path
) -> None:
    gguf = tmp_path / "other.gguf"
    gguf.symlink_to(model_file(read_settings({"model": "qwen-0.5b"}), Host()).resolve())
    own.append(await load(slots=1, context=1024, path=str(gguf), template=TOOLS_TEMPLATE))
    assert own[0].capabilities.tools
    asked = conversation(user("Hello."), session="native")
    bare = await answer(own[0], asked)
    offered = await answer(own[0], replace(asked, tools=Tools(cases.HOUSE)))

    def read(parts: list[ModelPart]) -> int:
        return max(p.usage.prompt_tokens for p in parts if isinstance(p, UsageReported))

    assert read(offered) > read(bare) + 200
    long = {"page": "the quick brown fox " * 500}
    history = [user("Hello.")]
    for number in range(5):
        made = ToolCall(CallId(f"c{number}"), "read_page", {})
        history += [said(made), user(ToolResult(made.id, made.name, long)), said("Read.")]
    parts = await answer(own[0], replace(asked, history=(*history, user("Thanks."))))
    assert 0 < read(parts) <= 1024, "long results are counted as they are shown"


def test_a_model_is_not_freed_while_a_request_to_it_is_half_sent() -> None:
    """Freeing it joins the library's threads under Python's lock, which the rest waits for."""
    script = Path(__file__).parent / "closing_llama.py"
    path = model_file(read_settings({"model": "qwen-0.5b"}), Host())
    done = subprocess.run(
        [sys.executable, str(script), str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "closed [1]", done.stderr


async def test_a_call_its_result_and_the_next_turn(model: LanguageModel) -> None:
    history = [user("turn on the lights please")]
    made = ToolCall(CallId("c1"), cases.ON, {})
    history += [said(made), user(ToolResult(CallId("c1"), cases.ON, {"result": "ok"}))]
    parts = await answer(model, conversation(*history, tools=cases.LIGHTS))
    assert "lights" in text_of(parts).lower()
    assert not calls_of(parts)
    history += [said(text_of(parts)), user("what is the capital of france")]
    parts = await answer(model, conversation(*history, tools=cases.LIGHTS))
    assert "Paris" in text_of(parts)
    history += [said(text_of(parts)), user("and turn them off again the lights")]
    parts = await answer(model, conversation(*history, tools=cases.LIGHTS))
    assert calls_of(parts) == [(cases.OFF, {})]


async def test_without_the_router_it_answers_and_never_calls(own: list[LanguageModel]) -> None:
    model = await create({"model": "qwen-0.5b", "slots": 1}, Host(absent="minilm"))
    own.append(model)
    assert not model.capabilities.tools
    parts = await answer(model, conversation(user("Turn on the lights"), tools=cases.LIGHTS))
    assert text_of(parts)
    assert not calls_of(parts)
