"""The one way in which commands open a terminal: texts are printed as they are.

Rich would take `[aec]` in a text for markup and drop it, and texts carry paths, commands and what
users and servers said. Tables and progress bars of these consoles leave brackets alone, too.
"""

from __future__ import annotations

from rich.console import Console


def open_console(to_stderr: bool = False, plain: bool = False, soft_wrap: bool = True) -> Console:
    """A console without markup, styled where there is a terminal and not `plain`.

    Lines stay whole, for the terminal to wrap, unless `soft_wrap` is `False`.
    """
    return Console(
        stderr=to_stderr,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=soft_wrap,
        color_system=None if plain else "auto",
    )
