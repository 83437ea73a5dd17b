"""What a fake engine has: things on paper, in memory or in a file that several processes share."""

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.core.errors import DriverError


class Paper:
    """{kind: {id: thing}}, JSON values. Base of the fake drivers.

    `fail_next`: raised by the next verb that opens the paper with `_ensured`, once; for tests.
    """

    def __init__(self, kinds: tuple[str, ...], file: Path | None):
        self.fail_next: DriverError | None = None
        self._kinds = kinds
        self._lock = threading.RLock()
        self._file = file
        self._things: dict[str, dict[str, dict]] = {kind: {} for kind in kinds}

    @contextmanager
    def _ensured(self) -> Iterator[dict]:
        with self._opened() as things:
            if self.fail_next:
                failure, self.fail_next = self.fail_next, None
                raise failure
            yield things

    @contextmanager
    def _opened(self) -> Iterator[dict]:
        """The things, ours alone meanwhile; kept afterwards unless the body raised."""
        with self._lock:
            if self._file is None:
                yield self._things
                return
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self._file.read_text() if self._file.exists() else ""
                things = json.loads(before) if before else {kind: {} for kind in self._kinds}
                yield things
                after = json.dumps(things)
                if after != before:
                    draft = self._file.with_suffix(".draft")  # a kill in the middle leaves the file as it was
                    draft.write_text(after)
                    draft.replace(self._file)
