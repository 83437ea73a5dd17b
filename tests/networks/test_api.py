import uuid

import pytest

from apps.networks import operations
from apps.networks.models import Network, Port

pytestmark = pytest.mark.django_db

V2 = "/network/v2.0"


@pytest.fixture
def call(api):
    """`call(ctx, "GET", "/networks")` is (status, body)."""
    clients = {}

    def call(ctx, method, path, body=None, **headers):
        client = clients.setdefault(ctx.user_id, api(ctx))
        given = {"data": body, "content_type": "application/json"} if body is not None else {}
        response = getattr(client, method.lower())(V2 + path, headers=headers, **given)
        return response.status_code, response.json() if response.content else None

    return call


def kind(answer):
    status, body = answer
    assert set(body["NeutronError"]) == {"type", "message", "detail"}
    return status, body["NeutronError"]["type"]


def test_versions_need_no_token(client):
    for path in ("/network", "/network/"):
        (version,) = client.get(path).json()["versions"]
        assert version == {
            "id": "v2.0",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": "http://testserver/network/v2.0/"}],
        }
    names = {resource["name"] for resource in client.get("/network/v2.0/").json()["resources"]}
    assert {"network", "port", "floatingip", "security_group"} <= names
    assert client.get("/network/v2.0/networks").status_code == 401
    response = client.get("/network/v2.0/trunks")
    assert (response.status_code, response.json()["NeutronError"]["type"]) == (404, "HTTPNotFound")


def test_extensions_are_those_that_are_true(alice, call):
    _, body = call(alice, "GET", "/extensions")
    aliases = {extension["alias"] for extension in body["extensions"]}
    assert "router" in aliases
    assert call(alice, "GET", "/extensions/router")[0] == 200
    assert call(alice, "GET", "/extensions/trunk")[0] == 404


def test_a_network_as_clients_make_it(alice, call, settle):
    status, body = call(alice, "POST", "/networks", {"network": {"name": "n1", "admin_state_up": True}})
    assert status == 201
    network = body["network"]
    assert network["tenant_id"] == network["project_id"] == alice.project_id
    assert (network["mtu"], network["subnets"], network["router:external"]) == (1442, [], False)
    assert network["created_at"].endswith("Z")
    assert "provider:network_type" not in network
    status, body = call(
        alice,
        "POST",
        "/subnets",
        {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24", "name": "s"}},
    )
    assert status == 201
    subnet = body["subnet"]
    assert subnet["gateway_ip"] == "10.0.0.1"
    assert subnet["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    settle()
    _, body = call(alice, "GET", f"/networks/{network['id']}")
    assert (body["network"]["status"], body["network"]["subnets"]) == ("ACTIVE", [subnet["id"]])
    status, body = call(alice, "PUT", f"/networks/{network['id']}", {"network": {"name": "n2"}})
    assert (status, body["network"]["name"]) == (200, "n2")
    assert body["network"]["revision_number"] > network["revision_number"]
    assert call(alice, "DELETE", f"/networks/{network['id']}") == (204, None)
    assert kind(call(alice, "GET", f"/networks/{network['id']}")) == (404, "NetworkNotFound")


def test_subnets_without_a_gateway(alice, private, call):
    body = {"network_id": str(private.pk), "cidr": "10.2.0.0/24", "gateway_ip": None, "enable_dhcp": "false"}
    status, body = call(alice, "POST", "/subnets", {"subnet": body})
    assert (status, body["subnet"]["gateway_ip"], body["subnet"]["enable_dhcp"]) == (201, None, False)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/networks", {"network": {"nam": "x"}}, (400, "HTTPBadRequest")),
        ("/networks", {"network": {"status": "ACTIVE"}}, (400, "HTTPBadRequest")),
        ("/networks", {"network": {"name": 5}}, (400, "InvalidInput")),
        ("/networks", {"network": {"name": "x" * 256}}, (400, "InvalidInput")),
        ("/networks", {"network": {"shared": True}}, (403, "PolicyNotAuthorized")),
        ("/networks", {"net": {}}, (400, "HTTPBadRequest")),
        ("/networks", {"networks": [{"name": "ok"}, {"nope": 1}]}, (400, "HTTPBadRequest")),
        ("/subnets", {"subnet": {"cidr": "10.0.0.0/24"}}, (400, "HTTPBadRequest")),
        ("/subnets", {"subnet": {"cidr": "10.0.0.0/24", "network_id": "x"}}, (404, "NetworkNotFound")),
        ("/ports", {"port": {"network_id": str(uuid.uuid4())}}, (404, "NetworkNotFound")),
        (
            "/security-groups",
            {"security_group": {"name": "default"}},
            (409, "SecurityGroupDefaultAlreadyExists"),
        ),
    ],
)
def test_refusals_in_neutrons_words(alice, call, path, body, expected):
    assert kind(call(alice, "POST", path, body)) == expected
    assert not Network.objects.exists()


