import pytest
from django.core.cache import cache
from django.test import Client

from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def no_earlier_failures():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def ask():
    """`ask(scope=..., **user)` posts for a token by password; `ask(token=..., scope=...)` by token."""

    def ask(*, token: str = "", scope=None, query: str = "", password: str = PASSWORD, **user):
        if token:
            identity = {"methods": ["token"], "token": {"id": token}}
        else:
            if "name" in user:
                user.setdefault("domain", {"id": "default"})
            identity = {"methods": ["password"], "password": {"user": user | {"password": password}}}
        auth = {"identity": identity} | ({"scope": scope} if scope is not None else {})
        return Client().post(
            f"/identity/v3/auth/tokens{query}", {"auth": auth}, content_type="application/json"
        )

    return ask


@pytest.fixture
def looked_at():
    """`looked_at(token, by=...)`: the status of validating it; by default with itself."""

    def looked_at(token: str, by: str = "", query: str = "") -> int:
        headers = {"X-Auth-Token": by or token, "X-Subject-Token": token}
        return Client(headers=headers).get(f"/identity/v3/auth/tokens{query}").status_code

    return looked_at
