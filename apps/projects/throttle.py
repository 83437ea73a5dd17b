"""Guessing passwords is slow: after a few failures one attempt at a time, then a pause that doubles.

Counted by user name and address, known or unknown alike, so that a stranger elsewhere cannot lock a user out.
The cache keeps the counts; while it is away each process keeps its own.
"""

import hashlib
import logging
import time

from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

FREE = 5  # failures without a pause
LONGEST_PAUSE = 8  # s
PATIENCE = 20  # s that an attempt waits for its turn
MEMORY = 900  # s that failures are remembered after the last one

_own = LocMemCache("throttle", {})


def _cached(method: str, *args, **kwargs):
    try:
        return getattr(cache, method)(*args, **kwargs)
    except RedisError as error:
        log.warning("Log-in counters: cache does not answer: %s", error)
        return getattr(_own, method)(*args, **kwargs)


def key_of(name: str, address: str) -> str:
    return "login." + hashlib.sha256(f"{name}\0{address}".encode()).hexdigest()[:32]


def wait_for_turn(key: str) -> bool:
    """Return when this attempt may be made; False when too many others wait for the same user."""
    failures = _cached("get", key, 0)
    if failures < FREE:
        return True
    pause = min(2 ** (failures - FREE), LONGEST_PAUSE)
    given_up = time.monotonic() + PATIENCE
    while not _cached("add", f"{key}.turn", 1, timeout=pause):
        if time.monotonic() > given_up:
            return False
        time.sleep(0.1)
    return True


def failed(key: str) -> int:
    """One failure more; returns how many."""
    _cached("add", key, 0, timeout=MEMORY)
    try:
        count = _cached("incr", key)
    except ValueError:  # it ended between the two
        count = 1
    _cached("touch", key, MEMORY)
    return count


def succeeded(key: str) -> None:
    _cached("delete", key)
