"""How a file is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from soma_sdk.errors import FileProblem

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all, for its owner alone; on disk when this returns."""
    draft = file.with_name(f".{file.name}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise FileProblem(f"{file} cannot be written: {error}") from error
