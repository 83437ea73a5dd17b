"""Compute v2.1 as clients see it."""

import pytest

from apps.instances.models import Flavor, Instance
from apps.quotas.models import Limit

V21 = "/compute/v2.1"
JSON = "application/json"


def at(version: str) -> dict:
    return {"OpenStack-API-Version": f"compute {version}"}


@pytest.fixture
def ask(api, alice):
    """`ask(method, path, body, mv, who)`: the answer of compute."""

    def ask(method: str, path: str, body=None, mv: str = "2.96", who=None):
        call = getattr(api(who or alice), method)
        arguments = {"headers": at(mv)}
        if body is not None:
            arguments |= {"data": body, "content_type": JSON}
        return call(V21 + path, **arguments)

    return ask


def body_of(image, **more) -> dict:
    return {"server": {"name": "web", "imageRef": str(image.pk), "flavorRef": "1", "networks": "auto"} | more}


def test_version_documents_need_no_token(client):
    versions = client.get("/compute/").json()["versions"]
    assert [(v["id"], v["version"], v["min_version"]) for v in versions] == [
        ("v2.0", "", ""),
        ("v2.1", "2.96", "2.1"),
    ]
    for version in versions:
        href = version["links"][0]["href"]
        shown = client.get(href.replace("http://testserver", "")).json()["version"]
        assert shown["links"][0]["href"] == href


def test_no_token_is_401_with_the_way_to_identity(client):
    answer = client.get(f"{V21}/servers")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Keystone uri="http://testserver/identity"'
    assert answer.json()["error"]["title"] == "Unauthorized"


@pytest.mark.parametrize(("version", "status"), [("2.97", 406), ("2.0", 406), ("two", 400), ("2.01", 400)])
def test_versions_that_cannot_be_served_are_refused(ask, version, status):
    answer = ask("get", "/servers", mv=version)
    assert answer.status_code == status
    assert "message" in next(iter(answer.json().values()))


def test_headers_of_every_answer(ask):
    answer = ask("get", "/servers", mv="latest")
    assert answer["OpenStack-API-Version"] == "compute 2.96"
    assert answer["X-OpenStack-Nova-API-Version"] == "2.96"
    assert "OpenStack-API-Version" in answer["Vary"]
    assert answer["X-Compute-Request-Id"] == answer["X-Openstack-Request-Id"]


def test_launch_show_list_delete(ask, host, image, flavor, private, settle, alice):
    made = ask("post", "/servers", body_of(image))
    assert made.status_code == 202
    server = made.json()["server"]
    assert made["Location"].endswith(f"/servers/{server['id']}")
    assert set(server) == {"id", "links", "adminPass", "OS-DCF:diskConfig", "security_groups"}
    shown = ask("get", f"/servers/{server['id']}").json()["server"]
    assert (shown["status"], shown["OS-EXT-STS:vm_state"]) == ("BUILD", "building")
    settle()
    shown = ask("get", f"/servers/{server['id']}").json()["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"], shown["OS-EXT-STS:power_state"]) == (
        "ACTIVE",
        None,
        1,
    )
    assert shown["addresses"]["private"][0]["OS-EXT-IPS:type"] == "fixed"
    assert shown["flavor"]["original_name"] == "m1.nano"
    assert shown["security_groups"] == [{"name": "default"}]
    assert [row["id"] for row in ask("get", "/servers").json()["servers"]] == [server["id"]]
    assert ask("delete", f"/servers/{server['id']}").status_code == 204
    settle()
    assert ask("get", f"/servers/{server['id']}").status_code == 404
    since = ask("get", "/servers/detail?changes-since=2020-01-01T00:00:00Z").json()["servers"]
    assert [row["status"] for row in since] == ["DELETED"]


