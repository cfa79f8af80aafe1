"""REST beside Live: models, what is not offered, health, and the headers that browsers need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from serving import LIVE, serving
from vivavoce.edge.health import Part, PartState
from vivavoce.wiring import Server

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


async def test_one_model_by_its_name(web: httpx2.AsyncClient) -> None:
    assert (await web.get("/v1beta/models/any-name")).json()["name"] == "models/any-name"


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("POST", "/v1alpha/auth_tokens", 501, "UNIMPLEMENTED"),
        ("GET", "/v1alpha/auth_tokens", 404, "NOT_FOUND"),
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


async def test_browsers_may_ask_from_anywhere_by_default(web: httpx2.AsyncClient) -> None:
    wanted = "authorization,content-type,x-goog-api-key,x-goog-api-client,x-server-timeout"
    asked = {
        "origin": "https://page.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": wanted,
    }

    leave = await web.options("/v1alpha/auth_tokens", headers=asked)
    answer = await web.get("/v1beta/models", headers={"origin": "https://page.example"})

    allowed = leave.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in wanted.split(","))
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/health", "/healthz", "/version"])
async def test_people_and_probes_get_an_answer(web: httpx2.AsyncClient, path: str) -> None:
    assert (await web.get(path)).status_code == 200


async def test_readiness_names_the_failing_part(server: Server, web: httpx2.AsyncClient) -> None:
    server.readiness.parts["profile other"] = Part(PartState.FAILED, "no weights")

    answer = await web.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["profile other"] == {"state": "failed", "note": "no weights"}
    assert (await web.get("/livez")).status_code == 200


async def test_a_part_that_is_replaced_still_converses(
    server: Server, web: httpx2.AsyncClient
) -> None:
    server.readiness.parts["voice"] = Part(PartState.DEGRADED, "espeak instead of flite")

    assert (await web.get("/readyz")).status_code == 200


async def test_metrics_are_prometheus_text(web: httpx2.AsyncClient) -> None:
    answer = await web.get("/metrics")

    assert "version=" in answer.headers["content-type"]
    assert "vivavoce_sessions_active 0.0" in answer.text
