"""Every field of the newest Python SDK has its place in the table of what is served."""

from __future__ import annotations

import pytest

from protocol.sdk_fields import COLUMNS, documented, python_types, table, unplaced

pytest.importorskip("google.genai")


def test_the_document_has_every_field_of_the_sdk_in_its_column() -> None:
    """On a failure: `python tests/protocol/sdk_fields.py` prints the table as it is."""
    assert documented() == table(python_types())


def test_every_option_of_a_connection_is_known() -> None:
    assert unplaced(python_types()) == set()


def test_the_walk_tells_the_columns_apart() -> None:
    rows = table(python_types())
    assert {column for row in rows.values() for column in row.values()} == set(COLUMNS)
    assert rows["GenerationConfig"]["temperature"] == "served"
    assert rows["GenerationConfig"]["translationConfig"] == "refused"
    assert rows["Tool"]["googleMaps"] == "logged"
    assert rows["FunctionCall"]["partialArgs"] == "logged"
    assert {"FunctionDeclaration", "Schema", "Blob", "FunctionResponsePart"} <= rows.keys()


def test_a_new_field_is_found() -> None:
    types = {name: dict(fields) for name, fields in python_types().items()}
    types["SpeechConfig"]["whisper"] = ()
    assert table(types)["SpeechConfig"]["whisper"] == "logged"
    assert table(types) != documented()
