"""Discovery, tokens and the catalogue, as keystoneauth and the client use them."""

import keystoneauth1.exceptions as refusals
import openstack
import pytest
from keystoneauth1 import discover
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from tests.cloud import URL
from tests.wire.conftest import unique


@pytest.fixture
def password(cloud):
    """An auth plugin of user demo; each has a token of its own."""

    def plugin(**changes):
        wanted = {
            "auth_url": f"{URL}/identity/v3",
            "username": "demo",
            "password": cloud.passwords["demo"],
            "project_name": "demo",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        return v3.Password(**(wanted | changes))

    return plugin


@pytest.mark.parametrize(
    ("path", "versions"),
    [("/identity", {(3, 14)}), ("/compute", {(2, 0), (2, 1)}), ("/image", None), ("/network", {(2, 0)})],
)
def test_version_documents_are_those_that_keystoneauth_reads(path, versions):
    found = discover.Discover(Session(), URL + path).version_data()
    assert found
    assert all(row["url"].startswith(URL + path) for row in found)
    if versions:
        assert {row["version"] for row in found} == versions


def test_the_catalogue_leads_to_every_service(demo):
    for service in ("identity", "compute", "image", "network"):
        assert demo.session.get_endpoint(service_type=service, region_name="RegionOne").startswith(URL)
    types = {entry["type"] for entry in demo.session.auth.get_access(demo.session)._data["token"]["catalog"]}
    assert {"identity", "compute", "image", "network"} <= types
    with pytest.raises(refusals.EndpointNotFound):
        demo.session.get_endpoint(service_type="compute", region_name="Elsewhere")


def test_catalog_list_by_the_client(cloud):
    assert {row["Type"] for row in cloud.openstack("catalog", "list")} >= {"identity", "compute"}


def test_a_token_is_issued_and_revoked(cloud, password):
    issued = cloud.openstack("token", "issue")
    assert {"expires", "id", "project_id", "user_id"} <= set(issued)
    session = Session()
    by_token = v3.Token(f"{URL}/identity/v3", issued["id"], project_name="demo", project_domain_id="default")
    assert session.get(f"{URL}/compute/v2.1/flavors", auth=by_token).status_code == 200
    cloud.openstack("token", "revoke", issued["id"], "--text")
    with pytest.raises(refusals.Unauthorized):
        session.get(f"{URL}/identity/v3/auth/tokens", headers={
            "X-Auth-Token": issued["id"], "X-Subject-Token": issued["id"]
        })  # fmt: skip
    assert session.get(f"{URL}/compute/v2.1/flavors", auth=password()).status_code == 200


def test_wrong_password_unknown_project_and_no_token_are_401(password):
    for wrong in ({"password": "wrong"}, {"project_name": "nowhere"}, {"username": "nobody"}):
        with pytest.raises(refusals.Unauthorized):
            Session(auth=password(**wrong)).get_token()
    with pytest.raises(refusals.Unauthorized):
        Session().get(f"{URL}/compute/v2.1/servers", headers={"X-Auth-Token": "no such token"})


def test_unscoped_tokens_say_where_one_could_go(password):
    unscoped = password(project_name=None, project_domain_name=None, unscoped=True)
    session = Session(auth=unscoped)
    projects = session.get(f"{URL}/identity/v3/auth/projects").json()["projects"]
    assert [project["name"] for project in projects] == ["demo"]
    with pytest.raises(refusals.Forbidden):
        session.get(f"{URL}/compute/v2.1/servers")


def test_people_and_projects_by_an_administrator(admin, cloud):
    name = unique("team")
    project = admin.identity.create_project(name=name, domain_id="default", description="a team")
    assert admin.identity.find_project(name).description == "a team"
    user = admin.identity.create_user(name=name, password="Secret-1234", domain_id="default")
    role = admin.identity.find_role("member")
    admin.identity.assign_project_role_to_user(project, user, role)
    granted = admin.identity.role_assignments(scope_project_id=project.id)
    assert [row.user["id"] for row in granted] == [user.id]
    with pytest.raises(openstack.exceptions.ConflictException):
        admin.identity.create_project(name=name, domain_id="default")
    admin.identity.unassign_project_role_from_user(project, user, role)
    admin.identity.delete_user(user)
    admin.identity.delete_project(project)
    assert admin.identity.find_user(name) is None


def test_a_member_administers_nobody(demo):
    with pytest.raises(openstack.exceptions.ForbiddenException):
        demo.identity.create_user(name=unique("sneaky"), password="Secret-1234")
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(demo.identity.projects())
