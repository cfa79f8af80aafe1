"""Every layer, by name."""

from __future__ import annotations

from fuzz.connection_layers import HTTP, WEBSOCKET
from fuzz.core_layers import CHECKPOINTS, CORE
from fuzz.document_layers import MCP, PAGES
from fuzz.layer import Layer
from fuzz.reader_layers import CONFIGURATION, SMALL_READERS
from fuzz.schema_layers import ARGUMENTS, SCHEMAS
from fuzz.wire_layers import DECODE, LOCKS, SETUP, TOKENS

LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        HTTP, WEBSOCKET, DECODE, SETUP, TOKENS, LOCKS, CORE, CHECKPOINTS, SCHEMAS, ARGUMENTS,
        CONFIGURATION, SMALL_READERS, MCP, PAGES,
    )
}  # fmt: skip
