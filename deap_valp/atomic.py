"""Writing a file atomically: a reader sees its old content or all of the new one."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Make ``data`` the content of a file, all of it or, where that fails, none.

    The bytes are written to a new file in the same folder, which is then renamed to ``path``. A
    failure removes the new file and leaves the old one as it was.

    Raises:
        OSError: The file cannot be written.
    """
    # The name comes from uuid since drawing from ``random`` would change the run that is saved.
    partial = Path(path).with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with open(partial, "xb") as stream:
            stream.write(data)
            stream.flush()
            # Without fsync a power cut after the renaming could leave an empty file.
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
