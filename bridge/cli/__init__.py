"""The `kombo-bridge` command: one short file a sub-command.

Exit codes: 0 done, 1 a finding or a failure (said in one line on stderr, no traceback), 2 wrong usage.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.commands import register
from bridge.errors import BridgeError, SettingsError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

ConfigPath = Annotated[Path, typer.Option("--config", help="The service's settings file.")]
DEFAULT_CONFIG = Path("config/bridge.yaml")


@app.callback()
def _among_others() -> None:
    pass  # an app without a callback drops the name of a sub-command that is its only one


def main() -> None:
    """Run the command line; an error of ours ends it in one line each and exit code 1."""
    register(sys.argv[1:])
    _agree_on_encoding()
    try:
        app()
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(1)
    except BridgeError as error:
        print(f"kombo-bridge: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _agree_on_encoding() -> None:
    """Escape on the way out what the terminal or pipe has no characters for; take nothing in that is no text."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        "".join(sys.argv[1:]).encode()
    except UnicodeEncodeError:
        print("kombo-bridge: an argument is no text in this system's encoding: write it in UTF-8", file=sys.stderr)
        sys.exit(2)