def test_bodies_that_are_not_json(alice, api):
    response = api(alice).post(f"{V2}/networks", data="{", content_type="application/json")
    assert (response.status_code, response.json()["NeutronError"]["type"]) == (400, "HTTPBadRequest")


def test_quota_is_a_conflict(alice, ada, call):
    assert call(ada, "PUT", f"/quotas/{alice.project_id}", {"quota": {"network": 1}})[0] == 200
    assert call(alice, "POST", "/networks", {"network": {}})[0] == 201
    answer = call(alice, "POST", "/networks", {"network": {}})
    assert kind(answer) == (409, "OverQuota")
    assert "1 of 1" in answer[1]["NeutronError"]["message"]


def test_quotas(alice, ada, mallory, call):
    own = f"/quotas/{alice.project_id}"
    assert call(alice, "GET", own)[1]["quota"]["network"] == 100
    assert call(alice, "GET", f"{own}/default")[1]["quota"]["port"] == 500
    call(alice, "POST", "/networks", {"network": {}})
    details = call(alice, "GET", f"{own}/details.json")[1]["quota"]
    assert details["network"] == {"limit": 100, "used": 1, "reserved": 0}
    assert call(alice, "PUT", own, {"quota": {"network": 1000}})[0] == 403
    assert call(mallory, "GET", own)[0] == 403
    call(ada, "PUT", own, {"quota": {"network": 7}})
    assert call(ada, "GET", "/quotas")[1]["quotas"][0]["network"] == 7
    assert call(ada, "DELETE", own)[0] == 204
    assert call(alice, "GET", own)[1]["quota"]["network"] == 100


def test_several_at_once_or_none(alice, call):
    status, body = call(alice, "POST", "/networks", {"networks": [{"name": "a"}, {"name": "b"}]})
    assert (status, [network["name"] for network in body["networks"]]) == (201, ["a", "b"])


def test_lists_are_filtered_by_any_attribute(alice, ada, private, public, call):
    other = operations.create_network(alice, name="other")

    def names(query):
        status, body = call(alice, "GET", f"/networks?{query}")
        assert status == 200
        return sorted(network["name"] for network in body["networks"])

    assert names("") == ["other", "private", "public"]
    assert names("name=private&name=other") == ["other", "private"]
    assert names("router:external=True") == ["public"]
    assert names("router:external=false&name=other") == ["other"]
    assert names(f"id={other.pk}&id={private.pk}") == ["other", "private"]
    assert names("id=nonsense") == []
    assert names(f"tenant_id={alice.project_id}") == ["other", "private"]
    assert names(f"project_id={ada.project_id}") == ["public"]
    assert names("mtu=1500") == ["public"]
    assert names(f"subnets={private.subnets.get().pk}") == ["private"]
    assert kind(call(alice, "GET", "/networks?colour=red")) == (400, "InvalidInput")


def test_fields_limit_the_keys(alice, private, call):
    _, body = call(alice, "GET", "/networks?fields=id&fields=name&fields=unknown")
    assert body == {"networks": [{"id": str(private.pk), "name": "private"}]}
    _, body = call(alice, "GET", f"/networks/{private.pk}?fields=name")
    assert body == {"network": {"name": "private"}}


