"""Root command `vivavoce`: import the module of a subcommand on its first use."""

from __future__ import annotations

import importlib
import inspect
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vivavoce import __version__
from vivavoce.errors import VivavoceError

COMMANDS = {
    "serve": "vivavoce.cli.serve:serve",
    "talk": "vivavoce.cli.talk:talk",
    "say": "vivavoce.cli.talk:say",
    "demo": "vivavoce.cli.demo:demo",
    "env": "vivavoce.cli.environment:env",
    "run": "vivavoce.cli.run:run",
    "pull": "vivavoce.cli.pull:pull",
    "index": "vivavoce.cli.index:index",
    "keys": "vivavoce.cli.keys:app",
    "token": "vivavoce.cli.keys:token",
    "voices": "vivavoce.cli.engines:voices",
    "engines": "vivavoce.cli.engines:engines",
    "bench": "vivavoce.cli.bench:bench",
    "doctor": "vivavoce.cli.doctor:doctor",
    "eval": "vivavoce.cli.eval:evaluate",
}
"""The function or group of each command, in the order of the help."""

PASSES_OPTIONS_ON = {"run": {"ignore_unknown_options": True, "allow_interspersed_args": False}}


def flowing_text(docstring: str) -> str:
    """Join the lines of each paragraph, for the terminal to wrap."""
    return "\n\n".join(" ".join(part.split()) for part in docstring.split("\n\n"))


class LazyGroup(TyperGroup):
    """A group that imports commands on first use, and reports their errors."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; print an error that a user can meet, and exit with its status."""
        try:
            return super().invoke(ctx)
        except VivavoceError as error:
            from vivavoce.cli.errors import describe_error, print_error

            failure = describe_error(error)
            print_error(failure)
            raise typer.Exit(failure.status) from None

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            found = getattr(importlib.import_module(module), name)
            if not isinstance(found, typer.Typer):
                single = typer.Typer(add_completion=False)
                options = PASSES_OPTIONS_ON.get(cmd_name)
                help_text = flowing_text(inspect.getdoc(found) or "")
                single.command(cmd_name, context_settings=options, help=help_text)(found)
                found = single
            command = typer.main.get_command(found)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return self.commands.get(cmd_name)


app = typer.Typer(name="vivavoce", cls=LazyGroup, no_args_is_help=True, add_completion=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vivavoce {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """A self-hosted server for real-time voice conversation that speaks the Gemini Live API."""
