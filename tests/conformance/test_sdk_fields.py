"""Every field of the newest JavaScript SDK has its place in the table of what is served."""

from __future__ import annotations

from conformance.samples import node, node_packages
from protocol.sdk_fields import documented, javascript_types, table, unplaced


def test_the_document_has_every_field_of_the_javascript_sdk() -> None:
    """It may have fewer than the Python SDK, whose table it is."""
    node()
    declarations = node_packages() / "@google" / "genai" / "dist" / "genai.d.ts"
    types = javascript_types(declarations.read_text())
    known = documented()
    assert unplaced(types) == set()
    rows = table(types)
    assert len(rows) > 30
    for name, row in rows.items():
        assert row.items() <= known[name].items(), name
