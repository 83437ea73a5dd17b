"""Whatever is sent to identity is answered; what is no good is refused in Keystone's form."""

import pytest

from apps.projects import tokens
from apps.projects.models import Role
from tests.bad_input import complaints

V3 = "/identity/v3"


def is_keystones(body: dict) -> bool:
    return set(body["error"]) == {"code", "title", "message"} and bool(body["error"]["message"])


@pytest.fixture
def check(api):
    def check(ctx, method: str, path: str, body):
        found = complaints(api(ctx), method, V3 + path, body, is_keystones)
        assert not found, "\n".join(found)

    return check


@pytest.fixture
def free(monkeypatch):
    """Log-ins without pauses and without the cost of real hashes."""
    monkeypatch.setattr("apps.projects.throttle.FREE", 10**6)


def test_tokens(check, alice, lab, free):
    by_token = {"methods": ["token"], "token": {"id": tokens.issue(alice.user_id, lab.pk).value}}
    scope = {"project": {"name": "lab", "domain": {"id": "default"}}}
    check(alice, "post", "/auth/tokens", {"auth": {"identity": by_token, "scope": scope}})
    check(alice, "post", "/auth/tokens", {"auth": {"identity": by_token, "scope": {"system": {"all": True}}}})
    user = {"name": "alice", "domain": {"name": "Default"}}
    for named in (user | {"password": 1}, {"id": alice.user_id}):
        identity = {"methods": ["password"], "password": {"user": named}}
        check(alice, "post", "/auth/tokens", {"auth": {"identity": identity}})


def test_owners(check, ada, alice, lab):
    user = {
        "name": "u",
        "password": "a good one",
        "domain_id": "default",
        "email": "u@example.org",
        "description": "d",
        "enabled": True,
        "default_project_id": lab.pk,
        "options": {},
    }
    check(ada, "post", "/users", {"user": {key: user[key] for key in user if key != "password"}})
    del user["password"]
    check(ada, "patch", f"/users/{alice.user_id}", {"user": user})
    project = {
        "name": "p",
        "domain_id": "default",
        "parent_id": "default",
        "description": "d",
        "tags": ["t"],
        "is_domain": False,
        "options": {},
    }
    check(ada, "post", "/projects", {"project": project})
    check(ada, "patch", f"/projects/{lab.pk}", {"project": {"name": "lab", "description": "d", "tags": []}})
    check(ada, "post", "/domains", {"domain": {"name": "d", "description": "d", "options": {}}})


def test_passwords(check, alice, free):
    given = {"user": {"original_password": 1, "password": 1}}
    check(alice, "post", f"/users/{alice.user_id}/password", given)


@pytest.mark.parametrize(
    "query", ["limit=x", "marker=x", "name=%00", "enabled=x", "domain_id=x", "name__contains=["]
)
def test_queries(api, ada, query):
    assert Role.objects.exists()
    for path in ("users", "projects", "domains", "roles", "role_assignments", "services"):
        answer = api(ada).get(f"{V3}/{path}?{query}")
        assert answer.status_code < 500, (path, query)
        assert answer.status_code == 200 or is_keystones(answer.json())