def test_pages(alice, call):
    for name in "abcde":
        operations.create_network(alice, name=name)

    def page(path):
        _, body = call(alice, "GET", path)
        links = {link["rel"]: link["href"].split(V2)[1] for link in body.get("networks_links", ())}
        return [network["name"] for network in body["networks"]], links

    assert page("/networks") == (list("abcde"), {})
    names, links = page("/networks?limit=2&sort_key=name&sort_dir=desc")
    assert (names, set(links)) == (["e", "d"], {"next"})
    names, links = page(links["next"])
    assert (names, set(links)) == (["c", "b"], {"next", "previous"})
    back, _ = page(links["previous"])
    assert back == ["e", "d"]
    names, links = page(links["next"])
    assert (names, set(links)) == (["a"], {"previous"})
    assert kind(call(alice, "GET", "/networks?limit=-1"))[0] == 400
    assert kind(call(alice, "GET", "/networks?marker=nope&limit=1"))[0] == 400
    assert kind(call(alice, "GET", "/networks?sort_key=subnets"))[0] == 400


def test_lists_take_few_queries(alice, private, router, call, django_assert_max_num_queries):
    for _ in range(3):
        operations.create_port(alice, network=private)
    call(alice, "GET", "/security-groups")
    paths = (
        "networks",
        "subnets",
        "ports",
        "routers",
        "floatingips",
        "security-groups",
        "security-group-rules",
    )
    for path in paths:
        with django_assert_max_num_queries(5):
            assert call(alice, "GET", f"/{path}")[0] == 200


def test_an_outdated_change_is_refused(alice, private, call):
    path, body = f"/networks/{private.pk}", {"network": {"name": "x"}}
    answer = call(alice, "PUT", path, body, **{"If-Match": "revision_number=99"})
    assert kind(answer) == (412, "RevisionNumberConstraintFailed")
    assert call(alice, "PUT", path, body, **{"If-Match": f"revision_number={private.revision}"})[0] == 200


def test_tags(alice, private, call):
    path = f"/networks/{private.pk}/tags"
    assert call(alice, "PUT", path, {"tags": ["red", "blue"]})[0] == 200
    assert call(alice, "PUT", f"{path}/green")[0] == 201
    assert call(alice, "GET", f"{path}/green")[0] == 204
    assert call(alice, "DELETE", f"{path}/red")[0] == 204
    assert call(alice, "GET", f"{path}/red")[0] == 404
    assert call(alice, "GET", path)[1] == {"tags": ["blue", "green"]}
    operations.create_network(alice, name="bare")
    for query, found in (
        ("tags=blue,green", ["private"]),
        ("tags=blue,red", []),
        ("tags-any=red,blue", ["private"]),
        ("not-tags=blue", ["bare"]),
        ("not-tags-any=blue,red", ["bare"]),
    ):
        _, body = call(alice, "GET", f"/networks?{query}")
        assert [network["name"] for network in body["networks"]] == found
    assert call(alice, "DELETE", path)[0] == 204
    assert call(alice, "GET", path)[1] == {"tags": []}


def test_administrators_see_all_and_provider_attributes(alice, ada, private, call):
    _, body = call(ada, "GET", f"/networks/{private.pk}")
    assert body["network"]["provider:network_type"] == "geneve"
    assert body["network"]["provider:segmentation_id"] is None
    body = {
        "network": {"provider:network_type": "flat", "provider:physical_network": "physnet1", "shared": True}
    }
    assert call(alice, "POST", "/networks", body)[0] == 403
    status, body = call(ada, "POST", "/networks", body)
    assert (status, body["network"]["provider:physical_network"]) == (201, "physnet1")
    status, body = call(ada, "POST", "/networks", {"network": {"tenant_id": alice.project_id}})
    assert (status, body["network"]["project_id"]) == (201, alice.project_id)


