"""The network drivers' contract, on paper and on a real OVN; then real packets through the real one."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from apps.core.errors import DriverError
from apps.networks import drivers
from apps.networks.drivers.base import (
    FloatingIPSpec,
    NetworkSpec,
    PortSpec,
    RouterPortSpec,
    RouterSpec,
    RuleSpec,
    SecurityGroupSpec,
    SubnetSpec,
)
from apps.networks.drivers.fake import FakeNetwork
from apps.networks.drivers.ovn import OvnDriver, watch
from cloudpanel import config
from tests.contracts.endpoints import Endpoint

NOTHING = {kind: set() for kind in ("networks", "ports", "routers", "security_groups", "floating_ips")}
TABLES = (
    "Logical_Switch", "Logical_Switch_Port", "DHCP_Options", "Port_Group", "ACL", "Logical_Router",
    "Logical_Router_Port", "Gateway_Chassis", "NAT", "Logical_Router_Static_Route",
)  # fmt: skip
EGRESS = RuleSpec("egress", "IPv4")


def new_id() -> str:
    return str(uuid.uuid4())


def new_mac() -> str:
    return "0a:" + uuid.uuid4().bytes[:5].hex(":")


class Cloud:
    """Specs of two tenant networks behind one router with a way out, a security group, ports, a floating IP."""

    def __init__(self, host: str):
        self.nets = []
        for index in (1, 2):
            subnet = SubnetSpec(
                new_id(), f"10.0.{index}.0/24", f"10.0.{index}.1", True, f"10.0.{index}.2", ("192.0.2.53",)
            )
            self.nets.append(NetworkSpec(new_id(), 1442, (subnet,)))
        outside = SubnetSpec(new_id(), "203.0.113.0/24", "203.0.113.1", False, "")
        self.public = NetworkSpec(new_id(), 1500, (outside,), "physnet1")
        self.group = SecurityGroupSpec(new_id(), (EGRESS,))
        self.group = replace(
            self.group, rules=(EGRESS, RuleSpec("ingress", "IPv4", remote_group=self.group.id))
        )
        self.ports = [
            self.port(self.nets[0], "10.0.1.10", host),
            self.port(self.nets[0], "10.0.1.11", host),
            self.port(self.nets[1], "10.0.2.10", host),
        ]
        legs = tuple(
            RouterPortSpec(
                new_id(), net.id, new_mac(), (f"{net.subnets[0].gateway}/24",), (net.subnets[0].cidr,)
            )
            for net in self.nets
        )
        gateway = RouterPortSpec(
            new_id(), self.public.id, new_mac(), ("203.0.113.10/24",), ("203.0.113.0/24",)
        )
        self.router = RouterSpec(new_id(), legs, gateway, "203.0.113.1", chassis=(host,))
        self.floating = FloatingIPSpec(
            new_id(), "203.0.113.20", self.router.id, "10.0.1.10", self.ports[0].id, new_mac()
        )

    def port(self, net: NetworkSpec, address: str, host: str) -> PortSpec:
        return PortSpec(
            new_id(),
            net.id,
            new_mac(),
            ((net.subnets[0].id, address),),
            (self.group.id,),
            True,
            True,
            host,
            "vm",
        )

    def ensure(self, driver, *, floating: bool = True) -> None:
        for net in (*self.nets, self.public):
            driver.ensure_network(net)
        driver.ensure_security_group(self.group)
        for port in self.ports:
            driver.ensure_port(port)
        driver.ensure_router(self.router)
        if floating:
            driver.ensure_floating_ip(self.floating)

    def ids(self) -> dict[str, set[str]]:
        return {
            "networks": {net.id for net in (*self.nets, self.public)},
            "ports": {port.id for port in self.ports},
            "routers": {self.router.id},
            "security_groups": {self.group.id},
            "floating_ips": {self.floating.id},
        }


def rows(host, columns: list[str], tables: tuple[str, ...] = TABLES) -> dict[str, list[dict]]:
    """The northbound tables, read without the driver; rows that are equal in `columns` are one."""
    ask = [{"op": "select", "table": table, "where": [], "columns": columns} for table in tables]
    query = json.dumps(["OVN_Northbound", *ask])
    out = subprocess.run(
        ["ovsdb-client", "--timeout=10", "query", host.ovn_nb, query],
        check=True,
        capture_output=True,
        text=True,
    )
    return {table: answer["rows"] for table, answer in zip(tables, json.loads(out.stdout), strict=True)}


def versions(host) -> dict[str, list]:
    """Changes with every write to any row. northd itself writes `up` of new ports, which is awaited first."""
    host.run(["ovn-nbctl", "--timeout=20", "--wait=sb", "sync"])
    return {
        table: sorted(map(str, found)) for table, found in rows(host, ["_uuid", "_version"], TABLES).items()
    }


def nbctl(host, *command: str) -> str:
    return host.run(["ovn-nbctl", "--timeout=20", *command])


def wait_for(condition, seconds: float = 10):
    """The first true value of `condition()`; there is no event to wait for in what a guest sees."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "did not come true"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="module")
