"""The root of the command line."""

from __future__ import annotations

import typer

app = typer.Typer(name="vivavoce", no_args_is_help=True)