def test_ports(alice, private, call, settle):
    subnet = str(private.subnets.get().pk)
    body = {
        "network_id": str(private.pk),
        "name": "p",
        "fixed_ips": [{"subnet_id": subnet, "ip_address": "10.0.0.9"}],
        "binding:vnic_type": "normal",
        "tags": ["red"],
    }
    status, body = call(alice, "POST", "/ports", {"port": body})
    assert status == 201
    port = body["port"]
    assert port["fixed_ips"] == [{"subnet_id": subnet, "ip_address": "10.0.0.9"}]
    assert (port["binding:vnic_type"], port["tags"]) == ("normal", ["red"])
    assert "binding:host_id" not in port
    operations.create_port(alice, network=private, name="q", device_id="vm1", device_owner="compute:nova")

    def names(query):
        return [port["name"] for port in call(alice, "GET", f"/ports?{query}")[1]["ports"]]

    assert names("fixed_ips=ip_address=10.0.0.9") == ["p"]
    assert names(f"fixed_ips=subnet_id={subnet}") == ["p", "q"]
    assert names(f"fixed_ips=subnet_id={subnet}&fixed_ips=ip_address_substr=0.9") == ["p"]
    assert names("device_id=vm1") == ["q"]
    assert names("device_id=") == ["p"]
    assert names(f"security_groups={port['security_groups'][0]}") == ["p", "q"]
    assert names(f"mac_address={port['mac_address'].upper()}") == ["p"]
    status, body = call(alice, "PUT", f"/ports/{port['id']}", {"port": {"security_groups": [], "name": "r"}})
    assert (status, body["port"]["security_groups"], body["port"]["name"]) == (200, [], "r")
    assert kind(call(alice, "PUT", f"/ports/{port['id']}", {"port": {"binding:host_id": "hv1"}}))[0] == 403
    assert call(alice, "DELETE", f"/ports/{port['id']}")[0] == 204


def test_routers_and_floating_ips(alice, private, public, host, call, settle):
    status, body = call(
        alice,
        "POST",
        "/routers",
        {"router": {"name": "r", "external_gateway_info": {"network_id": str(public.pk)}}},
    )
    assert status == 201
    router = body["router"]
    assert router["external_gateway_info"]["enable_snat"] is True
    assert router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"].startswith("172.24.4.")
    subnet = str(private.subnets.get().pk)
    path = f"/routers/{router['id']}"
    status, body = call(alice, "PUT", f"{path}/add_router_interface", {"subnet_id": subnet})
    assert status == 200
    assert (body["id"], body["subnet_ids"], body["network_id"]) == (router["id"], [subnet], str(private.pk))
    route = {"destination": "10.9.0.0/16", "nexthop": "10.0.0.77"}
    status, body = call(alice, "PUT", f"{path}/add_extraroutes", {"router": {"routes": [route]}})
    assert (status, body["router"]["routes"]) == (200, [route])
    assert (
        call(alice, "PUT", f"{path}/remove_extraroutes", {"router": {"routes": [route]}})[1]["router"][
            "routes"
        ]
        == []
    )

    port = operations.create_port(alice, network=private, name="web", device_id="vm1", host="hv1")
    status, body = call(
        alice, "POST", "/floatingips", {"floatingip": {"floating_network_id": str(public.pk)}}
    )
    assert (status, body["floatingip"]["status"], body["floatingip"]["port_id"]) == (201, "DOWN", None)
    floating = f"/floatingips/{body['floatingip']['id']}"
    status, body = call(alice, "PUT", floating, {"floatingip": {"port_id": str(port.pk)}})
    assert (status, body["floatingip"]["router_id"]) == (200, router["id"])
    assert body["floatingip"]["port_details"]["name"] == "web"
    settle()
    assert call(alice, "GET", floating)[1]["floatingip"]["status"] == "ACTIVE"
    assert kind(call(alice, "PUT", f"{path}/remove_router_interface", {"subnet_id": subnet})) == (
        409,
        "RouterInterfaceInUseByFloatingIP",
    )
    status, body = call(alice, "PUT", floating, {"floatingip": {"port_id": None}})
    assert (status, body["floatingip"]["fixed_ip_address"]) == (200, None)
    assert call(alice, "DELETE", floating)[0] == 204
    assert kind(call(alice, "DELETE", path)) == (409, "RouterInUse")
    assert call(alice, "PUT", f"{path}/remove_router_interface", {"subnet_id": subnet})[0] == 200
    status, body = call(alice, "PUT", path, {"router": {"external_gateway_info": None}})
    assert (status, body["router"]["external_gateway_info"]) == (200, None)
    assert call(alice, "DELETE", path)[0] == 204