def ovn(ovn_host):
    driver = OvnDriver(ovn_host.ovn_nb, ovn_host.ovn_sb)
    yield driver
    driver.close()


@pytest.fixture(params=["fake", "ovn"])
def engine(request):
    """(driver, a function that fingerprints what the engine holds), empty."""
    if request.param == "fake":
        driver = FakeNetwork()
        yield driver, lambda: json.dumps(driver.things)
    else:
        driver, host = request.getfixturevalue("ovn"), request.getfixturevalue("ovn_host")
        driver.remove_everything()
        yield driver, lambda: versions(host)
        driver.remove_everything()


@pytest.fixture
def driver(engine):
    return engine[0]


# The contract


def test_the_whole_cloud_is_there_and_repeating_writes_nothing(engine):
    driver, fingerprint = engine
    cloud = Cloud("contract1")
    cloud.ensure(driver)
    assert driver.marked() == cloud.ids()
    before = fingerprint()
    cloud.ensure(driver)
    assert fingerprint() == before


def test_removing_in_any_order_leaves_nothing(driver):
    cloud = Cloud("contract1")
    for backwards in (False, True):
        cloud.ensure(driver)
        verbs = [(driver.ensure_no_network, net.id) for net in (*cloud.nets, cloud.public)]
        verbs += [(driver.ensure_no_port, port.id) for port in cloud.ports]
        verbs += [
            (driver.ensure_no_router, cloud.router.id),
            (driver.ensure_no_security_group, cloud.group.id),
        ]
        verbs += [(driver.ensure_no_floating_ip, cloud.floating.id)]
        for verb, id in reversed(verbs) if backwards else verbs:
            verb(id)
            verb(id)
        assert driver.marked() == NOTHING


def test_what_is_missing_is_worth_another_try(driver):
    cloud = Cloud("contract1")

    def refused(verb, spec):
        with pytest.raises(DriverError) as refusal:
            verb(spec)
        assert not refusal.value.permanent

    refused(driver.ensure_port, cloud.ports[0])
    refused(driver.ensure_router, cloud.router)
    refused(driver.ensure_floating_ip, cloud.floating)
    driver.ensure_network(cloud.nets[0])
    refused(driver.ensure_port, cloud.ports[0])  # its group is missing still
    refused(driver.ensure_router, cloud.router)
    assert driver.marked() == NOTHING | {"networks": {cloud.nets[0].id}}


def test_ports_go_with_their_network_and_floating_ips_with_their_router(driver):
    cloud = Cloud("contract1")
    cloud.ensure(driver)
    driver.ensure_no_network(cloud.nets[0].id)
    driver.ensure_no_router(cloud.router.id)
    left = driver.marked()
    assert left["ports"] == {cloud.ports[2].id}
    assert left["floating_ips"] == set()


def test_an_unknown_port_is_down(driver):
    assert driver.port_up(new_id()) is False


