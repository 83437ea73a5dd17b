"""The network API as the unmodified openstack client and SDK use it."""

import uuid

import pytest


@pytest.fixture
def name() -> str:
    return f"wire-{uuid.uuid4().hex[:8]}"


def quiet(cloud):
    """For commands that answer nothing."""
    return lambda *words, **options: cloud.openstack(*words, "--text", **options)


def test_a_network_with_router_and_floating_ip(cloud, name):
    """Each command as people type it; what it made is gone at the end."""
    run, do = cloud.openstack, quiet(cloud)
    network = run("network", "create", name, "--description", "一张网")
    assert network["description"] == "一张网"
    octet = uuid.uuid4().int % 200 + 20
    subnet = run(
        "subnet", "create", f"{name}-s", "--network", name, "--subnet-range", f"10.77.{octet}.0/24",
        "--dns-nameserver", "9.9.9.9", "--allocation-pool", f"start=10.77.{octet}.50,end=10.77.{octet}.60",
    )  # fmt: skip
    assert subnet["gateway_ip"] == f"10.77.{octet}.1"
    run("router", "create", f"{name}-r")
    do("router", "set", f"{name}-r", "--external-gateway", "public")
    do("router", "add", "subnet", f"{name}-r", f"{name}-s")
    assert run("router", "show", f"{name}-r")["interfaces_info"][0]["ip_address"] == f"10.77.{octet}.1"
    port = run(
        "port", "create", f"{name}-p", "--network", name, "--fixed-ip",
        f"subnet={name}-s,ip-address=10.77.{octet}.55", "--tag", "red",
    )  # fmt: skip
    assert port["fixed_ips"][0]["ip_address"] == f"10.77.{octet}.55"
    assert [row["Name"] for row in run("port", "list", "--network", name, "--tags", "red")] == [f"{name}-p"]
    floating = run("floating", "ip", "create", "public", "--port", f"{name}-p")
    assert floating["fixed_ip_address"] == f"10.77.{octet}.55"
    address = floating["floating_ip_address"]
    assert run("floating", "ip", "show", address)["port_id"] == port["id"]
    refused = do("router", "remove", "subnet", f"{name}-r", f"{name}-s", check=False)
    assert "required by one or more floating IPs" in refused.stderr
    do("floating", "ip", "unset", "--port", address)
    do("floating", "ip", "delete", address)
    do("port", "delete", f"{name}-p")
    do("router", "remove", "subnet", f"{name}-r", f"{name}-s")
    do("router", "unset", "--external-gateway", f"{name}-r")
    do("router", "delete", f"{name}-r")
    do("network", "set", "--name", f"{name}-2", "--mtu", "1400", name)
    assert run("network", "show", f"{name}-2")["mtu"] == 1400
    do("subnet", "delete", f"{name}-s")
    do("network", "delete", f"{name}-2")
    assert name not in str(run("network", "list"))


def test_security_groups(cloud, name):
    run, do = cloud.openstack, quiet(cloud)
    run("security", "group", "create", name)
    made = run(
        "security", "group", "rule", "create", name, "--protocol", "tcp", "--dst-port", "80:90",
        "--remote-ip", "10.0.0.0/8",
    )  # fmt: skip
    run("security", "group", "rule", "create", name, "--protocol", "icmp")
    run("security", "group", "rule", "create", name, "--ethertype", "IPv6", "--remote-group", name)
    again = run("security", "group", "rule", "create", name, "--protocol", "icmp", check=False)
    assert "already exists" in again.stderr
    assert len(run("security", "group", "rule", "list", name)) == 5
    do("security", "group", "rule", "delete", made["id"])
    assert len(run("security", "group", "show", name)["rules"]) == 4
    do("security", "group", "delete", name)
    assert "default" in str(run("security", "group", "list"))


def test_what_is_asked_about_the_whole(cloud):
    run = cloud.openstack
    assert run("network", "list", "--external")[0]["Name"] == "public"
    assert {zone["Zone Name"] for zone in run("availability", "zone", "list", "--network")} == {"nova"}
    assert "router" in [row["Alias"] for row in run("extension", "list", "--network")]
    quotas = {row["Resource"]: row["Limit"] for row in run("quota", "show", "--network")}
    assert quotas["networks"] == 100
    usage = {row["Resource"]: row for row in run("quota", "show", "--network", "--usage")}
    assert usage["networks"]["In Use"] >= 1


def test_the_sdk_pages_through_lists(cloud, name):
    sdk = cloud.connection()
    made = [sdk.network.create_network(name=f"{name}-{n}") for n in range(5)]
    try:
        listed = [network.name for network in sdk.network.networks(limit=2) if network.name.startswith(name)]
        assert sorted(listed) == [network.name for network in made]
        found = sdk.network.find_network(f"{name}-3")
        assert found.id == made[3].id
        sdk.network.set_tags(found, ["a", "b"])
        assert [n.id for n in sdk.network.networks(tags=["a", "b"])] == [found.id]
    finally:
        for network in made:
            sdk.network.delete_network(network)