def test_bodies_belong_to_their_microversion(ask, launch, alice, ada):
    instance = launch(alice)
    old = ask("get", f"/servers/{instance.pk}", mv="2.1").json()["server"]
    assert old["flavor"]["id"] == "1"
    assert not {"locked", "tags", "description", "OS-EXT-SRV-ATTR:hostname", "server_groups"} & old.keys()
    assert not [key for key in old if key.startswith("OS-EXT-SRV-ATTR")]
    new = ask("get", f"/servers/{instance.pk}").json()["server"]
    assert {
        "locked",
        "tags",
        "description",
        "OS-EXT-SRV-ATTR:hostname",
        "pinned_availability_zone",
    } <= new.keys()
    admin = ask("get", f"/servers/{instance.pk}", mv="2.3", who=ada).json()["server"]
    assert admin["OS-EXT-SRV-ATTR:host"] == "hv1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"flavorRef": "no"}, "Flavor no could not be found"),
        ({"imageRef": "no"}, "Can not find requested image no"),
        ({"name": " "}, "1 to 255 characters"),
        ({"name": "x" * 256}, "1 to 255 characters"),
        ({"networks": [{"uuid": "11111111-1111-1111-1111-111111111111"}]}, "could not be found"),
        ({"key_name": "none"}, "Invalid key_name"),
        ({"user_data": "!!"}, "not base64"),
        ({"metadata": {"": "x"}}, "1 to 255 characters"),
        ({"nonsense": 1}, "Additional properties are not allowed ('nonsense' was unexpected)"),
        ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": "x"}]}, "Only one disk"),
        ({"max_count": 0, "min_count": 0, "tags": ["a/b"]}, "Invalid tag"),
    ],
)
def test_bad_launches_are_400_and_leave_nothing(ask, host, image, flavor, private, change, says):
    answer = ask("post", "/servers", body_of(image, **change))
    assert answer.status_code == 400
    assert says in answer.json()["badRequest"]["message"]
    assert not Instance.objects.exists()


def test_over_quota_is_403_in_novas_words(ask, host, image, flavor, private, lab):
    Limit.objects.create(project=lab, resource="instances", limit=1)
    assert ask("post", "/servers", body_of(image)).status_code == 202
    answer = ask("post", "/servers", body_of(image))
    assert answer.status_code == 403
    assert (
        "Quota exceeded for instances: Requested 1, but already used 1 of 1"
        in answer.json()["forbidden"]["message"]
    )


def test_what_fits_nowhere_is_a_server_in_error(ask, host, image, flavor, private):
    Flavor.objects.create(id="big", name="big", vcpus=4, ram=40000, disk=80)
    made = ask("post", "/servers", body_of(image, flavorRef="big"))
    assert made.status_code == 202
    shown = ask("get", f"/servers/{made.json()['server']['id']}").json()["server"]
    assert shown["status"] == "ERROR"
    assert "short of 40000 MiB RAM" in shown["fault"]["message"]
    assert "progress" not in shown


def test_actions_and_their_conflicts(ask, launch, alice, settle):
    instance = launch(alice)
    path = f"/servers/{instance.pk}/action"
    assert ask("post", path, {"os-start": None}).status_code == 409
    assert ask("post", path, {"os-stop": None}).status_code == 202
    settle()
    assert ask("get", f"/servers/{instance.pk}").json()["server"]["status"] == "SHUTOFF"
    assert ask("post", path, {"reboot": {"type": "SOFT"}}).status_code == 409
    assert ask("post", path, {"reboot": {"type": "LUKEWARM"}}).status_code == 400
    assert ask("post", path, {"dance": None}).status_code == 400
    assert ask("post", path, {"lock": None}).status_code == 202
    assert ask("get", f"/servers/{instance.pk}").json()["server"]["locked"] is True


def test_lists_page_by_marker_and_filter(ask, launch, alice):
    launch(alice, name="web", count=5)
    first = ask("get", "/servers?limit=2").json()
    assert len(first["servers"]) == 2
    following = first["servers_links"][0]["href"].split(V21)[1]
    second = ask("get", following).json()["servers"]
    assert not {row["id"] for row in second} & {row["id"] for row in first["servers"]}
    assert [
        row["name"]
        for row in ask("get", "/servers?name=web-[34]&sort_key=name&sort_dir=asc").json()["servers"]
    ] == [
        "web-3",
        "web-4",
    ]
    assert ask("get", "/servers?status=SHUTOFF").json()["servers"] == []
    assert ask("get", "/servers?status=NONSENSE").json()["servers"] == []
    assert ask("get", "/servers?limit=-1").status_code == 400
    assert ask("get", "/servers?marker=no").status_code == 400
    paged = (
        ask("get", "/servers?limit=2&sort_key=host&sort_dir=asc")
        .json()["servers_links"][0]["href"]
        .split(V21)[1]
    )
    assert len(ask("get", paged).json()["servers"]) == 2
    assert ask("get", "/servers?changes-since=yesterday").status_code == 400


def test_a_list_needs_five_queries_whatever_its_length(ask, launch, alice, django_assert_max_num_queries):
    launch(alice, name="web", count=6)
    with django_assert_max_num_queries(5):
        assert len(ask("get", "/servers/detail").json()["servers"]) == 6


