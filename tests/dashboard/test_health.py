"""/healthz names what does not answer."""

import time

import pytest

from apps.core import health


def broken():
    raise ConnectionError("refused")


@pytest.mark.parametrize(
    ("database", "redis", "failed"),
    [
        (None, None, None),
        (None, broken, ["redis"]),
        (broken, None, ["database"]),
        (broken, broken, ["database", "redis"]),
    ],
)
def test_it_names_what_is_broken(client, monkeypatch, database, redis, failed):
    monkeypatch.setattr(health, "ask_database", database or (lambda: None))
    monkeypatch.setattr(health, "ask_redis", redis or (lambda: None))
    answer = client.get("/healthz")
    if failed:
        assert (answer.status_code, answer.json()) == (503, {"status": "failed", "failed": failed})
    else:
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_it_does_not_wait_for_what_hangs(client, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", 0.1)
    monkeypatch.setattr(health, "ask_database", lambda: time.sleep(0.5))
    monkeypatch.setattr(health, "ask_redis", lambda: None)
    begun = time.monotonic()
    assert client.get("/healthz").json()["failed"] == ["database"]
    assert time.monotonic() - begun < 0.4
