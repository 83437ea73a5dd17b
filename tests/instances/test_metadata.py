"""What a guest is told at 169.254.169.254, over HTTP, and on a config drive."""

import asyncio
import base64
import http.client
import json
import socket

import pytest
from asgiref.sync import async_to_sync

from apps.instances import metadata
from apps.instances.agent import http as agent_http
from apps.instances.agent.http import Request
from apps.instances.agent.metadata_service import networks_of, respond
from apps.instances.models import Instance, Keypair
from apps.networks.models import FixedIP, Subnet
from tests.agent.conftest import one_connection  # noqa: F401

SCRIPT = b"#!/bin/sh\necho hello\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxvY2FsIHRlc3Qga2V5IG9ubHkgMTIzNDU2Nzg5MDEy alice@lab"


@pytest.fixture
def keypair(alice):
    return Keypair.objects.create(user_id=alice.user_id, name="laptop", public_key=KEY, fingerprint="00:11")


@pytest.fixture
def instance(launch, alice, keypair):
    return launch(
        alice,
        name="web",
        keypair=keypair,
        metadata={"role": "front"},
        user_data=base64.b64encode(SCRIPT).decode(),
    )


@pytest.fixture
def address(instance):
    return FixedIP.objects.get(port__device_id=str(instance.pk)).address


@pytest.fixture
def ask(instance, private, address):
    """`ask(path)`: (status, body), as the guest gets it; `by` is another address."""

    def ask(path: str, method: str = "GET", body: bytes = b"", by: str = address):
        _, response = respond(str(private.pk), Request(method, path, by, body))
        return response.status, response.body

    return ask


def test_openstacks_form(ask, instance, lab):
    status, body = ask("/openstack/latest/meta_data.json")
    data = json.loads(body)
    assert status == 200
    assert (data["uuid"], data["name"], data["hostname"]) == (str(instance.pk), "web", "web")
    assert (data["project_id"], data["availability_zone"], data["launch_index"]) == (lab.pk, "nova", 0)
    assert data["public_keys"] == {"laptop": KEY}
    assert data["keys"] == [{"name": "laptop", "type": "ssh", "data": KEY}]
    assert (data["meta"], data["devices"], data["dedicated_cpus"]) == ({"role": "front"}, [], [])
    assert len(base64.b64decode(data["random_seed"])) == 512
    assert "admin_pass" not in data


def test_every_listed_version_has_every_listed_file(ask):
    status, body = ask("/openstack")
    versions = body.decode().split("\n")
    assert (status, versions[0], versions[-2:]) == (200, "2012-08-10", ["2018-08-27", "latest"])
    for version in versions:
        _, listing = ask(f"/openstack/{version}/")
        assert set(listing.decode().split("\n")) == {
            "meta_data.json",
            "network_data.json",
            "password",
            "user_data",
            "vendor_data.json",
            "vendor_data2.json",
        }
        for name in listing.decode().split("\n"):
            assert ask(f"/openstack/{version}/{name}")[0] == 200


def test_user_data_is_given_as_it_was(ask):
    assert ask("/openstack/latest/user_data") == (200, SCRIPT)
    assert ask("/latest/user-data") == (200, SCRIPT)


def test_without_user_data_there_is_no_such_file(ask, instance):
    Instance.objects.filter(pk=instance.pk).update(user_data="")
    assert ask("/openstack/latest/user_data")[0] == 404
    assert ask("/2009-04-04/user-data")[0] == 404
    assert ask("/latest/") == (200, b"meta-data/")


def test_the_network_in_words(ask, instance, private, address):
    _, body = ask("/openstack/latest/network_data.json")
    data = json.loads(body)
    (link,), (layer,) = data["links"], data["networks"]
    assert (link["type"], link["mtu"]) == ("ovs", private.mtu)
    assert layer == {
        "id": "network0",
        "link": link["id"],
        "network_id": str(private.pk),
        "type": "ipv4_dhcp",
    }
    Subnet.objects.update(
        enable_dhcp=False,
        dns_nameservers=["192.0.2.53"],
        host_routes=[{"destination": "198.51.100.0/24", "nexthop": "10.0.0.9"}],
    )
    data = json.loads(ask("/openstack/latest/network_data.json")[1])
    (layer,) = data["networks"]
    assert (layer["type"], layer["ip_address"], layer["netmask"]) == ("ipv4", address, "255.255.255.0")
    assert [route["network"] for route in layer["routes"]] == ["0.0.0.0", "198.51.100.0"]
    assert data["services"] == layer["services"] == [{"type": "dns", "address": "192.0.2.53"}]


def test_ec2s_form(ask, instance, address):
    _, versions = ask("/")
    assert versions.decode().split("\n")[-2:] == ["2009-04-04", "latest"]
    for version in versions.decode().split("\n"):
        assert ask(f"/{version}/") == (200, b"meta-data/\nuser-data")
    for path, value in {
        "instance-id": f"i-{instance.pk.hex[:8]}",
        "ami-id": f"ami-{instance.image_id.hex[:8]}",
        "hostname": "web",
        "local-hostname": "web",
        "local-ipv4": address,
        "public-ipv4": "",
        "instance-type": "m1.nano",
        "ami-launch-index": "0",
        "placement/availability-zone": "nova",
        "placement/": "availability-zone",
        "public-keys": "0=laptop",
        "public-keys/0/": "openssh-key",
        "public-keys/0/openssh-key": KEY,
        "block-device-mapping/": "ami\nroot",
        "block-device-mapping/root": "/dev/vda",
        "security-groups": "default",
        "reservation-id": instance.reservation_id,
    }.items():
        assert ask(f"/latest/meta-data/{path}") == (200, value.encode()), path
    listing = ask("/2009-04-04/meta-data/")[1].decode().split("\n")
    assert {"public-keys/", "placement/", "local-ipv4"} <= set(listing)


