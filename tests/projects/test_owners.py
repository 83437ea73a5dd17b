"""Users, projects, domains, roles and grants through Keystone's API."""

import pytest
from django.test import Client

from apps.core.models import Event
from apps.projects.models import Assignment, Domain, Project, User
from tests.conftest import PASSWORD

V3 = "/identity/v3"
JSON = "application/json"


def test_administrator_makes_a_user_who_can_log_in(ada, api, ask):
    given = {"name": "carol", "password": "secret one", "email": "c@example.org", "department": "physics"}
    answer = api(ada).post(f"{V3}/users", {"user": given}, content_type=JSON)
    assert answer.status_code == 201
    user = answer.json()["user"]
    assert user["email"] == "c@example.org"
    assert user["department"] == "physics"
    assert user["domain_id"] == "default"
    assert user["links"]["self"] == f"http://testserver{V3}/users/{user['id']}"
    assert not {"password", "default_project_id", "description"} & user.keys()
    assert len(user["id"]) == 32
    assert ask(name="carol", password="secret one").status_code == 201
    assert Event.objects.filter(
        model="user", object_id=user["id"], action="create", user_id=ada.user_id
    ).exists()


def test_password_is_in_no_answer_event_or_column(ada, api):
    given = {"name": "carol", "password": "secret one"}
    answer = api(ada).post(f"{V3}/users", {"user": given}, content_type=JSON)
    user_id = answer.json()["user"]["id"]
    answer = api(ada).patch(f"{V3}/users/{user_id}", {"user": {"password": "secret two"}}, content_type=JSON)
    assert b"secret" not in answer.content
    assert not [e for e in Event.objects.all() if "secret" in f"{e.detail}{e.data}"]
    assert "secret" not in str(User.objects.filter(pk=user_id).values().get())


@pytest.mark.parametrize(
    ("kind", "first"),
    [("user", {"name": "carol"}), ("project", {"name": "physics"}), ("domain", {"name": "campus"})],
)
def test_life_of_each_kind(ada, api, kind, first):
    client, url = api(ada), f"{V3}/{kind}s"
    made = client.post(url, {kind: first}, content_type=JSON)
    assert made.status_code == 201, made.content
    row = made.json()[kind]
    one = f"{url}/{row['id']}"
    assert client.get(one).json()[kind] == row
    assert client.head(one).status_code == 200
    assert client.post(url, {kind: first}, content_type=JSON).status_code == 409
    changed = client.patch(
        one, {kind: {"description": "😀", "enabled": False, "floor": 3}}, content_type=JSON
    )
    assert changed.status_code == 200
    assert changed.json()[kind] == row | {"description": "😀", "enabled": False, "floor": 3}
    assert client.get(url, {"name": first["name"]}).json()[f"{kind}s"] == [changed.json()[kind]]
    assert client.get(url, {"name": first["name"], "enabled": "True"}).json()[f"{kind}s"] == []
    assert client.put(one, {kind: {}}, content_type=JSON).status_code == 405
    assert client.delete(one).status_code == 204
    gone = client.get(one)
    assert gone.status_code == 404
    assert gone.json()["error"]["message"] == f"Could not find {kind}: {row['id']}."


@pytest.mark.parametrize("kind", ["user", "project", "domain"])
@pytest.mark.parametrize(
    "bad",
    [{}, {"name": ""}, {"name": " "}, {"name": 5}, {"name": "x" * 256}, {"name": "x", "enabled": "true"},
     {"name": "x", "options": {"immutable": True}}],
)  # fmt: skip
def test_bad_input_is_400(ada, api, kind, bad):
    assert api(ada).post(f"{V3}/{kind}s", {kind: bad}, content_type=JSON).status_code == 400


def test_project_in_a_project_and_bad_tags_are_refused(ada, api, lab):
    for bad in (
        {"parent_id": lab.pk},
        {"is_domain": True},
        {"tags": ["a/b"]},
        {"tags": ["x"] * 81},
        {"tags": [1]},
    ):
        answer = api(ada).post(f"{V3}/projects", {"project": {"name": "sub"} | bad}, content_type=JSON)
        assert answer.status_code == 400, bad