def test_threads_share_a_driver(driver):
    cloud = Cloud("contract1")
    driver.ensure_network(cloud.nets[0])
    driver.ensure_security_group(cloud.group)
    ports = [cloud.port(cloud.nets[0], f"10.0.1.{n}", "contract1") for n in range(20, 60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(driver.ensure_port, ports))
    assert driver.marked()["ports"] == {port.id for port in ports}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(driver.ensure_no_port, [port.id for port in ports]))
    assert driver.marked()["ports"] == set()


# On paper


def test_fake_fails_once_when_told_to():
    driver = FakeNetwork()
    driver.fail_next = DriverError("no", permanent=True)
    with pytest.raises(DriverError, match="no"):
        driver.ensure_network(NetworkSpec(new_id(), 1442))
    driver.ensure_network(NetworkSpec(new_id(), 1442))


def test_fake_is_shared_by_processes_through_a_directory(tmp_path):
    cloud = Cloud("hv1")
    cloud.ensure(FakeNetwork(tmp_path / "state"))
    other = FakeNetwork(tmp_path / "state")
    assert other.marked() == cloud.ids()
    assert other.port_up(cloud.ports[0].id)
    with pytest.raises(DriverError):
        other.ensure_port(replace(cloud.ports[0], network=new_id()))
    assert other.marked() == cloud.ids()


def test_fake_ports_are_up_once_they_have_a_host():
    driver, cloud = FakeNetwork(), Cloud("")
    cloud.ensure(driver)
    assert not driver.port_up(cloud.ports[0].id)
    driver.ensure_port(replace(cloud.ports[0], host="hv1"))
    assert driver.port_up(cloud.ports[0].id)


def test_the_process_has_one_driver_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(config, "NETWORK", "fake")
    drivers._configured.cache_clear()
    assert drivers.network() is drivers.network()
    with drivers.use(FakeNetwork()) as mine:
        assert drivers.network() is mine
    assert drivers.network() is not mine
    drivers._configured.cache_clear()


# Rows of the real one


@pytest.fixture
def cloud(ovn):
    ovn.remove_everything()
    yield Cloud("contract1")
    ovn.remove_everything()


def test_no_row_is_left_but_the_drop_group(ovn, ovn_host, cloud):
    cloud.ensure(ovn)
    for net in (*cloud.nets, cloud.public):
        ovn.ensure_no_network(net.id)
    ovn.ensure_no_router(cloud.router.id)
    ovn.ensure_no_security_group(cloud.group.id)
    left = {table: len(found) for table, found in rows(ovn_host, ["_uuid"]).items() if found}
    assert left == {"Port_Group": 1, "ACL": 4}
    ovn.remove_everything()
    assert not any(rows(ovn_host, ["_uuid"]).values())


def test_what_a_spec_does_not_name_is_removed(ovn, ovn_host, cloud):
    other_chassis = replace(
        cloud.router, chassis=("contract1", "contract2"), routes=(("10.9.0.0/16", "10.0.1.10"),)
    )
    second = SubnetSpec(new_id(), "10.0.9.0/24", "10.0.9.1", True, "10.0.9.2")
    wide = replace(
        cloud.nets[0], subnets=(*cloud.nets[0].subnets, second), physical_network="physnet1", vlan=100
    )
    cloud.ensure(ovn)
    plain = versions(ovn_host)
    ovn.ensure_network(wide)
    ovn.ensure_router(other_chassis)
    ovn.ensure_security_group(replace(cloud.group, rules=(EGRESS,)))
    count = {table: len(found) - len(plain[table]) for table, found in rows(ovn_host, ["_uuid"]).items()}
    assert {table: n for table, n in count.items() if n} == {
        "Logical_Switch_Port": 1, "DHCP_Options": 1, "ACL": -1, "Gateway_Chassis": 1,
        "Logical_Router_Static_Route": 1,
    }  # fmt: skip
    ovn.ensure_router(replace(other_chassis, chassis=("contract2", "contract1")))
    assert "contract1" in nbctl(ovn_host, "lrp-get-gateway-chassis", f"lrp-{cloud.router.gateway.id}")

    bare = replace(cloud.router, gateway=None, interfaces=cloud.router.interfaces[:1], chassis=())
    ovn.ensure_router(bare)
    ovn.ensure_network(replace(cloud.nets[0], subnets=()))
    found = rows(ovn_host, ["_uuid"])
    assert len(found["Logical_Router_Port"]) == 1
    assert len(found["DHCP_Options"]) == 1  # of the other network
    assert len(found["NAT"]) == 1  # the floating IP's, which has its own verb
    assert not found["Gateway_Chassis"]
    assert not found["Logical_Router_Static_Route"]
    # Three guests' ports, one metadata port, one uplink, one router leg.
    assert len(found["Logical_Switch_Port"]) == 6


