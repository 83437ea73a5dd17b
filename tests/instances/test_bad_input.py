"""Whatever is sent to compute is answered; what is no good is refused in Nova's form."""

import pytest

from apps.instances.keypairs import generate
from apps.quotas.models import Limit
from tests.bad_input import complaints

V21 = "/compute/v2.1"
LATEST = {"OpenStack-API-Version": "compute 2.96"}


def is_novas(body: dict) -> bool:
    (error,) = body.values()
    return set(error) == {"code", "message"} and bool(error["message"])


@pytest.fixture
def check(api, lab):
    for resource in ("instances", "cores", "ram", "port"):
        Limit.objects.create(project=lab, resource=resource, limit=100000)

    def check(ctx, method: str, path: str, body, headers=LATEST):
        found = complaints(api(ctx), method, V21 + path, body, is_novas, headers)
        assert not found, "\n".join(found)

    return check


def test_launches(check, alice, host, image, flavor, private):
    server = {
        "name": "web",
        "imageRef": str(image.pk),
        "flavorRef": "1",
        "networks": [{"uuid": str(private.pk), "fixed_ip": "10.0.0.77", "tag": "t"}],
        "key_name": "k",
        "security_groups": [{"name": "default"}],
        "user_data": "Iw==",
        "config_drive": False,
        "metadata": {"a": "b"},
        "availability_zone": "nova",
        "min_count": 1,
        "max_count": 1,
        "return_reservation_id": False,
        "block_device_mapping_v2": [
            {
                "uuid": str(image.pk),
                "source_type": "image",
                "destination_type": "local",
                "boot_index": 0,
                "delete_on_termination": True,
            }
        ],
        "adminPass": "p",
        "accessIPv4": "10.0.0.1",
        "accessIPv6": "::1",
        "OS-DCF:diskConfig": "AUTO",
        "description": "d",
        "tags": ["a"],
        "hostname": "web",
    }
    check(alice, "post", "/servers", {"server": server, "os:scheduler_hints": {}})
    del server["key_name"], server["block_device_mapping_v2"]
    check(alice, "post", "/servers", {"server": server, "os:scheduler_hints": {}})


def test_updates_metadata_and_consoles(check, alice, launch):
    path = f"/servers/{launch(alice).pk}"
    server = {
        "name": "web",
        "accessIPv4": "10.0.0.1",
        "accessIPv6": "::1",
        "OS-DCF:diskConfig": "AUTO",
        "description": "d",
        "hostname": "web",
    }
    check(alice, "put", path, {"server": server})
    check(alice, "post", f"{path}/metadata", {"metadata": {"a": "b"}})
    check(alice, "put", f"{path}/metadata", {"metadata": {"a": "b"}})
    check(alice, "put", f"{path}/metadata/a", {"meta": {"a": "b"}})
    check(alice, "post", f"{path}/remote-consoles", {"remote_console": {"protocol": "vnc", "type": "novnc"}})


@pytest.mark.parametrize(
    "action",
    [
        {"reboot": {"type": "SOFT"}},
        {"lock": {"locked_reason": "r"}},
        {"unlock": None},
        {"os-start": None},
        {"os-stop": None},
    ],
)
def test_actions(check, alice, launch, action):
    check(alice, "post", f"/servers/{launch(alice).pk}/action", action)


def test_old_consoles(check, alice, launch):
    path = f"/servers/{launch(alice).pk}/action"
    check(alice, "post", path, {"os-getVNCConsole": {"type": "novnc"}}, headers={})


def test_key_pairs_flavors_and_quotas(check, alice, ada, lab, flavor):
    public = generate("x")[1]
    check(alice, "post", "/os-keypairs", {"keypair": {"name": "k", "public_key": public, "type": "ssh"}})
    made = {
        "name": "f",
        "id": "f",
        "ram": 1,
        "vcpus": 1,
        "disk": 1,
        "swap": 0,
        "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "os-flavor-access:is_public": True,
        "description": "d",
    }
    check(ada, "post", "/flavors", {"flavor": made})
    check(ada, "put", "/flavors/1", {"flavor": {"description": "d"}})
    check(ada, "put", f"/os-quota-sets/{lab.pk}", {"quota_set": {"instances": 1, "force": True}})


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=99999999999999999999",
        "marker=x",
        "sort_key=x",
        "sort_dir=x",
        "name=[",
        "name=%00",
        "ip=(",
        "image=x",
        "flavor=%00",
        "changes-since=x",
        "changes-since=99999-01-01",
        "locked=x",
        "tags=%00",
        "uuid=x",
        "all_tenants=x",
        "deleted=x",
        "config_drive=x",
    ],
)
def test_queries(api, alice, ada, launch, query):
    launch(alice)
    for ctx in (alice, ada):
        for path in ("servers", "servers/detail", "flavors", "os-keypairs"):
            answer = api(ctx).get(f"{V21}/{path}?{query}", headers=LATEST)
            assert answer.status_code < 500, (path, query, answer.content)
            assert answer.status_code == 200 or is_novas(answer.json())