def test_projects_by_tags(ada, api):
    client = api(ada)
    for name, tags in (("one", ["a"]), ("two", ["a", "b"]), ("three", [])):
        client.post(f"{V3}/projects", {"project": {"name": name, "tags": tags}}, content_type=JSON)

    def names(**query):
        found = client.get(f"{V3}/projects", query).json()["projects"]
        return {project["name"] for project in found} & {"one", "two", "three"}

    assert names(tags="a,b") == {"two"}
    assert names(**{"tags-any": "a,b"}) == {"one", "two"}
    assert names(**{"not-tags": "a,b"}) == {"one", "three"}
    assert names(**{"not-tags-any": "b"}) == {"one", "three"}


def test_names_are_looked_up_as_ids_first(ada, api, lab):
    for path in (
        "users/alice",
        "projects/lab",
        "domains/Default",
        "roles/member",
        "services/nova",
        "regions/x",
    ):
        assert api(ada).get(f"{V3}/{path}").status_code == 404, path


def test_lists_are_paged_by_marker(ada, api, lab, other_project):
    first = api(ada).get(f"{V3}/projects", {"limit": 2}).json()
    assert [project["name"] for project in first["projects"]] == ["admin", "lab"]
    rest = api(ada).get(first["links"]["next"].removeprefix("http://testserver")).json()
    assert [project["name"] for project in rest["projects"]] == ["other"]
    assert rest["links"]["next"] is None


def test_an_enabled_or_full_domain_stays(ada, api):
    client = api(ada)
    domain = client.post(f"{V3}/domains", {"domain": {"name": "campus"}}, content_type=JSON).json()["domain"]
    one = f"{V3}/domains/{domain['id']}"
    assert client.delete(one).status_code == 403
    given = {"name": "p", "domain_id": domain["id"]}
    assert client.post(f"{V3}/projects", {"project": given}, content_type=JSON).status_code == 201
    client.patch(one, {"domain": {"enabled": False}}, content_type=JSON)
    answer = client.delete(one)
    assert answer.status_code == 409
    assert "projects" in answer.json()["error"]["message"]
    assert Domain.objects.filter(pk=domain["id"]).exists()


# --- what members may -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["users", "projects", "domains", "roles", "role_assignments", "services", "endpoints"]
)
def test_members_do_not_list_the_cloud(alice, api, path):
    answer = api(alice).get(f"{V3}/{path}")
    assert answer.status_code == 403
    assert answer.json()["error"]["title"] == "Forbidden"


def test_members_see_themselves_and_their_own(alice, mallory, api, lab, other_project):
    client = api(alice)
    assert client.get(f"{V3}/users/{alice.user_id}").json()["user"]["default_project_id"] == lab.pk
    assert client.get(f"{V3}/projects/{lab.pk}").json()["project"]["name"] == "lab"
    assert client.get(f"{V3}/domains/default").status_code == 200
    assert client.get(f"{V3}/users/{mallory.user_id}").status_code == 404
    assert client.get(f"{V3}/projects/{other_project.pk}").status_code == 404
    mine = client.get(f"{V3}/users/{alice.user_id}/projects").json()["projects"]
    assert [project["id"] for project in mine] == [lab.pk]
    assert client.get(f"{V3}/users/{mallory.user_id}/projects").status_code == 404


def test_members_change_nothing(alice, mallory, api, roles, lab):
    client = api(alice)
    me, grant = f"users/{alice.user_id}", f"projects/{lab.pk}/users/{alice.user_id}/roles/{roles['admin'].pk}"
    assert client.post(f"{V3}/users", {"user": {"name": "x"}}, content_type=JSON).status_code == 403
    assert client.post(f"{V3}/projects", {"project": {"name": "x"}}, content_type=JSON).status_code == 403
    assert client.patch(f"{V3}/{me}", {"user": {"name": "x"}}, content_type=JSON).status_code == 403
    assert client.delete(f"{V3}/{me}").status_code == 403
    assert client.delete(f"{V3}/users/{mallory.user_id}").status_code == 404
    assert client.delete(f"{V3}/projects/{lab.pk}").status_code == 403
    assert client.put(f"{V3}/{grant}").status_code == 403
    assert client.put(f"{V3}/system/users/{alice.user_id}/roles/{roles['admin'].pk}").status_code == 403
    assert Assignment.objects.filter(user_id=alice.user_id).count() == 1


def test_own_password_by_the_old_one(alice, api, ask):
    client, url = api(alice), f"{V3}/users/{alice.user_id}/password"
    wrong = {"user": {"original_password": "wrong", "password": "new one"}}
    assert client.post(url, wrong, content_type=JSON).status_code == 401
    right = {"user": {"original_password": PASSWORD, "password": "new one"}}
    assert client.post(url, right, content_type=JSON).status_code == 204
    assert client.get(f"{V3}/auth/projects").status_code == 401
    assert ask(name="alice").status_code == 401
    assert ask(name="alice", password="new one").status_code == 201


