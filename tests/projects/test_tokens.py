"""Tokens through the API: how they are got, what they say, and what ends them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.projects import keys, operations, tokens
from apps.projects.models import Assignment, Domain, Project, RevokedToken, User
from tests.conftest import PASSWORD

URL = "/identity/v3/auth/tokens"
LAB = {"project": {"name": "lab", "domain": {"id": "default"}}}


def user_of(ctx) -> User:
    return User.objects.get(pk=ctx.user_id)


def project_of(ctx) -> Project:
    return Project.objects.get(pk=ctx.project_id)


# --- getting one ------------------------------------------------------------------------------------


def test_password_gives_a_token_for_the_project(alice, ask):
    answer = ask(name="alice", scope=LAB)
    assert answer.status_code == 201
    assert answer["Vary"].startswith("X-Auth-Token")
    assert tokens.context_from_token(answer["X-Subject-Token"]).project_id == alice.project_id
    body = answer.json()["token"]
    assert body["methods"] == ["password"]
    assert body["user"] == {
        "id": alice.user_id,
        "name": "alice",
        "domain": {"id": "default", "name": "Default"},
        "password_expires_at": None,
    }
    assert body["project"]["name"] == "lab"
    assert body["is_domain"] is False
    assert [role["name"] for role in body["roles"]] == ["member", "reader"]
    assert all(len(role["id"]) == 32 for role in body["roles"])
    assert body["expires_at"].endswith(".000000Z")
    assert len(body["audit_ids"]) == 1


def test_catalogue_follows_the_callers_address(alice, ask):
    found = {s["type"]: s["endpoints"] for s in ask(name="alice").json()["token"]["catalog"]}
    assert {e["url"] for e in found["compute"]} == {"http://testserver/compute/v2.1"}
    assert {e["url"] for e in found["image"]} == {"http://testserver/image"}
    assert {e["url"] for e in found["network"]} == {"http://testserver/network"}
    assert {e["url"] for e in found["identity"]} == {"http://testserver/identity/v3"}
    assert {e["interface"] for e in found["compute"]} == {"public", "internal", "admin"}
    token = ask(name="alice")["X-Subject-Token"]
    far = Client(
        headers={"X-Auth-Token": token, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "cloud.example"}
    )
    answer = far.get("/identity/v3/auth/catalog").json()
    assert answer["catalog"][1]["endpoints"][0]["url"] == "https://cloud.example/compute/v2.1"
    assert answer["catalog"][1]["id"] == ask(name="alice").json()["token"]["catalog"][1]["id"]


def test_catalogue_is_left_out_when_asked(alice, ask):
    assert "catalog" not in ask(name="alice", query="?nocatalog").json()["token"]


@pytest.mark.parametrize(
    "scope",
    [
        {"project": {"name": "lab", "domain": {"name": "Default"}}},
        {"project": {"name": "lab", "domain": {"id": "default"}}},
        None,
    ],
)
def test_scope_by_names_or_the_default_project(alice, ask, scope):
    answer = ask(name="alice", domain={"name": "Default"}, scope=scope)
    assert answer.json()["token"]["project"]["id"] == alice.project_id


def test_user_and_project_by_id(alice, ask):
    answer = ask(id=alice.user_id, scope={"project": {"id": alice.project_id}})
    assert answer.json()["token"]["project"]["name"] == "lab"


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}])
def test_unscoped_token_has_no_roles_and_no_catalogue(alice, ask, scope):
    answer = ask(name="alice", scope=scope)
    assert not {"project", "roles", "catalog"} & answer.json()["token"].keys()
    ctx = tokens.context_from_token(answer["X-Subject-Token"])
    assert (ctx.project_id, ctx.roles) == ("", frozenset())


def test_without_role_in_the_default_project_the_token_is_unscoped(alice, ask):
    Assignment.objects.all().delete()
    answer = ask(name="alice")
    assert answer.status_code == 201
    assert "project" not in answer.json()["token"]


def test_system_token_needs_a_role_in_the_system(ada, alice, roles, ask):
    Assignment.objects.create(user=user_of(ada), role=roles["admin"])
    body = ask(name="ada", scope={"system": {"all": True}}).json()["token"]
    assert body["system"] == {"all": True}
    assert "project" not in body
    assert ask(name="alice", scope={"system": {"all": True}}).status_code == 401


def test_token_gives_a_token_that_ends_with_it(alice, ask):
    first = ask(name="alice", scope="unscoped")
    second = ask(token=first["X-Subject-Token"], scope=LAB)
    assert second.status_code == 201
    old, new = first.json()["token"], second.json()["token"]
    assert new["methods"] == ["token", "password"]
    assert new["expires_at"] == old["expires_at"]
    assert new["audit_ids"][1] == old["audit_ids"][0]


@pytest.mark.parametrize(
    "scope",
    [
        {"project": {"name": "other", "domain": {"id": "default"}}},
        {"project": {"name": "nothing", "domain": {"id": "default"}}},
        {"project": {"id": "0" * 32}},
        {"project": {"id": "system"}},
        {"project": {"id": ""}},
        {"domain": {"id": "default"}},
        {"OS-TRUST:trust": {"id": "0" * 32}},
    ],
)
def test_foreign_and_unknown_scopes_are_refused_in_the_same_words(alice, mallory, ask, scope):
    answer = ask(name="alice", scope=scope)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == operations.UNAUTHENTICATED


@pytest.mark.parametrize(
    "user", [{"name": "alice", "password": "wrong"}, {"name": "nobody"}, {"id": "0" * 32}]
)
def test_wrong_password_and_unknown_user_are_refused_in_the_same_words(alice, ask, user):
    answer = ask(**user)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Keystone uri="http://testserver/identity"'
    assert answer.json() == {
        "error": {"code": 401, "title": "Unauthorized", "message": operations.UNAUTHENTICATED}
    }


def test_unknown_user_costs_one_hash_like_a_wrong_password(alice, ask, monkeypatch):
    hashes = []
    real = operations.check_password
    monkeypatch.setattr(operations, "check_password", lambda p, e: hashes.append(e[:9]) or real(p, e))
    ask(name="alice", password="wrong")
    ask(name="nobody", password="wrong")
    assert hashes == ["argon2$ar", "argon2$ar"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"auth": {}},
        {"auth": {"identity": {"methods": []}}},
        {"auth": {"identity": {"methods": ["password"]}}},
        {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": "alice", "password": "x"}},
                }
            }
        },
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": 7, "password": "x"}}}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": None}}}},
        [],
    ],
)
def test_malformed_requests_are_400(db, body):
    answer = Client().post(URL, body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"]["title"] == "Bad Request"


def test_unsupported_method_is_401(db):
    body = {"auth": {"identity": {"methods": ["mapped"], "mapped": {}}}}
    assert Client().post(URL, body, content_type="application/json").status_code == 401


def test_both_methods_must_name_the_same_user(alice, bob, ask):
    token = ask(name="bob")["X-Subject-Token"]
    user = {"id": alice.user_id, "password": PASSWORD}
    identity = {"methods": ["password", "token"], "password": {"user": user}, "token": {"id": token}}
    body = {"auth": {"identity": identity}}
    assert Client().post(URL, body, content_type="application/json").status_code == 401


def test_issuing_writes_nothing(alice, ask, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        ask(name="alice", scope=LAB)
    assert all(query["sql"].startswith("SELECT") for query in queries)
    assert len(queries) <= 4


# --- checking one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["project", "system", "unscoped"])
def test_a_check_is_one_query(ada, roles, scope, django_assert_num_queries):
    Assignment.objects.create(user=user_of(ada), role=roles["admin"])
    token = tokens.issue(
        ada.user_id, ada.project_id if scope == "project" else "", system=scope == "system"
    ).value
    with django_assert_num_queries(1):
        ctx = tokens.context_from_token(token)
    assert ("admin" in ctx.roles) == (scope != "unscoped")


def test_a_check_is_one_query_however_many_roles(alice, roles, django_assert_num_queries):
    for name in ("reader", "manager", "service"):
        Assignment.objects.create(user=user_of(alice), role=roles[name], project=project_of(alice))
    token = tokens.issue(alice.user_id, alice.project_id).value
    with django_assert_num_queries(1):
        ctx = tokens.context_from_token(token)
    assert ctx.roles == {"reader", "member", "manager", "service"}
    assert (ctx.user_name, ctx.user_domain_id, ctx.project_name) == ("alice", "default", "lab")


def test_what_is_no_token_costs_no_query(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        for value in ("", "x", "gAAAA" * 20, "ü" * 20, "a" * 100_000):
            assert tokens.context_from_token(value) is None


def test_own_token_validates_itself(alice, ask, looked_at):
    token = ask(name="alice")["X-Subject-Token"]
    assert looked_at(token) == 200


def test_head_answers_without_a_body(alice, ask):
    token = ask(name="alice")["X-Subject-Token"]
    answer = Client(headers={"X-Auth-Token": token, "X-Subject-Token": token}).head(URL)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["X-Subject-Token"] == token


def test_validation_needs_a_valid_token_of_ones_own(alice, ask, looked_at):
    token = ask(name="alice")["X-Subject-Token"]
    assert looked_at(token, by="stranger") == 401
    assert Client(headers={"X-Subject-Token": token}).get(URL).status_code == 401


def test_strangers_may_not_look_at_nor_revoke_a_token(alice, mallory, ask, looked_at):
    token, other = ask(name="alice")["X-Subject-Token"], ask(name="mallory")["X-Subject-Token"]
    assert looked_at(token, by=other) == 403
    answer = Client(headers={"X-Auth-Token": other, "X-Subject-Token": token}).delete(URL)
    assert answer.status_code == 403
    assert looked_at(token) == 200


def test_administrators_and_services_may_validate_any_token(alice, ada, make_user, lab, ask, looked_at):
    make_user("checker", lab, "service")
    token = ask(name="alice")["X-Subject-Token"]
    assert looked_at(token, by=ask(name="ada")["X-Subject-Token"]) == 200
    assert looked_at(token, by=ask(name="checker")["X-Subject-Token"]) == 200


def test_unknown_subject_token_is_404(alice, ask, looked_at):
    assert looked_at("nonsense", by=ask(name="alice")["X-Subject-Token"]) == 404


def test_expired_token_is_no_token_but_may_be_looked_at_for_two_days(alice, ask, looked_at, monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(tokens.timezone, "now", lambda: now - timedelta(hours=20))
    old = tokens.issue(alice.user_id, alice.project_id).value
    monkeypatch.setattr(tokens.timezone, "now", lambda: now - timedelta(hours=70))
    older = tokens.issue(alice.user_id, alice.project_id).value
    monkeypatch.undo()
    assert tokens.context_from_token(old) is None
    fresh = ask(name="alice")["X-Subject-Token"]
    assert looked_at(old, by=fresh) == 404
    assert looked_at(old, by=fresh, query="?allow_expired=1") == 200
    assert looked_at(older, by=fresh, query="?allow_expired=1") == 404


# --- ending one -------------------------------------------------------------------------------------


def test_a_revoked_token_is_worth_nothing_at_once_and_others_go_on(alice, ask, looked_at):
    token, other = ask(name="alice")["X-Subject-Token"], ask(name="alice")["X-Subject-Token"]
    answer = Client(headers={"X-Auth-Token": other, "X-Subject-Token": token}).delete(URL)
    assert answer.status_code == 204
    assert tokens.context_from_token(token) is None
    assert looked_at(token, by=other) == 404
    assert looked_at(other) == 200
    assert ask(token=token, scope=LAB).status_code == 401


def test_a_revoked_token_stays_so_when_it_is_looked_at_expired(alice, ask, looked_at, monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(tokens.timezone, "now", lambda: now - timedelta(hours=20))
    old = tokens.issue(alice.user_id, alice.project_id)
    monkeypatch.undo()
    tokens.revoke(old.audit_id, old.expires_at)
    tokens.revoke("another", now)
    assert looked_at(old.value, by=ask(name="alice")["X-Subject-Token"], query="?allow_expired=1") == 404


def test_records_of_revocation_are_dropped_when_nobody_could_show_the_token(db):
    tokens.revoke("old", timezone.now() - timedelta(days=3))
    tokens.revoke("new", timezone.now())
    assert list(RevokedToken.objects.values_list("pk", flat=True)) == ["new"]


def disable_user(alice, ada):
    operations.update_user(ada, user=user_of(alice), enabled=False)


def disable_project(alice, ada):
    operations.update_project(ada, project=project_of(alice), enabled=False)


def disable_domain(alice, ada):
    admin = Domain.objects.get(pk="default")
    operations.update_domain(ada, domain=admin, enabled=False)


def delete_user(alice, ada):
    operations.delete_user(ada, user=user_of(alice))


def set_password(alice, ada):
    operations.update_user(ada, user=user_of(alice), password="another")


def change_password(alice, ada):
    operations.change_password(alice, original=PASSWORD, password="another")


def take_the_role(alice, ada):
    assignment = Assignment.objects.get(user_id=alice.user_id)
    operations.unassign(ada, user=assignment.user, role=assignment.role, project=assignment.project)


ENDINGS = [
    disable_user,
    disable_project,
    disable_domain,
    delete_user,
    set_password,
    change_password,
    take_the_role,
]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda f: f.__name__)
def test_what_is_taken_away_counts_from_the_next_request_on(alice, ada, ask, ending):
    token = ask(name="alice", scope=LAB)["X-Subject-Token"]
    ending(alice, ada)
    answer = Client(headers={"X-Auth-Token": token}).get("/identity/v3/auth/projects")
    assert answer.status_code == 401


@pytest.mark.parametrize("column", ["user", "project", "domain"])
def test_enabling_again_does_not_bring_old_tokens_back(alice, ada, ask, column):
    token = ask(name="alice", scope=LAB)["X-Subject-Token"]
    if column == "user":
        operations.update_user(ada, user=user_of(alice), enabled=False)
        operations.update_user(ada, user=user_of(alice), enabled=True)
    elif column == "project":
        operations.update_project(ada, project=project_of(alice), enabled=False)
        operations.update_project(ada, project=project_of(alice), enabled=True)
    else:
        operations.update_domain(ada, domain=Domain.objects.get(), enabled=False)
        operations.update_domain(ada, domain=Domain.objects.get(), enabled=True)
    assert tokens.context_from_token(token) is None
    assert ask(name="alice", scope=LAB).status_code == 201


def test_losing_one_of_two_roles_leaves_the_other(alice, ada, roles, ask):
    user, project = user_of(alice), project_of(alice)
    operations.assign(ada, user=user, role=roles["manager"], project=project)
    token = ask(name="alice", scope=LAB)["X-Subject-Token"]
    operations.unassign(ada, user=user, role=roles["manager"], project=project)
    assert tokens.context_from_token(token).roles == {"member", "reader"}


# --- keys -------------------------------------------------------------------------------------------


@pytest.fixture
def own_keys(settings, tmp_path):
    settings.FERNET_DIR = tmp_path / "fernet"
    return settings.FERNET_DIR


def test_the_first_key_is_made_for_its_owner_alone(own_keys):
    keys.fernet()
    assert [(path.name, path.stat().st_mode & 0o777) for path in own_keys.iterdir()] == [("1", 0o600)]
    assert own_keys.stat().st_mode & 0o777 == 0o700


def test_tokens_outlive_a_rotation(own_keys, alice):
    old = tokens.issue(alice.user_id, alice.project_id).value
    assert keys.rotate().name == "2"
    new = tokens.issue(alice.user_id, alice.project_id).value
    assert tokens.context_from_token(old) is not None
    (own_keys / "1").unlink()
    assert tokens.context_from_token(old) is None
    assert tokens.context_from_token(new) is not None


def test_a_key_goes_when_its_last_token_could_not_be_shown_any_more(own_keys, monkeypatch):
    import os
    import time

    keys.fernet()
    keys.rotate()
    hours = 13 + 48
    os.utime(own_keys / "2", (time.time() - hours * 3600,) * 2)
    keys.rotate()
    assert sorted(path.name for path in own_keys.iterdir()) == ["2", "3"]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda f: f.__name__)
def test_open_pages_are_told_to_look_whether_they_may_stay(alice, ada, ending, monkeypatch):
    told = []
    monkeypatch.setattr(operations.live, "recheck", told.append)
    ending(alice, ada)
    assert alice.user_id in told


def test_a_role_in_the_system_is_none_in_a_project(ada, roles):
    from apps.core.errors import Forbidden
    from apps.core.policy import enforce

    Assignment.objects.create(user=user_of(ada), role=roles["admin"])
    system = tokens.context_from_token(tokens.issue(ada.user_id, system=True).value)
    enforce(system, "identity:list_users")
    with pytest.raises(Forbidden, match="in this project"):
        enforce(system, "get_images")
