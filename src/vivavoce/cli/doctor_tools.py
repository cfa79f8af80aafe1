"""Trying each tool that the server is set up to run: does it work here, and how fast?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import perf_counter
from typing import Any

from vivavoce.cli.errors import CliError, ErrorCode, describe_error
from vivavoce.cli.examination import Finding, Severity, Trial, error_finding, ok_finding
from vivavoce.config import Config, EngineChoice
from vivavoce.engines.ports import Sandbox, SearchEngine, SearchQuery
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import ConfigError, ToolError, VivavoceError
from vivavoce.tools.mcp.settings import McpServerSpec, read_settings
from vivavoce.tools.url_context import create_tool as create_web

TRIAL_TIMEOUT_S = 30.0
QUERY = "vivavoce"
SUM, TOTAL = "print(6 * 7)", "42"

INDEX = "Searching has nothing to search: no documents are indexed."


async def examine_tools(config: Config) -> AsyncGenerator[Finding | Trial, None]:
    """One finding a tool of `[tools]` that is turned on, each after its trial."""
    table, builder = config.tools, EngineBuilder(config.weights)
    if table.search:
        yield Trial("search")
        found = await _try_tool("search", lambda: _try_search(builder, table.search))
        implicit = "search" not in table.model_fields_set
        if implicit and found.code is ErrorCode.ENGINE_MISSING:  # it is on by default
            failure = CliError(
                ErrorCode.ENGINE_MISSING, INDEX, "Run `vivavoce index DIR` if it is to."
            )
            found = error_finding("tools", failure, Severity.NOTE)
        yield found
    if table.code:
        yield Trial("code execution")
        yield await _try_tool("code", lambda: _try_code(builder, table.code))
    if table.url is not False:
        options = table.url if isinstance(table.url, dict) else {}
        yield await _try_tool("url", lambda: _try_url_context(options))
    try:
        servers = read_settings(table.mcp, table.mcp_clients).servers
    except ConfigError as error:
        yield error_finding(
            "tools", CliError(ErrorCode.CONFIG, f"tools.mcp: {error.problem}", error.fix)
        )
        return
    for spec in servers:
        yield Trial(f"MCP server {spec.name}")
        yield await _try_tool(f"MCP server {spec.name}", lambda spec=spec: _try_mcp_server(spec))  # type: ignore[misc]


async def _try_tool(name: str, work: Callable[[], Awaitable[str]]) -> Finding:
    began = perf_counter()
    try:
        async with asyncio.timeout(TRIAL_TIMEOUT_S):
            what = await work()
    except ToolError as error:
        failure = CliError(
            ErrorCode.TOOL_FAILED, f"{name}: {error.problem}", "Check its table in [tools]."
        )
        return error_finding("tools", failure, Severity.WARNING)
    except TimeoutError:
        cause = f"{name}: nothing came within {TRIAL_TIMEOUT_S:.0f} s."
        failure = CliError(ErrorCode.TOOL_FAILED, cause, "Check its table in [tools].")
        return error_finding("tools", failure, Severity.WARNING)
    except ConfigError as error:
        return error_finding(
            "tools", CliError(ErrorCode.CONFIG, f"tools.{name}: {error.problem}", error.fix)
        )
    except VivavoceError as error:
        return error_finding("tools", describe_error(error))
    return ok_finding("tools", f"{name}: {what} within {(perf_counter() - began) * 1000:.0f} ms")


async def _try_search(builder: EngineBuilder, choice: EngineChoice) -> str:
    engine: SearchEngine = await builder.build("search", choice)
    try:
        await engine.search(SearchQuery(QUERY))
    finally:
        await engine.aclose()
    return f"{engine.name} answers a query"


async def _try_code(builder: EngineBuilder, choice: EngineChoice) -> str:
    sandbox: Sandbox = await builder.build("sandbox", choice)
    try:
        result = await sandbox.run(SUM)
    finally:
        await sandbox.aclose()
    if result.output.strip() != TOTAL:
        raise ToolError("sandbox", f"{SUM} gave {result.outcome}: {result.output[:200]!r}.")
    return f"{sandbox.name} starts and runs a line"


async def _try_url_context(table: dict[str, Any]) -> str:
    await create_web(table).aclose()
    return "addresses are read"


async def _try_mcp_server(spec: McpServerSpec) -> str:
    from vivavoce.tools.mcp.connection import McpConnection

    workers = WorkerPool("mcp")
    connection = McpConnection(spec, workers)
    try:
        await connection.open()
        return f"{len(connection.tools)} tools"
    finally:
        await connection.aclose()
        workers.close()