def test_a_stranger_finds_nothing(ask, launch, alice, mallory):
    instance = launch(alice)
    assert ask("get", "/servers", who=mallory).json() == {"servers": []}
    for method, path, body in (
        ("get", "", None),
        ("put", "", {"server": {"name": "mine"}}),
        ("delete", "", None),
        ("post", "/action", {"os-stop": None}),
        ("post", "/action", {"os-getConsoleOutput": {}}),
        ("post", "/remote-consoles", {"remote_console": {"protocol": "vnc", "type": "novnc"}}),
        ("get", "/metadata", None),
        ("get", "/ips", None),
        ("get", "/os-interface", None),
        ("get", "/os-security-groups", None),
    ):
        answer = ask(method, f"/servers/{instance.pk}{path}", body, who=mallory)
        assert answer.status_code == 404, (method, path)
        assert answer.json()["itemNotFound"]["code"] == 404


def test_metadata_and_addresses(ask, launch, alice):
    instance = launch(alice)
    path = f"/servers/{instance.pk}/metadata"
    assert ask("post", path, {"metadata": {"a": "1"}}).json() == {"metadata": {"a": "1"}}
    assert ask("put", f"{path}/b", {"meta": {"b": "2"}}).json() == {"meta": {"b": "2"}}
    assert ask("delete", f"{path}/a").status_code == 204
    assert ask("get", path).json() == {"metadata": {"b": "2"}}
    assert ask("get", f"{path}/a").status_code == 404
    assert list(ask("get", f"/servers/{instance.pk}/ips").json()["addresses"]) == ["private"]
    assert ask("get", f"/servers/{instance.pk}/ips/none").status_code == 404


def test_keypairs_below_and_above_their_versions(ask):
    made = ask("post", "/os-keypairs", {"keypair": {"name": "k"}}, mv="2.1")
    assert made.status_code == 200
    assert "PRIVATE KEY" in made.json()["keypair"]["private_key"]
    public = made.json()["keypair"]["public_key"]
    assert (
        ask("post", "/os-keypairs", {"keypair": {"name": "k", "public_key": public}}, mv="2.10").status_code
        == 409
    )
    assert (
        ask("post", "/os-keypairs", {"keypair": {"name": "x", "public_key": "ssh-rsa no"}}).status_code == 400
    )
    assert ask("post", "/os-keypairs", {"keypair": {"name": "x"}}).status_code == 400
    assert ask("post", "/os-keypairs", {"keypair": {"name": "y", "public_key": public}}).status_code == 201
    assert [p["keypair"]["name"] for p in ask("get", "/os-keypairs").json()["keypairs"]] == ["k", "y"]
    assert ask("get", "/os-keypairs/k").json()["keypair"]["fingerprint"].count(":") == 15
    assert ask("delete", "/os-keypairs/k").status_code == 204
    assert ask("get", "/os-keypairs/k").status_code == 404


def test_flavors_limits_zones_quotas(ask, flavor, large, host, alice, ada, lab):
    assert [f["name"] for f in ask("get", "/flavors").json()["flavors"]] == ["m1.nano", "m1.large"]
    assert ask("get", "/flavors/detail?minRam=1000").json()["flavors"][0]["name"] == "m1.large"
    assert ask("get", "/flavors/nothing").status_code == 404
    assert ask("get", "/limits").json()["limits"]["absolute"]["maxTotalInstances"] == 10
    assert ask("get", "/os-availability-zone").json()["availabilityZoneInfo"][0]["zoneName"] == "nova"
    assert ask("get", "/os-availability-zone/detail").status_code == 403
    path = f"/os-quota-sets/{lab.pk}"
    assert ask("put", path, {"quota_set": {"instances": 3}}).status_code == 403
    assert ask("put", path, {"quota_set": {"instances": 3}}, who=ada).json()["quota_set"]["instances"] == 3
    assert ask("get", path).json()["quota_set"]["instances"] == 3
    assert ask("delete", path, who=ada).status_code == 202
    assert ask("get", f"{path}/detail").json()["quota_set"]["instances"] == {
        "limit": 10,
        "in_use": 0,
        "reserved": 0,
    }


def test_unknown_paths_and_methods_answer_as_nova_does(ask):
    assert ask("get", "/os-nothing").json()["itemNotFound"]["code"] == 404
    assert ask("patch", "/servers").status_code == 405
    answer = ask("post", "/servers", body=None)
    assert answer.status_code in (400, 415)


@pytest.mark.parametrize("pattern", ["(a%2B)%2B$", "(a|a)*b", "a*a*a*a*b", "[", "x" * 300])
def test_patterns_that_would_keep_the_database_busy_are_refused(ask, pattern):
    assert ask("get", f"/servers?name={pattern}").status_code == 400
    assert ask("get", "/servers?name=^web-(a|b)[*%2B].*[0-9]%2B\\.x$").status_code == 200
