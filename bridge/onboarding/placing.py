"""Putting a new file where there is none: whole or not at all, and never in another's place."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from bridge.errors import BridgeError
from bridge.settings.files import shown


def place(path: Path, data: bytes) -> None:
    """Raises `BridgeError` where something of that name exists, a dangling link included, or nothing can be written.

    A running service watches the folder, so the file gets its name only when it is complete. The name under which it
    is written begins with a dot, which the service takes for an editor's.
    """
    draft = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path, follow_symlinks=False)  # unlike a rename it fails where the name is taken
    except FileExistsError:
        raise BridgeError(f"{shown(path)} is there already, and stays as it is: remove it, or name another") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not usable"
        raise BridgeError(f"{shown(path)} cannot be written ({reason})") from None
    finally:
        with contextlib.suppress(OSError, ValueError):
            draft.unlink(missing_ok=True)
