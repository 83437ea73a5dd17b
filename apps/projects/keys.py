"""The Fernet keys that tokens are sealed with: numbered files, the highest is the newest and seals; all others only open."""

import contextlib
import itertools
import os
import threading
import time
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings

from cloudpanel import config

GRACE = 48 * 3600  # s that an expired token may still be looked at with allow_expired

_lock = threading.Lock()
_loaded: tuple[tuple, MultiFernet] | None = None


def fernet() -> MultiFernet:
    """The keys as they are on disk now, the first one made when there is none."""
    global _loaded
    directory = settings.FERNET_DIR
    try:
        version = (directory, directory.stat().st_mtime_ns)
    except FileNotFoundError:
        version = None
    loaded = _loaded
    if loaded is not None and loaded[0] == version:
        return loaded[1]
    with _lock:
        if not _files(directory):
            _make(directory, 1)
        version = (directory, directory.stat().st_mtime_ns)
        keys = MultiFernet([Fernet(path.read_bytes()) for path in _files(directory)])
        _loaded = (version, keys)
        return keys


def rotate() -> Path:
    """New tokens are sealed with a new key. Keys that no living token needs are removed; returns the new one's file."""
    directory = settings.FERNET_DIR
    newest = _files(directory)[0] if _files(directory) else None
    made = _make(directory, int(newest.name) + 1 if newest else 1)
    # A key sealed its last token when its successor was made.
    needed_since = time.time() - config.TOKEN_HOURS * 3600 - GRACE
    files = _files(directory)
    for successor, path in itertools.pairwise(files):
        if successor.stat().st_mtime < needed_since:
            path.unlink(missing_ok=True)
    return made


def _files(directory: Path) -> list[Path]:
    """Newest first."""
    if not directory.is_dir():
        return []
    numbered = [path for path in directory.iterdir() if path.name.isdigit()]
    return sorted(numbered, key=lambda path: int(path.name), reverse=True)


def _make(directory: Path, number: int) -> Path:
    """The key `number` exists; of several processes that make it at once, one wins and all use its key."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / str(number)
    draft = directory / f".{number}.{os.getpid()}.{threading.get_ident()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path
