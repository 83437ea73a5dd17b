import pytest


@pytest.fixture(autouse=True)
def one_connection(monkeypatch):
    """Asynchronous code uses this thread's connection, inside the test's transaction, and leaves it open."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)
