"""Guessing is slow, for the guesser alone; also without Redis."""

import time

import pytest
from django.core.cache import cache
from redis.exceptions import ConnectionError as RedisIsDown

from apps.core.errors import Unauthorized
from apps.projects import operations, throttle
from apps.projects.operations import authenticate
from tests.conftest import PASSWORD

HERE = "192.0.2.1"


@pytest.fixture
def clock(monkeypatch):
    """`clock(s)` lets so many seconds pass."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def guess(times: int, name: str = "alice") -> list[int]:
    """The statuses of so many wrong attempts."""
    statuses = []
    for _ in range(times):
        with pytest.raises(Unauthorized) as refusal:
            authenticate(name, "wrong", address=HERE)
        statuses.append(refusal.value.status)
    return statuses


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_after_five_failures_there_is_one_attempt_in_a_pause_that_doubles(alice, clock, name):
    assert guess(8, name) == [401] * 6 + [429] * 2
    clock(1.5)
    assert guess(2, name) == [401, 429]
    clock(1.5)
    assert guess(1, name) == [429]
    clock(1)
    assert guess(2, name) == [401, 429]
    clock(throttle.MEMORY + 1)
    assert guess(2, name) == [401, 401]


def test_an_attempt_too_soon_costs_no_hash_and_says_how_long(alice, clock, monkeypatch):
    guess(6)
    monkeypatch.setattr(operations, "check_password", None)
    with pytest.raises(throttle.TooSoon, match="try again in 1 s"):
        authenticate("alice", PASSWORD, address=HERE)


def test_the_right_password_in_time_ends_the_counting(alice, clock):
    guess(7)
    clock(2)
    assert authenticate("alice", PASSWORD, address=HERE).name == "alice"
    assert guess(6) == [401] * 6


def test_others_and_other_addresses_are_not_slowed(alice, bob):
    guess(8)
    authenticate("alice", PASSWORD, address="192.0.2.2")
    authenticate("bob", PASSWORD, address=HERE)


def test_the_api_says_when_to_come_back(alice, ask):
    statuses = [ask(name="alice", password="wrong").status_code for _ in range(7)]
    assert statuses == [401] * 6 + [429]
    answer = ask(name="alice")
    assert answer.status_code == 429
    assert answer["Retry-After"] == "1"
    assert answer.json()["error"]["title"] == "Too Many Requests"


class Broken:
    def __getattr__(self, name):
        def call(*args, **kwargs):
            raise RedisIsDown("refused")

        return call


def test_without_redis_log_in_works_and_guessing_is_still_slow(alice, monkeypatch):
    monkeypatch.setattr(throttle, "cache", Broken())
    throttle._own.clear()
    assert authenticate("alice", PASSWORD, address=HERE)
    assert guess(7) == [401] * 6 + [429]
    throttle._own.clear()
    assert not cache.get(throttle.key_of("alice@default", HERE))
