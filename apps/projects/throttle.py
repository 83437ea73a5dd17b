"""Guessing passwords is slow: after a few failures there is one attempt in a pause, and the pause doubles.

Counted by user name and address, known or unknown alike, so that a stranger elsewhere cannot lock a user out.
Nobody waits here: a web process has few threads. An attempt before its time is refused without looking at the
password. The cache keeps the counts; while it is away each process keeps its own.
"""

import hashlib
import logging
import math
import time

from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

from apps.core.errors import Unauthorized

log = logging.getLogger(__name__)

FREE = 5  # failures without a pause
LONGEST_PAUSE = 30  # s
MEMORY = 900  # s that failures are remembered after the last one

_own = LocMemCache("throttle", {})


class TooSoon(Unauthorized):
    """`data["retry_after"]`: in how many seconds there may be an attempt."""

    status = 429
    kind = "overLimit"


def _cached(method: str, *args, **kwargs):
    try:
        return getattr(cache, method)(*args, **kwargs)
    except RedisError as error:
        log.warning("Log-in counters: cache does not answer: %s", error)
        return getattr(_own, method)(*args, **kwargs)


def key_of(name: str, address: str) -> str:
    return "login." + hashlib.sha256(f"{name}\0{address}".encode()).hexdigest()[:32]


def take_turn(key: str) -> None:
    """Return when this attempt may be made now; TooSoon otherwise."""
    failures = _cached("get", key, 0)
    if failures < FREE:
        return
    now = time.time()
    pause = min(2 ** (failures - FREE), LONGEST_PAUSE)
    if _cached("add", f"{key}.turn", now + pause, timeout=pause):
        return
    wait = max(1, math.ceil(_cached("get", f"{key}.turn", now) - now))
    raise TooSoon(
        f"Too many failed attempts for this user from this address; try again in {wait} s.",
        data={"retry_after": wait},
    )


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
    _cached("delete_many", [key, f"{key}.turn"])
