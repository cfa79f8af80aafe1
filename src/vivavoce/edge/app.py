"""The application behind the port: the Live endpoint for WebSockets, REST for the rest."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vivavoce.edge import rest
from vivavoce.edge.auth import Keys, presented
from vivavoce.edge.live import LiveEndpoint
from vivavoce.edge.models import get_model, list_models, served_names
from vivavoce.edge.rest import Failure
from vivavoce.edge.socket import Receive, Scope, Send
from vivavoce.errors import ClientFault
from vivavoce.protocol.close import POLICY
from vivavoce.protocol.paths import collapse, live_path

ALLOWED_HEADERS = (
    "authorization",
    "content-type",
    "x-goog-api-key",
    "x-goog-api-client",
    "x-goog-user-project",
    "x-goog-request-params",
    "x-server-timeout",
)

Endpoint = Callable[[Request], Awaitable[Response]]


class App:
    """The ASGI application. WebSockets go straight to their endpoint, past every middleware."""

    def __init__(
        self,
        live: LiveEndpoint,
        keys: Keys,
        models: Sequence[str],
        routes: Sequence[BaseRoute] = (),
        origins: Sequence[str] = ("*",),
    ) -> None:
        self._live = live
        self._keys = keys
        self._models = served_names(models)
        self._any_model = "*" in models
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["*"],
            allow_headers=list(ALLOWED_HEADERS),
            expose_headers=["content-type"],
        )
        self._http = Starlette(
            routes=[*routes, *self._routes()],
            middleware=[cors],
            exception_handlers={Exception: _broken, HTTPException: _refused},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            # `//v1beta/models` comes from base URLs that end in a slash.
            await self._http({**scope, "path": collapse(scope["path"])}, receive, send)

    def _routes(self) -> list[BaseRoute]:
        # A base URL may have a path of its own, which then stands before every route.
        return [
            *_anywhere("{version}/models", self._guarded(self._list)),
            *_anywhere("{version}/models/{name}", self._guarded(self._get)),
            *_anywhere("{version}/auth_tokens", self._guarded(_no_tokens), "POST"),
            Route("/{path:path}", _nothing, methods=METHODS),
        ]

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        return answer(
            list_models(self._models, query.get("pageSize", ""), query.get("pageToken", ""))
        )

    async def _get(self, request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params["version"]
        return answer(get_model(self._models, name, version, any_name=self._any_model))

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, for callers with a key of ours."""

        async def guarded(request: Request) -> Response:
            if not VERSION.fullmatch(request.path_params["version"]):
                return await _nothing(request)
            credential = presented(request.url.query.encode(), request.headers)
            try:
                self._keys.check(credential)
            except ClientFault as fault:
                unknown = fault.code == POLICY
                return answer(rest.no_credential() if unknown else rest.bad_key())
            return await endpoint(request)

        return guarded


VERSION = re.compile(r"v[0-9]+[a-z0-9]*")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def answer(result: dict[str, Any] | Failure) -> Response:
    """A JSON response, with the content type on which both SDKs depend."""
    failed = isinstance(result, Failure)
    body = result.body if isinstance(result, Failure) else result
    status = result.http_status if isinstance(result, Failure) else 200
    headers = {"cache-control": "no-store"} if failed else None
    return Response(orjson.dumps(body), status, headers, media_type=rest.CONTENT_TYPE)


def _anywhere(path: str, endpoint: Endpoint, method: str = "GET") -> list[Route]:
    return [
        Route(f"/{path}", endpoint, methods=[method]),
        Route(f"/{{prefix:path}}/{path}", endpoint, methods=[method]),
    ]


async def _no_tokens(request: Request) -> Response:
    return answer(rest.not_offered("Creating ephemeral tokens"))


async def _nothing(request: Request) -> Response:
    path = request.url.path
    if live_path(path) is not None:
        response = answer(rest.upgrade_required())
        response.headers["upgrade"] = "websocket"
        return response
    return answer(rest.unknown_path(path))


async def _refused(request: Request, error: Exception) -> Response:
    return await _nothing(request)


async def _broken(request: Request, error: Exception) -> Response:
    return answer(rest.internal())
