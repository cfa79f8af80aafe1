"""Fetch one web page from a checked address, within limits of redirects, size and time.

The HTTP client is given a checked address in place of the name, so that it resolves nothing; the
name travels in the `Host` header and in the TLS handshake, whose certificate must be the name's. A
client lives for one request: were connections kept, two names at one address would share what one
of them proved.

Each redirect is followed here, as a new address to check. None may lead from https back to http.
Proxies of the environment are not used: the proxy would resolve the name, and no check would hold.
Only GET is sent, without cookies, credentials and referrers.

Bytes are counted after decompression, piece by piece. Only one layer of gzip is accepted: layers
can be nested so that the inner ones unpack to uncounted gigabytes which the outer ones swallow. A
page that is too large is not read at all, as nothing says that what was cut off did not matter.
The time limit covers names, connections, redirects, and servers that send a byte a second.

All of it happens in threads, each with an event loop of its own. A server can send its bytes in
such crumbs (chunks of one byte, hundreds of interim responses) that parsing what one read brought
blocked a loop for 0.6 s, and the loop of conversations has sound to deliver every 20 ms.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

import httpx2

from vivavoce import __version__
from vivavoce.domain.content import RetrievalStatus
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineBusy
from vivavoce.tools.ssrf import (
    TOOL,
    Address,
    PageError,
    PagePaywalled,
    PageRefused,
    SsrfGuard,
    Target,
    UrlContextSettings,
)

MAX_REDIRECTS = 5
MAX_CONCURRENT_FETCHES = 8
MAX_WAITING_FETCHES = 64
CONNECT_TIMEOUT_S = 3.0
CANCEL_POLL_S = 0.1

_TYPES = ("text/", "application/xhtml+xml", "application/pdf", "application/json")
_HEADERS = {
    "User-Agent": f"vivavoce/{__version__} (+url context)",
    "Accept": "text/html, application/xhtml+xml, text/*;q=0.8, application/pdf;q=0.8,"
    " application/json;q=0.8",
    "Accept-Encoding": "gzip",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of fetching a page. `content_type` may carry a charset; `url` is the last of the
    redirects. `problem` says in a sentence why there is no `data`."""

    status: RetrievalStatus
    url: str
    content_type: str = ""
    data: bytes = b""
    problem: str = ""


class Fetcher:
    """Fetcher of pages, `MAX_CONCURRENT_FETCHES` at a time.

    `MAX_WAITING_FETCHES` more wait, within their time limit; those beyond fail at once.

    `tls` replaces the system's certificates, which `SSL_CERT_FILE` names elsewhere. The resolver
    of `guard` is called on loops that end with the page.
    """

    def __init__(
        self, settings: UrlContextSettings, guard: SsrfGuard, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._tls = tls or httpx2.create_ssl_context()
        self._workers = WorkerPool(
            f"tools.{TOOL}.fetch", MAX_CONCURRENT_FETCHES, MAX_WAITING_FETCHES
        )

    async def fetch(self, url: str) -> Fetched:
        """Fetch `url`. Failures are returned; only cancellation is raised."""
        try:
            async with asyncio.timeout(self._settings.time_s):
                return await self._workers.run(
                    lambda token: asyncio.run(self._fetch_cancellable(url, token))
                )
        except PageError as fault:
            return Fetched(fault.status, url, problem=fault.problem)
        except TimeoutError:
            problem = f"The page did not come within {self._settings.time_s:g} seconds."
        except EngineBusy:
            problem = "Too many pages are being read at the moment."
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
            problem = "The connection failed."
        return Fetched(RetrievalStatus.ERROR, url, problem=problem)

    def close(self) -> None:
        """Stop fetching pages."""
        self._workers.close()

    async def _fetch_cancellable(self, url: str, token: CancelToken) -> Fetched:
        """Return the page, unless time is up or `token` is cancelled."""
        async with asyncio.timeout(self._settings.time_s):
            # The loop ends with this coroutine and cancels the task.
            page = asyncio.get_running_loop().create_task(self._follow_redirects(url))
            page.add_done_callback(lambda left: left.cancelled() or left.exception())
            while not page.done() and not token.cancelled:
                await asyncio.wait([page], timeout=CANCEL_POLL_S)
            if token.cancelled:
                raise asyncio.CancelledError
            return page.result()

    async def _follow_redirects(self, url: str) -> Fetched:
        target = await self._guard.check_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(target)
            if isinstance(answer, Fetched):
                return answer
            following = await self._guard.check_url(answer)
            if target.url.scheme == "https" and following.url.scheme == "http":
                raise PageRefused("The page leads from an encrypted address to an open one.")
            target = following
        raise PageError("There are too many redirects.")

    async def _get(self, target: Target) -> Fetched | str:
        """Return the page, or the address that it redirects to."""
        for address in target.addresses:
            try:
                return await self._get_from(target, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        raise PageError("The host can't be reached.")

    async def _get_from(self, target: Target, address: Address) -> Fetched | str:
        transport = httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        timeout = httpx2.Timeout(self._settings.time_s, connect=CONNECT_TIMEOUT_S)
        request = httpx2.Request(
            "GET",
            target.url.copy_with(host=str(address)),
            headers={"Host": target.url.netloc.decode("ascii"), **_HEADERS},
            extensions={"sni_hostname": target.host, "timeout": timeout.as_dict()},
        )
        async with transport:
            response = await transport.handle_async_request(request)
            response.request = request
            try:
                if response.has_redirect_location:
                    return _joined(target.url, response.headers["Location"])
                _check_status(response.status_code)
                content_type = _check_headers(response.headers, self._settings.max_bytes)
                data = await self._read(response)
            finally:
                await response.aclose()
        return Fetched(RetrievalStatus.SUCCESS, str(target.url), content_type, data)

    async def _read(self, response: httpx2.Response) -> bytes:
        data = bytearray()
        async with aclosing(response.aiter_bytes()) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > self._settings.max_bytes:
                    raise _too_large(self._settings.max_bytes)
        return bytes(data)


def _joined(url: httpx2.URL, location: str) -> str:
    try:
        return str(url.join(location.strip()))
    except (httpx2.InvalidURL, ValueError):
        raise PageError("The page is a redirect that leads nowhere.") from None


def _check_status(code: int) -> None:
    if code in (401, 402):
        raise PagePaywalled("The page is only for those who log in or pay.")
    if not 200 <= code < 300:
        raise PageError(f"The server answered with the status {code}.")


def _check_headers(headers: Mapping[str, str], max_bytes: int) -> str:
    """Return the content type. Raises `PageError` for a kind or size that is not read."""
    content_type = headers.get("Content-Type", "").strip().lower()
    if not content_type.startswith(_TYPES):
        raise PageError("What is there is neither a page nor text nor a PDF.")
    if headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", "gzip"):
        raise PageError("The page is packed in a way that was not asked for.")
    length = headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    return content_type


def _too_large(max_bytes: int) -> PageError:
    return PageError(f"The page is larger than {max_bytes:,} bytes.")
