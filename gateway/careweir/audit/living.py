"""Which writers live: each holds a lock on a file that the kernel lets go of when it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def show_life(directory: Path, writer: str) -> tuple[Path, int]:
    """Hold a lock for as long as this process lives: the kernel lets go of it when it dies."""
    path = directory / f"{writer}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path, descriptor


def is_alive(directory: Path, writer: str) -> bool:
    """Does a running process hold this writer's lock? Reads only."""
    try:
        descriptor = os.open(directory / f"{writer}.lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_any_alive(directory: Path, *, but: tuple[Path, int] | None = None) -> bool:
    """Does any writer run, ``but`` this one?"""
    own = but[0].stem if but else None
    writers = {path.stem for path in directory.glob("*.lock")} - {own}
    return any(is_alive(directory, writer) for writer in writers)
