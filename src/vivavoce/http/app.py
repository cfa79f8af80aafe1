"""Route requests: WebSockets to the Live endpoint, everything else to REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vivavoce.domain.accounts import Principal
from vivavoce.domain.accounts import Scope as Opens
from vivavoce.http import errors
from vivavoce.http.auth import Authenticator, ClientRequest
from vivavoce.http.errors import ErrorResponse
from vivavoce.http.keys import AuthError
from vivavoce.http.live import LiveEndpoint
from vivavoce.http.models import ModelList, enterprise_model, enterprise_page
from vivavoce.http.origin_policy import LOOPBACK_ORIGIN
from vivavoce.http.tokens import TokenService
from vivavoce.http.websocket import Receive, Scope, Send
from vivavoce.protocol.paths import MAX_PATH, collapse_slashes, is_version, parse_live_path

ALLOWED_HEADERS = (
    "authorization",
    "content-type",
    "x-goog-api-key",
    "x-goog-api-client",
    "x-goog-user-project",
    "x-goog-request-params",
    "x-server-timeout",
)

PROBES = frozenset(("/livez", "/readyz", "/health", "/healthz", "/version"))
"""Paths that are served without a check of host name, origin and encryption."""

Endpoint = Callable[[Request], Awaitable[Response]]
Guarded = Callable[[Request, Principal], Awaitable[Response]]

MAX_BODY_BYTES = 1024 * 1024
"""Size of a token request, whose setup may hold a long instruction."""


class App:
    """ASGI application of the server. WebSockets bypass all middleware."""

    def __init__(
        self,
        live: LiveEndpoint,
        authenticator: Authenticator,
        tokens: TokenService,
        models: ModelList,
        routes: Sequence[BaseRoute] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self._live = live
        self._authenticator = authenticator
        self._tokens = tokens
        self._models = models
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_origin_regex=LOOPBACK_ORIGIN,
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
            if len(scope["path"]) > MAX_PATH:
                await json_response(errors.unknown_path(scope["path"]))(scope, receive, send)
                return
            # `//v1beta/models` comes from base URLs that end in a slash.
            scope = {**scope, "path": collapse_slashes(scope["path"])}
            try:
                if scope["path"] not in PROBES:
                    self._authenticator.check_origin(ClientRequest(scope))
            except AuthError as denied:
                await json_response(denied.answer)(scope, receive, send)
            else:
                with suppress(ClientDisconnect):  # before its request was complete
                    await self._http(scope, receive, send)

    def _routes(self) -> list[BaseRoute]:
        # A base URL may have a path of its own, which is then a prefix of every route.
        listing = self._guarded(self._list, Opens.MODELS)
        getting = self._guarded(self._get, Opens.MODELS)
        publishers = "{version}/publishers/google/models"
        return [
            *_anywhere("{version}/interactions", _nothing, *METHODS),
            *_anywhere("{version}/interactions/{rest:path}", _nothing, *METHODS),
            *_anywhere(
                "{version}/projects/{project}/locations/{location}/publishers/google/models/{name}",
                self._guarded(self._get_enterprise, Opens.MODELS),
            ),
            *_anywhere(publishers, self._guarded(self._list_enterprise, Opens.MODELS)),
            *_anywhere(publishers + "/{name}", self._guarded(self._get_enterprise, Opens.MODELS)),
            *_anywhere("{version}/models", listing),
            *_anywhere("{version}/models/{name}", getting),
            *_anywhere("{version}/auth_tokens", self._guarded(self._create, Opens.TOKENS), "POST"),
            *_anywhere("{version}/auth_tokens", _no_list),
            *_anywhere("{version}/auth_tokens/{name}", _no_list),
            Route("/{path:path}", _nothing, methods=METHODS),
        ]

    async def _list(self, request: Request, _: Principal) -> Response:
        query = request.query_params
        return json_response(
            self._models.list_page(query.get("pageSize", ""), query.get("pageToken", ""))
        )

    async def _get(self, request: Request, _: Principal) -> Response:
        name, version = request.path_params["name"], request.path_params["version"]
        return json_response(self._models.get_model(name, version))

    async def _list_enterprise(self, request: Request, _: Principal) -> Response:
        query = request.query_params
        page = self._models.list_page(query.get("pageSize", ""), query.get("pageToken", ""))
        return json_response(page if isinstance(page, ErrorResponse) else enterprise_page(page))

    async def _get_enterprise(self, request: Request, _: Principal) -> Response:
        model = self._models.get_model(request.path_params["name"], request.path_params["version"])
        return json_response(model if isinstance(model, ErrorResponse) else enterprise_model(model))

    async def _create(self, request: Request, owner: Principal) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                return json_response(
                    errors.invalid_argument("Request payload size exceeds the limit.")
                )
        return json_response(await self._tokens.create_token(body, owner))

    def _guarded(self, endpoint: Guarded, scope: Opens) -> Endpoint:
        """Wrap an endpoint: check origin and credential, with a scope of API keys."""

        async def guarded(request: Request) -> Response:
            if not is_version(request.path_params["version"]):
                return await _nothing(request)
            try:
                principal = await self._authenticator.authenticate_request(
                    ClientRequest(request.scope), scope
                )
            except AuthError as denied:
                return json_response(denied.answer)
            return await endpoint(request, principal)

        return guarded


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def json_response(result: dict[str, Any] | ErrorResponse) -> Response:
    """Build a JSON response, with the content type on which both SDKs depend."""
    failed = isinstance(result, ErrorResponse)
    body = result.body if isinstance(result, ErrorResponse) else result
    status = result.http_status if isinstance(result, ErrorResponse) else 200
    headers = {"cache-control": "no-store"} if failed else None
    return Response(orjson.dumps(body), status, headers, media_type=errors.CONTENT_TYPE)


def _anywhere(path: str, endpoint: Endpoint, *methods: str) -> list[Route]:
    methods = methods or ("GET",)
    return [
        Route(f"/{path}", endpoint, methods=methods),
        Route(f"/{{prefix:path}}/{path}", endpoint, methods=methods),
    ]


async def _no_list(request: Request) -> Response:
    """Answer a request to list tokens as the real service does: 404 without a body."""
    return Response(b"", 404)


async def _nothing(request: Request) -> Response:
    path = request.url.path
    if parse_live_path(path) is not None:
        response = json_response(errors.UPGRADE_REQUIRED)
        response.headers["upgrade"] = "websocket"
        return response
    return json_response(errors.unknown_path(path))


async def _refused(request: Request, error: Exception) -> Response:
    return await _nothing(request)


async def _broken(request: Request, error: Exception) -> Response:
    return json_response(errors.INTERNAL_ERROR)