def test_what_is_not_there_is_404(ask):
    for path in (
        "/openstack/2099-01-01/meta_data.json",
        "/openstack/latest/nothing",
        "/openstack/latest/meta_data.json/x",
        "/latest/meta-data/public-keys/0/_name",
        "/latest/meta-data/public-keys/1",
        "/etc/passwd",
        "/openstack/../../etc/passwd",
    ):
        assert ask(path)[0] == 404, path


def test_strangers_are_told_nothing(ask, launch, alice, private):
    assert ask("/openstack/latest/meta_data.json", by="10.0.0.250")[0] == 404
    assert ask("/", by="10.0.0.250")[0] == 404


def test_the_neighbour_is_told_of_itself(ask, launch, alice, instance):
    other = launch(alice, name="db")
    its = FixedIP.objects.get(port__device_id=str(other.pk)).address
    assert json.loads(ask("/openstack/latest/meta_data.json", by=its)[1])["name"] == "db"


def test_a_password_is_said_once(ask, instance):
    path = "/openstack/latest/password"
    assert ask(path) == (200, b"")
    assert ask(path, "POST", b"")[0] == 400
    assert ask(path, "POST", b"x" * 1021)[0] == 400
    assert ask(path, "POST", b"c2VjcmV0")[0] == 200
    assert ask(path, "POST", b"b3RoZXI=")[0] == 409
    assert ask(path) == (200, b"c2VjcmV0")
    assert ask("/openstack/latest/user_data", "POST", b"x")[0] == 405


def test_a_config_drive_holds_the_same_and_the_password(launch, alice, keypair, ask, instance):
    drive = metadata.config_drive_files(launch(alice, name="iso", config_drive=True, admin_pass="s3cret"))
    data = json.loads(drive["openstack/latest/meta_data.json"])
    assert (data["name"], data["admin_pass"]) == ("iso", "s3cret")
    assert "openstack/latest/user_data" not in drive
    drive = metadata.config_drive_files(instance)
    assert drive["openstack/latest/user_data"] == drive["ec2/latest/user-data"] == SCRIPT
    names = {"meta_data.json", "network_data.json", "user_data", "vendor_data.json", "vendor_data2.json"}
    for version in metadata.OPENSTACK_VERSIONS:
        assert {path.split("/")[2] for path in drive if path.startswith(f"openstack/{version}/")} == names
    ec2 = json.loads(drive["ec2/2009-04-04/meta-data.json"])
    assert ec2["public-keys"] == {"0": {"openssh-key": KEY}}


def test_the_networks_served_here_are_those_of_our_instances(instance, private, alice):
    from apps.networks import operations as networks

    networks.create_network(alice, name="unused")
    (addresses,) = networks_of("hv1").values()
    assert list(networks_of("hv1")) == [str(private.pk)]
    assert [a.split("/")[1] for a in addresses] in (["24"], [])
    assert networks_of("hv2") == {}


@pytest.fixture
def over_http(private, instance, address):
    """`over_http(exchange)`: `exchange(port)` runs in a thread against the service on a loopback socket."""

    def over_http(exchange):
        async def scenario():
            from channels.db import database_sync_to_async

            async def answer(request):
                assert request.client == "127.0.0.1"
                asked = Request(request.method, request.path, address, request.body)
                return (await database_sync_to_async(respond)(str(private.pk), asked))[1]

            listening = socket.create_server(("127.0.0.1", 0))
            port = listening.getsockname()[1]
            async with await agent_http.serve(listening, answer):
                return await asyncio.to_thread(exchange, port)

        return async_to_sync(scenario)()

    return over_http


def test_over_real_http_on_one_connection(over_http, instance):
    def exchange(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        answers = []
        for method, path, body in (
            ("GET", "/openstack/latest/meta_data.json", None),
            ("GET", "/latest/meta-data/instance-id", None),
            ("HEAD", "/openstack/latest/user_data", None),
            ("POST", "/openstack/latest/password", b"c2VjcmV0"),
            ("GET", "/nothing", None),
            ("GET", "/openstack/latest/user_data", None),
        ):
            connection.request(method, path, body)
            response = connection.getresponse()
            answers.append((response.status, response.headers["Content-Type"], response.read()))
        return answers

    meta, ec2, head, password, nothing, user_data = over_http(exchange)
    assert (meta[0], meta[1]) == (200, "application/json")
    assert json.loads(meta[2])["uuid"] == str(instance.pk)
    assert ec2[2].decode() == f"i-{instance.pk.hex[:8]}"
    assert head == (200, "application/octet-stream", b"")
    assert password[0] == 200
    assert nothing[0] == 404
    assert user_data == (200, "application/octet-stream", SCRIPT)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (
            b"POST /openstack/latest/password HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
            + b"a" * 9000,
            b"413",
        ),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_hostile_requests_get_an_answer_and_the_door(over_http, sent, status):
    def exchange(port):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as guest:
            guest.sendall(sent)
            answer = b""
            while data := guest.recv(65536):
                answer += data
            return answer

    assert over_http(exchange).split(b" ")[1] == status
