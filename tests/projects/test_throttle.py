"""Guessing is slow, for the guesser alone; also without Redis."""

import time

import pytest
from redis.exceptions import ConnectionError as RedisIsDown

from apps.core.errors import Unauthorized
from apps.projects import throttle
from apps.projects.operations import authenticate
from tests.conftest import PASSWORD


@pytest.fixture
def pauses(monkeypatch):
    """The clock of the throttle stands still but for its own sleeping."""
    slept = []
    monkeypatch.setattr(throttle.time, "sleep", lambda s: slept.append(s))
    start = time.monotonic()
    monkeypatch.setattr(throttle.time, "monotonic", lambda: start + sum(slept))
    return slept


def guess(times: int, name: str = "alice", address: str = "192.0.2.1") -> None:
    for _ in range(times):
        with pytest.raises(Unauthorized):
            authenticate(name, "wrong", address=address)


def test_the_first_five_failures_cost_nothing(alice, pauses):
    guess(5)
    assert not pauses


def test_then_attempts_wait_for_their_turn_and_give_up(alice, pauses):
    guess(7)
    assert sum(pauses) > throttle.PATIENCE


def test_the_right_password_waits_too_and_ends_the_counting(alice, monkeypatch):
    guess(6)
    begun = time.monotonic()
    assert authenticate("alice", PASSWORD, address="192.0.2.1").name == "alice"
    assert 0.3 < time.monotonic() - begun < 3
    guess(1)


def test_others_and_other_addresses_are_not_slowed(alice, bob, pauses):
    guess(6)
    authenticate("alice", PASSWORD, address="192.0.2.2")
    authenticate("bob", PASSWORD, address="192.0.2.1")
    assert not pauses


def test_unknown_users_are_counted_alike(db, pauses):
    guess(7, name="nobody")
    assert pauses


class Broken:
    def __getattr__(self, name):
        def call(*args, **kwargs):
            raise RedisIsDown("refused")

        return call


def test_without_redis_log_in_works_and_guessing_is_still_slow(alice, pauses, monkeypatch):
    monkeypatch.setattr(throttle, "cache", Broken())
    throttle._own.clear()
    assert authenticate("alice", PASSWORD, address="192.0.2.1")
    guess(7)
    assert pauses
    throttle._own.clear()