def test_gateways_to_nowhere(alice, private, call):
    bad = {"router": {"external_gateway_info": {"network_id": str(private.pk)}}}
    assert kind(call(alice, "POST", "/routers", bad)) == (400, "BadRequest")
    bad["router"]["external_gateway_info"]["network_id"] = str(uuid.uuid4())
    assert kind(call(alice, "POST", "/routers", bad)) == (404, "NetworkNotFound")


def test_security_groups(alice, call):
    _, body = call(alice, "GET", "/security-groups")
    (default,) = body["security_groups"]
    assert (default["name"], len(default["security_group_rules"])) == ("default", 4)
    status, body = call(alice, "POST", "/security-groups", {"security_group": {"name": "web"}})
    assert (status, len(body["security_group"]["security_group_rules"])) == (201, 2)
    rule = {
        "security_group_id": body["security_group"]["id"],
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "port_range_min": 80,
        "port_range_max": 80,
        "remote_ip_prefix": None,
        "remote_group_id": None,
    }
    status, body = call(alice, "POST", "/security-group-rules", {"security_group_rule": rule})
    assert (status, body["security_group_rule"]["protocol"]) == (201, "tcp")
    assert kind(call(alice, "POST", "/security-group-rules", {"security_group_rule": rule})) == (
        409,
        "SecurityGroupRuleExists",
    )
    path = f"/security-group-rules/{body['security_group_rule']['id']}"
    assert call(alice, "PUT", path, {"security_group_rule": {}})[0] == 405
    assert call(alice, "DELETE", path)[0] == 204
    assert kind(call(alice, "DELETE", f"/security-groups/{default['id']}"))[0] == 409


def test_a_stranger_reaches_nothing(alice, mallory, private, router, call):
    port = operations.create_port(alice, network=private)
    group = operations.default_security_group(alice.project_id)
    floating = operations.create_floating_ip(alice, network=router.external_network, port=port)
    things = {
        "networks": (private, "network"),
        "subnets": (private.subnets.get(), "subnet"),
        "ports": (port, "port"),
        "routers": (router, "router"),
        "floatingips": (floating, "floatingip"),
        "security-groups": (group, "security_group"),
        "security-group-rules": (group.rules.first(), "security_group_rule"),
    }
    for collection, (row, key) in things.items():
        path = f"/{collection}/{row.pk}"
        assert call(mallory, "GET", path)[0] == 404
        if collection != "security-group-rules":
            assert call(mallory, "PUT", path, {key: {"description": "x"}})[0] == 404
            assert call(mallory, "GET", f"{path}/tags")[0] == 404
            assert call(mallory, "PUT", f"{path}/tags", {"tags": []})[0] == 404
            assert call(mallory, "DELETE", f"{path}/tags")[0] == 404
            assert call(mallory, "PUT", f"{path}/tags/x")[0] == 404
        assert call(mallory, "DELETE", path)[0] == 404
        _, body = call(mallory, "GET", f"/{collection}")
        assert str(row.pk) not in str(body)
    subnet = {"subnet_id": str(private.subnets.get().pk)}
    for action in ("add_router_interface", "remove_router_interface"):
        assert call(mallory, "PUT", f"/routers/{router.pk}/{action}", subnet)[0] == 404
    for action in ("add_extraroutes", "remove_extraroutes"):
        assert call(mallory, "PUT", f"/routers/{router.pk}/{action}", {"router": {"routes": []}})[0] == 404
    own = operations.create_network(mallory, name="own")
    reached = {
        "/ports": {"port": {"network_id": str(private.pk)}},
        "/subnets": {"subnet": {"network_id": str(private.pk), "cidr": "10.9.0.0/24"}},
        "/floatingips": {
            "floatingip": {"floating_network_id": str(router.external_network_id), "port_id": str(port.pk)}
        },
        "/security-group-rules": {
            "security_group_rule": {"security_group_id": str(group.pk), "direction": "egress"}
        },
    }
    for path, body in reached.items():
        assert call(mallory, "POST", path, body)[0] == 404
    body = {"port": {"network_id": str(own.pk), "security_groups": [str(group.pk)]}}
    assert call(mallory, "POST", "/ports", body)[0] == 404
    assert Port.objects.filter(project_id=mallory.project_id).count() == 0


