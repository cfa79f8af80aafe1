"""REST beside Live: models, what is not offered, health, and the headers that browsers need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from serving import LIVE, serving
from vivavoce.http.app import MAX_BODY_BYTES
from vivavoce.http.health import Component, ComponentState
from vivavoce.server import Server

pytestmark = pytest.mark.integration

KEY = {"x-goog-api-key": "secret"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
async def web(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url(), trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1beta/models", "/v1alpha/models", "//v1beta/models", "/gw/v1beta/models"],
)
async def test_models_are_listed_for_any_version_and_prefix(
    server: Server, web: httpx2.AsyncClient, path: str
) -> None:
    answer = await web.get(server.url() + path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert "bidiGenerateContent" in answer.json()["models"][0]["supportedGenerationMethods"]


async def test_a_model_is_listed_with_the_window_that_is_in_use(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, session__context_tokens=50_000) as server,
        httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web,
    ):
        assert (await web.get("/v1beta/models/any")).json()["inputTokenLimit"] == 50_000


async def test_one_model_by_its_name(web: httpx2.AsyncClient) -> None:
    assert (await web.get("/v1beta/models/any-name")).json()["name"] == "models/any-name"


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("POST", "/v1beta/models/m:generateContent", 404, "NOT_FOUND"),
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("DELETE", "/", 404, "NOT_FOUND"),
        ("GET", "/version1/models", 404, "NOT_FOUND"),
        ("GET", LIVE, 426, "FAILED_PRECONDITION"),
        ("GET", "/" + LIVE, 426, "FAILED_PRECONDITION"),
    ],
)
async def test_refusals_have_the_services_form(
    server: Server, web: httpx2.AsyncClient, method: str, path: str, status: int, name: str
) -> None:
    answer = await web.request(method, server.url() + path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (status, name)
    assert error["message"]


@pytest.mark.parametrize(
    ("headers", "query", "status", "name"),
    [
        ({}, "", 403, "PERMISSION_DENIED"),
        ({"x-goog-api-key": "wrong"}, "", 400, "INVALID_ARGUMENT"),
        (KEY, "", 200, ""),
        ({}, "?key=secret", 200, ""),
        ({"authorization": "Bearer secret"}, "", 200, ""),
    ],
)
async def test_keys_guard_the_models(
    tmp_path: Path, headers: dict[str, str], query: str, status: int, name: str
) -> None:
    async with (
        serving(tmp_path, server__keys="secret") as server,
        httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web,
    ):
        answer = await web.get("/v1beta/models" + query, headers=headers)
        health = await web.get("/livez")

    assert answer.status_code == status
    assert answer.json().get("error", {}).get("status", "") == name
    assert health.status_code == 200


WANTED = "authorization,content-type,x-goog-api-key,x-goog-api-client,x-server-timeout"


@pytest.mark.parametrize("page", ["http://localhost:5173", "https://page.example"])
async def test_pages_of_this_machine_and_those_that_are_named_may_ask(
    tmp_path: Path, page: str
) -> None:
    asked = {
        "origin": page,
        "access-control-request-method": "POST",
        "access-control-request-headers": WANTED,
    }
    async with (
        serving(tmp_path, server__origins="https://page.example") as server,
        httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web,
    ):
        leave = await web.options("/v1alpha/auth_tokens", headers=asked)
        answer = await web.get("/v1beta/models", headers={"origin": page})
    allowed = leave.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in WANTED.split(","))
    assert answer.headers["access-control-allow-origin"] == page
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"host": "evil.example:8482"}],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1beta/models"), ("POST", "/v1/auth_tokens")]
)
async def test_other_pages_and_other_names_are_refused(
    web: httpx2.AsyncClient, headers: dict[str, str], method: str, path: str
) -> None:
    answer = await web.request(method, path, headers=headers)
    assert answer.status_code == 403
    assert "server." in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    assert (await web.get("/readyz", headers=headers)).status_code == 200


async def test_a_token_is_made(web: httpx2.AsyncClient) -> None:
    for path in ("/v1alpha/auth_tokens", "/gw//v1beta/auth_tokens"):
        answer = await web.post(path, json={"uses": 3})
        assert answer.status_code == 200
        assert answer.json()["name"].startswith("auth_tokens/")
        assert answer.json()["uses"] == 3
    assert (await web.post("/v1/auth_tokens", content=b"")).status_code == 200


async def test_tokens_cannot_be_looked_at(web: httpx2.AsyncClient) -> None:
    for path in ("/v1alpha/auth_tokens", "/v1alpha/auth_tokens/abc"):
        answer = await web.get(path)
        assert (answer.status_code, answer.content) == (404, b"")


async def test_a_request_for_a_token_may_not_be_without_end(web: httpx2.AsyncClient) -> None:
    answer = await web.post("/v1/auth_tokens", content=b" " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 400
    assert "size" in answer.json()["error"]["message"]


async def test_a_token_makes_no_tokens(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, server__keys="secret") as server,
        httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web,
    ):
        made = (await web.post("/v1/auth_tokens", headers=KEY)).json()["name"]
        answer = await web.post("/v1/auth_tokens", headers={"authorization": f"Token {made}"})
        nobody = await web.post("/v1/auth_tokens")
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert nobody.status_code == 403


async def test_the_enterprise_path_has_models_too(web: httpx2.AsyncClient) -> None:
    listed = (await web.get("/v1beta1/publishers/google/models?pageSize=1")).json()
    assert listed["publisherModels"][0]["name"].startswith("publishers/google/models/gemini-")
    one = await web.get("/v1/projects/p/locations/l/publishers/google/models/gemini-3.8-live")
    assert one.json()["name"] == "publishers/google/models/gemini-3.8-live"


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/health", "/healthz", "/version"])
async def test_people_and_probes_get_an_answer(web: httpx2.AsyncClient, path: str) -> None:
    assert (await web.get(path)).status_code == 200


async def test_readiness_names_the_failing_part(server: Server, web: httpx2.AsyncClient) -> None:
    server.readiness.parts["profile other"] = Component(ComponentState.FAILED, "no weights")

    answer = await web.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["profile other"] == {"state": "failed", "note": "no weights"}
    assert (await web.get("/livez")).status_code == 200


async def test_a_part_that_is_replaced_still_converses(
    server: Server, web: httpx2.AsyncClient
) -> None:
    server.readiness.parts["voice"] = Component(ComponentState.DEGRADED, "espeak instead of hibari")

    assert (await web.get("/readyz")).status_code == 200


async def test_metrics_are_prometheus_text(web: httpx2.AsyncClient) -> None:
    answer = await web.get("/metrics")

    assert "version=" in answer.headers["content-type"]
    assert "vivavoce_sessions_active 0.0" in answer.text


async def test_metrics_are_not_given_to_a_foreign_host_name(web: httpx2.AsyncClient) -> None:
    answer = await web.get("/metrics", headers={"host": "rebound.example"})

    assert answer.status_code == 403
    assert "vivavoce_sessions_active" not in answer.text