def test_ports_get_dhcp_whichever_comes_first(ovn, ovn_host, cloud):
    net = cloud.nets[0]
    quiet = replace(net, subnets=(replace(net.subnets[0], dhcp=False),))
    ovn.ensure_network(quiet)
    ovn.ensure_security_group(cloud.group)
    ovn.ensure_port(cloud.ports[0])

    def option() -> str:
        return nbctl(
            ovn_host, "--bare", "get", "Logical_Switch_Port", cloud.ports[0].id, "dhcpv4_options"
        ).strip()

    assert option() == "[]"
    ovn.ensure_network(net)
    assert option() == net.subnets[0].id
    ovn.ensure_network(quiet)
    assert option() == "[]"


def test_a_port_leaves_the_groups_it_is_not_in(ovn, ovn_host, cloud):
    cloud.ensure(ovn)
    port = cloud.ports[0]

    def groups() -> int:
        found = rows(ovn_host, ["_uuid", "ports"], ("Port_Group",))["Port_Group"]
        return sum(port.id in str(group["ports"]) for group in found)

    assert groups() == 2  # its own and the drop group
    ovn.ensure_port(replace(port, security_groups=()))
    assert groups() == 1
    ovn.ensure_port(replace(port, security_groups=(), port_security=False))
    assert groups() == 0


def test_foreign_rows_are_left_alone(ovn, ovn_host, cloud):
    cloud.ensure(ovn)
    router, switch = cloud.router.id, cloud.nets[0].id
    foreign = f"f{new_id()}"
    nbctl(ovn_host, "ls-add", foreign, "--", "lsp-add", foreign, foreign[1:])
    nbctl(ovn_host, "lr-route-add", router, "192.0.2.0/24", "10.0.1.77")
    nbctl(ovn_host, "lr-nat-add", router, "snat", "203.0.113.77", "10.7.0.0/24")
    nbctl(ovn_host, "lsp-add", switch, f"on-{foreign}")
    nbctl(ovn_host, "set", "Logical_Switch", switch, "external_ids:note=theirs")
    cloud.ensure(ovn)
    assert "192.0.2.0/24" in nbctl(ovn_host, "lr-route-list", router)
    assert "203.0.113.77" in nbctl(ovn_host, "lr-nat-list", router)
    assert f"on-{foreign}" in nbctl(ovn_host, "lsp-list", switch)
    assert "theirs" in nbctl(ovn_host, "get", "Logical_Switch", switch, "external_ids")
    with pytest.raises(DriverError) as refusal:  # a port of that name is there, and is not ours
        ovn.ensure_port(replace(cloud.ports[0], id=foreign[1:]))
    assert refusal.value.permanent
    ovn.ensure_no_port(foreign[1:])
    ovn.remove_everything()
    assert foreign[1:] in nbctl(ovn_host, "lsp-list", foreign)
    nbctl(ovn_host, "ls-del", foreign)


