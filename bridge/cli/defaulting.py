"""A group of commands one of which is meant where none is named: `launches`, and `launches misses`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

DEFAULT = "show"
"""The name under which the command is registered, hidden."""


class Defaulting(TyperGroup):
    """Whatever is neither a command's name nor a question for help is the default command's.

    Contexts and formatters are click's, of which typer has a copy of its own that it does not show.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first in ctx.help_option_names:
            args = args[:1]
        elif first not in self.commands:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A name that is never to be typed does not stand in what is said of usage."""
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == DEFAULT else name, command, rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The default command's own help, under the group's name, and then the other commands."""
        own = self.commands[DEFAULT]
        with own.make_context(ctx.info_name, [], parent=ctx.parent, resilient_parsing=True) as context:
            own.format_help(context, formatter)
        self.format_commands(ctx, formatter)
