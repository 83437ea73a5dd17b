"""Log files of the supervised processes."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEPT = 3  # older files beside the current one


class Log:
    """Appends to `path`, a time before each line; a full file becomes .1, that one .2 and so on."""

    def __init__(self, path: Path):
        self.path = path
        self._open()

    def _open(self) -> None:
        self._file = open(self.path, "a", buffering=1, errors="replace")  # noqa: SIM115 - kept open
        self._size = self._file.tell()

    def write(self, line: str) -> None:
        if self._size > MAX_BYTES:
            self._turn()
        text = f"{datetime.now():%Y-%m-%d %H:%M:%S.%f} {line}\n"
        self._file.write(text)
        self._size += len(text)

    def _turn(self) -> None:
        self.close()
        names = [self.path, *(self.path.with_suffix(f".log.{n}") for n in range(1, KEPT + 1))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self._open()

    def close(self) -> None:
        self._file.close()