def test_two_processes_cannot_make_a_thing_twice(ovn, ovn_host, cloud):
    """Each has a replica of its own; the second asks before its replica has heard of the first."""
    other = OvnDriver(ovn_host.ovn_nb, ovn_host.ovn_sb)
    net = cloud.nets[0]

    def late(rows):
        thread = threading.Thread(target=other.ensure_network, args=[net])
        thread.start()
        thread.join()
        rows.put("Logical_Switch", net.id, ("network", net.id), name=net.id)

    with pytest.raises(DriverError) as refusal:
        ovn._nb.write(late)
    assert not refusal.value.permanent
    ovn.ensure_network(net)
    assert len(rows(ovn_host, ["_uuid"], ("Logical_Switch",))["Logical_Switch"]) == 1
    other.close()


def test_the_datapath_of_a_host_is_known(ovn):
    assert ovn.userspace_datapath("contract1") is True
    assert ovn.userspace_datapath("nowhere") is False


def test_an_absent_database_is_worth_another_try(tmp_path):
    absent = OvnDriver(f"unix:{tmp_path}/nb.sock", f"unix:{tmp_path}/sb.sock")
    with pytest.raises(DriverError, match="cannot be reached") as refusal:
        absent.ensure_no_network(new_id())
    assert not refusal.value.permanent


# Packets


class Stage:
    """A cloud with an endpoint for each of its ports, configured by DHCP."""

    def __init__(self, driver, host):
        self.driver, self.host = driver, host
        self.cloud = Cloud(host.name)
        self.cloud.ensure(driver, floating=False)
        self.endpoints = [
            Endpoint(host, f"vm{index}", port.id, port.mac) for index, port in enumerate(self.cloud.ports)
        ]
        self.leases = []
        for endpoint in self.endpoints:
            endpoint.plug()
            self.leases.append(endpoint.dhcp())
            endpoint.configure(self.leases[-1])

    def close(self) -> None:
        for endpoint in self.endpoints:
            endpoint.unplug()
        self.driver.remove_everything()

    def settle(self) -> None:
        nbctl(self.host, "--wait=hv", "sync")

    @contextmanager
    def serving(self, port: int, endpoint: Endpoint | None = None):
        """A web server, on the host or inside an endpoint, that answers with its caller's address."""
        code = (
            "import http.server as h, sys\n"
            "class H(h.BaseHTTPRequestHandler):\n"
            "  def do_GET(s):\n"
            "    b = s.client_address[0].encode(); s.send_response(200)\n"
            "    s.send_header('Content-Length', len(b)); s.end_headers(); s.wfile.write(b)\n"
            "s = h.ThreadingHTTPServer(('', int(sys.argv[1])), H); print('ready', flush=True); s.serve_forever()\n"
        )
        command = [sys.executable, "-c", code, str(port)]
        with running(self.host, endpoint.argv(command) if endpoint else command):
            yield


