"""The root of the command line."""

from __future__ import annotations

from typer.testing import CliRunner

from vivavoce.cli.main import app, flowing_text


def test_paragraphs_of_help_are_broken_by_the_terminal_and_not_where_the_source_is() -> None:
    assert flowing_text("One\ntwo.\n\nThree\nfour.") == "One two.\n\nThree four."
    wide = CliRunner().invoke(app, ["say", "--help"], env={"COLUMNS": "240"}).output
    assert "5 no answer in time, 6 a turn that the server could not answer." in wide