def test_names_that_are_no_ids_are_not_found(alice, call):
    for path in ("networks", "subnets", "ports", "routers", "floatingips", "security-groups"):
        assert call(alice, "GET", f"/{path}/web")[0] == 404


def test_availability_zones(alice, host, call):
    zones = call(alice, "GET", "/availability_zones")[1]["availability_zones"]
    assert {"name": "nova", "resource": "network", "state": "available"} in zones


def test_readers_read(reader, private, call):
    assert call(reader, "GET", f"/networks/{private.pk}")[0] == 200
    assert kind(call(reader, "DELETE", f"/networks/{private.pk}")) == (403, "PolicyNotAuthorized")
    assert Network.objects.visible_to(reader).exists()


def test_nobody_says_that_a_port_is_of_an_instance(alice, mallory, ada, call, private):
    """The metadata service tells the instance's secrets to whoever has such a port's address."""
    port = {"network_id": str(private.pk), "device_owner": "compute:nova"}
    victim = str(uuid.uuid4())
    refused = call(alice, "POST", "/ports", {"port": port | {"device_id": victim}})
    assert kind(refused) == (403, "PolicyNotAuthorized")
    _, body = call(alice, "POST", "/ports", {"port": port})
    path = f"/ports/{body['port']['id']}"
    assert kind(call(alice, "PUT", path, {"port": {"device_id": victim}}))[0] == 403
    assert call(alice, "PUT", path, {"port": {"device_id": "", "name": "n"}})[0] == 200
    assert call(ada, "PUT", path, {"port": {"device_id": victim}})[0] == 200
    assert call(alice, "PUT", path, {"port": {"device_id": victim}})[0] == 200  # as it is


@pytest.mark.parametrize(
    "posing",
    [
        {"fixed_ips": [{"ip_address": "10.7.0.1"}]},
        {"mac_address": "fa:16:3e:00:00:01"},
        {"port_security_enabled": False},
    ],
)
def test_in_anothers_network_a_port_poses_as_nobody(ada, mallory, call, posing):
    shared = operations.create_network(ada, name="shared", shared=True)
    operations.create_subnet(ada, network=shared, cidr="10.7.0.0/24")
    asked = {"network_id": str(shared.pk)}
    assert kind(call(mallory, "POST", "/ports", {"port": asked | posing}))[0] == 403
    _, body = call(mallory, "POST", "/ports", {"port": asked})
    assert kind(call(mallory, "PUT", f"/ports/{body['port']['id']}", {"port": posing}))[0] == 403


def test_a_routers_address_outside_is_not_chosen_by_members(alice, public, call):
    gateway = {"network_id": str(public.pk), "external_fixed_ips": [{"ip_address": "172.24.4.1"}]}
    assert kind(call(alice, "POST", "/routers", {"router": {"external_gateway_info": gateway}}))[0] == 403


def test_a_marker_is_one_of_ones_own(alice, mallory, call, private):
    assert call(alice, "GET", f"/networks?limit=1&marker={private.pk}")[0] == 200
    assert call(mallory, "GET", f"/networks?limit=1&marker={private.pk}")[0] == 400