@contextmanager
def running(host, command: list[str], **kw):
    """A program inside the host that says "ready" when it is."""
    # The program is a child of nsenter, and must end with it.
    process = subprocess.Popen(
        host.argv(["setpriv", "--pdeathsig", "KILL", *command]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kw,
    )
    try:
        line = process.stdout.readline()
        assert line == "ready\n", process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def _stage(ovn, ovn_host):
    ovn.remove_everything()
    stage = Stage(ovn, ovn_host)
    yield stage
    stage.close()


@pytest.fixture
def stage(_stage):
    """Every test begins with the cloud as `Cloud` describes it, without the floating IP."""
    _stage.cloud.ensure(_stage.driver, floating=False)
    _stage.driver.ensure_no_floating_ip(_stage.cloud.floating.id)
    _stage.settle()
    return _stage


def test_a_lease_has_what_the_subnet_says(stage):
    assert stage.leases[0] == {
        "address": "10.0.1.10", "prefix": 24, "router": "10.0.1.1", "dns": "192.0.2.53", "server": "10.0.1.2",
        "hostname": "vm", "mtu": 1442,
        "routes": [["169.254.169.254/32", "10.0.1.2"], ["0.0.0.0/0", "10.0.1.1"]],
    }  # fmt: skip


def test_a_plugged_port_is_up(stage):
    for port in stage.cloud.ports:
        assert wait_for(lambda port=port: stage.driver.port_up(port.id))


def test_members_of_a_group_reach_each_other_on_one_network_and_over_the_router(stage):
    one, two, three = stage.endpoints
    assert one.pings("10.0.1.11")
    assert two.pings("10.0.2.10")
    assert three.pings("10.0.1.10")


def test_nothing_comes_in_until_a_rule_lets_it(stage):
    one, two, _ = stage.endpoints
    shut = SecurityGroupSpec(new_id(), (EGRESS,))
    stage.driver.ensure_security_group(shut)
    stage.driver.ensure_port(replace(stage.cloud.ports[0], security_groups=(shut.id,)))
    stage.settle()
    with stage.serving(8080, one):
        assert two.silent("10.0.1.10")
        ports = RuleSpec("ingress", "IPv4", "tcp", 8000, 8100, remote_prefix="10.0.1.0/24")
        stage.driver.ensure_security_group(replace(shut, rules=(EGRESS, ports)))
        stage.settle()
        assert two.get("http://10.0.1.10:8080/") == "10.0.1.11"
        assert two.silent("10.0.1.10")
    # A rule may name a group that comes later, as two groups that name each other must.
    late = SecurityGroupSpec(new_id(), (EGRESS,))
    ping = RuleSpec("ingress", "IPv4", "icmp", 8, 0, remote_group=late.id)
    stage.driver.ensure_security_group(replace(shut, rules=(EGRESS, ping)))
    stage.settle()
    assert two.silent("10.0.1.10")
    stage.driver.ensure_security_group(late)
    stage.driver.ensure_port(replace(stage.cloud.ports[1], security_groups=(late.id,)))
    stage.settle()
    assert two.pings("10.0.1.10")
    for port in stage.cloud.ports:
        stage.driver.ensure_port(port)
    for group in (shut, late):
        stage.driver.ensure_no_security_group(group.id)


def test_nothing_goes_out_without_an_egress_rule(stage):
    mute = SecurityGroupSpec(new_id(), ())
    stage.driver.ensure_security_group(mute)
    stage.driver.ensure_port(replace(stage.cloud.ports[0], security_groups=(mute.id,)))
    stage.settle()
    assert stage.endpoints[0].silent("10.0.1.11")
    assert stage.endpoints[0].dhcp()["address"] == "10.0.1.10"
    stage.driver.ensure_port(stage.cloud.ports[0])
    stage.driver.ensure_no_security_group(mute.id)


def test_a_port_sends_only_from_its_own_address(stage):
    two = stage.endpoints[1]
    stage.host.run(["ip", "-n", two.name, "addr", "add", "10.0.1.99/24", "dev", "eth0"])
    assert two.silent("10.0.1.10", "-I", "10.0.1.99")
    stage.driver.ensure_port(replace(stage.cloud.ports[1], port_security=False, security_groups=()))
    rule = RuleSpec("ingress", "IPv4", "icmp")
    stage.driver.ensure_security_group(replace(stage.cloud.group, rules=(*stage.cloud.group.rules, rule)))
    stage.settle()
    assert two.pings("10.0.1.10", "-I", "10.0.1.99")
    stage.host.run(["ip", "-n", two.name, "addr", "del", "10.0.1.99/24", "dev", "eth0"])


def test_a_disabled_port_is_silent(stage):
    stage.driver.ensure_port(replace(stage.cloud.ports[0], enabled=False))
    stage.settle()
    assert stage.endpoints[0].silent("10.0.1.11")


def test_guests_go_out_by_the_routers_address_and_in_and_out_by_a_floating_one(stage):
    one, _, three = stage.endpoints
    web = RuleSpec("ingress", "IPv4", "tcp", 80, 80)
    stage.driver.ensure_security_group(replace(stage.cloud.group, rules=(*stage.cloud.group.rules, web)))
    with stage.serving(8099):
        assert one.get("http://203.0.113.1:8099/") == "203.0.113.10"
        assert three.get("http://203.0.113.1:8099/") == "203.0.113.10"
        stage.driver.ensure_floating_ip(stage.cloud.floating)
        stage.settle()
        assert one.get("http://203.0.113.1:8099/") == "203.0.113.20"
        assert three.get("http://203.0.113.1:8099/") == "203.0.113.10"
    with stage.serving(80, one):
        url = ["curl", "-s", "-m", "2", "http://203.0.113.20/"]
        assert wait_for(lambda: stage.host.run(url, check=False)) == "203.0.113.1"
        assert three.get("http://203.0.113.20/")  # a neighbour behind the same router, by the public address
        # The address moves to another port, and the row with it.
        moved = replace(
            stage.cloud.floating, fixed_address="10.0.2.10", port=stage.cloud.ports[2].id, mac=new_mac()
        )
        stage.driver.ensure_floating_ip(moved)
        stage.driver.ensure_no_floating_ip(moved.id)
        stage.settle()
        assert stage.host.run(url, check=False) == ""


def test_ovn_understands_every_kind_of_rule_and_subnet(stage):
    """What its controller cannot parse it logs and leaves out; sets of groups that came later are known to be."""
    six = SubnetSpec(new_id(), "fd00:9::/64", "fd00:9::1", True, "", ("2001:db8::53",))
    four = SubnetSpec(
        new_id(),
        "10.0.9.0/24",
        "",
        True,
        "10.0.9.2",
        ("192.0.2.1", "192.0.2.2"),
        (("10.8.0.0/16", "10.0.9.9"),),
    )
    net = NetworkSpec(new_id(), 1442, (six, four))
    both = [RuleSpec(way, kind, proto) for way in ("ingress", "egress") for kind in ("IPv4", "IPv6")
            for proto in ("", "tcp", "udp", "sctp", "6", "112")]  # fmt: skip
    rules = [
        *both,
        RuleSpec("ingress", "IPv4", "tcp", 22, 22, "192.0.2.0/24"),
        RuleSpec("ingress", "IPv6", "udp", 1, 65535, "2001:db8::/32"),
        RuleSpec("ingress", "IPv6", "icmpv6", 128),
        RuleSpec("egress", "IPv4", "icmp", 8, 0, "0.0.0.0/0"),
        RuleSpec("ingress", "IPv6", "58", remote_group=stage.cloud.group.id),
    ]
    groups = [SecurityGroupSpec(new_id(), tuple(rules), stateful) for stateful in (True, False)]
    addresses = ((six.id, "fd00:9::10"), (four.id, "10.0.9.10"))
    leg = RouterPortSpec(new_id(), net.id, new_mac(), ("fd00:9::1/64",), ("fd00:9::/64",))
    ports = []
    stage.driver.ensure_network(net)
    for group in groups:
        stage.driver.ensure_security_group(group)
        ports.append(
            PortSpec(new_id(), net.id, new_mac(), addresses, (group.id,), host="contract1", hostname="a-1")
        )
        stage.driver.ensure_port(ports[-1])
        addresses = ((six.id, "fd00:9::11"), (four.id, "10.0.9.11"))
    stage.driver.ensure_router(replace(stage.cloud.router, interfaces=(*stage.cloud.router.interfaces, leg)))
    endpoints = [Endpoint(stage.host, f"many{n}", port.id, port.mac) for n, port in enumerate(ports)]
    for endpoint in endpoints:
        endpoint.plug()
    lease = endpoints[1].dhcp()
    assert (lease["address"], lease["router"]) == ("10.0.9.11", "")
    assert lease["routes"] == [["169.254.169.254/32", "10.0.9.2"], ["10.8.0.0/16", "10.0.9.9"]]
    stage.settle()
    for endpoint in endpoints:
        endpoint.unplug()
    stage.driver.ensure_network(replace(net, subnets=()))
    stage.driver.ensure_router(stage.cloud.router)
    stage.driver.ensure_no_network(net.id)
    for group in groups:
        stage.driver.ensure_no_security_group(group.id)
    for log in ("ovn-controller.log", "ovn-northd.log"):
        complaints = [line for line in (stage.host.path / "log/ovn" / log).read_text().splitlines()
                      if ("|lflow|" in line or "|ERR|" in line) and "address set name" not in line]  # fmt: skip
        assert not complaints


METADATA = """
import sys
from apps.hosts import metadata_ports as m
network = sys.argv[1]
for addresses in (["10.0.1.77/24"], ["10.0.1.2/24"], ["10.0.1.2/24"]):
    m.ensure_metadata_port(network, addresses)
assert m.existing() == {network}, m.existing()
listener = m.listening_socket(network)
print("ready", flush=True)
for _ in range(2):
    caller, (address, _) = listener.accept()
    caller.recv(4000)
    caller.sendall(f"HTTP/1.0 200 OK\\r\\n\\r\\n{network} {address}".encode())
    caller.close()
m.ensure_no_metadata_port(network)
m.ensure_no_metadata_port(network)
assert m.existing() == set(), m.existing()
"""


def test_a_guest_asks_169_254_169_254_and_the_host_knows_who_asks(stage):
    one, two, _ = stage.endpoints
    network = stage.cloud.nets[0].id
    env = os.environ | {"PYTHONPATH": str(config.ROOT)}
    with running(stage.host, [sys.executable, "-c", METADATA, network], env=env) as service:
        stage.settle()
        assert one.get("http://169.254.169.254/") == f"{network} 10.0.1.10"
        _restart_vswitchd(stage.host)
        stage.settle()
        assert wait_for(lambda: two.get("http://169.254.169.254/")) == f"{network} 10.0.1.11"
        assert service.wait(20) == 0, service.stderr.read()
    assert "cpm" not in stage.host.run(["ip", "link", "show"])
    assert network not in stage.host.run(["ip", "netns", "list"])
    assert network not in stage.host.run(["ovs-vsctl", "--timeout=10", "list", "interface"])


def _restart_vswitchd(host) -> None:
    host.kill(host.pid_of("openvswitch/ovs-vswitchd.pid"))
    wait_for(lambda: not host.alive("openvswitch/ovs-vswitchd.pid"))
    host.start_ovs()


async def test_ups_and_downs_are_told_also_after_the_database_was_killed(stage):
    endpoint, port = stage.endpoints[2], stage.cloud.ports[2].id
    seen: asyncio.Queue[bool] = asyncio.Queue()

    async def note(id: str, up: bool) -> None:
        if id == port:
            await seen.put(up)

    async def until(up: bool) -> None:
        while await asyncio.wait_for(seen.get(), 30) is not up:
            pass

    async def inside(*command: str) -> None:
        await asyncio.to_thread(stage.host.run, list(command))

    watching = asyncio.create_task(watch(stage.host.ovn_nb, note))
    await until(True)
    await inside(
        "ovs-vsctl", "--timeout=10", "remove", "interface", endpoint.name, "external_ids", "iface-id"
    )
    await until(False)

    await asyncio.to_thread(stage.host.kill, stage.host.pid_of("ovn/ovnnb_db.pid"))
    await asyncio.to_thread(wait_for, lambda: not stage.host.alive("ovn/ovnnb_db.pid"))
    # A verb in the outage waits, and succeeds when the database is back.
    extra = replace(stage.cloud.nets[0], mtu=1400)
    patient = asyncio.create_task(asyncio.to_thread(stage.driver.ensure_network, extra))
    await inside("/usr/share/ovn/scripts/ovn-ctl", "start_northd")
    await asyncio.wait_for(patient, 30)
    assert "1400" in nbctl(stage.host, "get", "DHCP_Options", extra.subnets[0].id, "options")

    await inside(
        "ovs-vsctl", "--timeout=10", "set", "interface", endpoint.name, f"external_ids:iface-id={port}"
    )
    await until(True)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