def test_anothers_password_is_not_changed_here(alice, bob, api):
    given = {"user": {"original_password": PASSWORD, "password": "new one"}}
    answer = api(bob).post(f"{V3}/users/{alice.user_id}/password", given, content_type=JSON)
    assert answer.status_code == 403


# --- roles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["projects/{project}", "system"])
def test_grants(ada, alice, api, roles, where):
    client = api(ada)
    base = f"{V3}/{where.format(project=alice.project_id)}/users/{alice.user_id}/roles"
    one = f"{base}/{roles['manager'].pk}"
    assert client.head(one).status_code == 404
    assert client.put(one).status_code == 204
    assert client.put(one).status_code == 204
    assert client.head(one).status_code == 204
    assert client.get(one).status_code == 204
    assert "manager" in [role["name"] for role in client.get(base).json()["roles"]]
    assert client.delete(one).status_code == 204
    assert client.delete(one).status_code == 404
    assert client.get(one).status_code == 404


def test_role_assignments(ada, alice, api, roles):
    Assignment.objects.create(user_id=ada.user_id, role=roles["reader"])

    def found(query=""):
        return api(ada).get(f"{V3}/role_assignments?{query}").json()["role_assignments"]

    assert len(found()) == 3
    mine = found(f"user.id={alice.user_id}")
    assert [row["scope"] for row in mine] == [{"project": {"id": alice.project_id}}]
    assert "name" not in mine[0]["user"]
    named = found(f"user.id={alice.user_id}&include_names=True")[0]
    assert (named["user"]["name"], named["role"]["name"], named["scope"]["project"]["name"]) == (
        "alice",
        "member",
        "lab",
    )
    assert [row["scope"] for row in found("scope.system=all")] == [{"system": {"all": True}}]
    assert len(found(f"user.id={alice.user_id}&effective")) == 2
    assert len(found(f"user.id={alice.user_id}&effective=0")) == 1
    assert found("group.id=x") == []
    assert len(found(f"role.id={roles['reader'].pk}&scope.project.id={alice.project_id}&effective")) == 1


def test_a_project_with_something_in_it_is_not_deleted(ada, api, lab):
    from apps.networks.models import Network

    Network.objects.create(project=lab, name="private", status="ACTIVE")
    answer = api(ada).delete(f"{V3}/projects/{lab.pk}")
    assert answer.status_code == 409
    assert "networks" in answer.json()["error"]["message"]
    assert Project.objects.filter(pk=lab.pk).exists()


# --- discovery --------------------------------------------------------------------------------------


def test_version_documents_need_no_token(db):
    several = Client().get("/identity")
    assert several.status_code == 300
    assert several.json() == Client().get("/identity/").json()
    version = several.json()["versions"]["values"][0]
    assert version["links"][0]["href"] == several["Location"] == "http://testserver/identity/v3/"
    for path in ("/identity/v3", "/identity/v3/"):
        assert Client().get(path).json() == {"version": version}


def test_the_catalogue_as_rows(ada, api):
    client = api(ada)
    service = client.get(f"{V3}/services", {"type": "compute"}).json()["services"][0]
    assert client.get(f"{V3}/services/{service['id']}").json()["service"]["name"] == "nova"
    query = {"service_id": service["id"], "interface": "public"}
    endpoints = client.get(f"{V3}/endpoints", query).json()["endpoints"]
    assert [endpoint["url"] for endpoint in endpoints] == ["http://testserver/compute/v2.1"]
    assert client.get(f"{V3}/endpoints/{endpoints[0]['id']}").json()["endpoint"] == endpoints[0]
    assert client.get(f"{V3}/regions").json()["regions"][0]["id"] == "RegionOne"


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head"])
@pytest.mark.parametrize(
    "path", ["/identity/v3/groups", "/identity/v2.0/tokens", "/identity/v3/auth/tokens/"]
)
def test_what_is_not_served_is_404_in_keystones_form(db, method, path):
    answer = getattr(Client(), method)(path)
    assert answer.status_code == 404
    if method != "head":
        assert answer.json()["error"]["code"] == 404


def test_not_json_is_400(ada, api):
    answer = api(ada).post(f"{V3}/users", "{", content_type=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["title"] == "Bad Request"
