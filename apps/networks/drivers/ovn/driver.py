"""The network of the whole cloud as rows of OVN's northbound database."""

import ipaddress
import json
import uuid

from apps.hosts import metadata_ports
from apps.networks.drivers.base import (
    FloatingIPSpec,
    NetworkSpec,
    PortSpec,
    RouterPortSpec,
    RouterSpec,
    SecurityGroupSpec,
    SubnetSpec,
)
from apps.networks.drivers.ovn import flows
from apps.networks.drivers.ovn.database import Database
from apps.networks.drivers.ovn.rows import ID, Row, Rows, holds, is_new, owner

NORTHBOUND = {
    "Logical_Switch": ["name", "ports", "external_ids"],
    "Logical_Switch_Port": [
        "name", "type", "addresses", "port_security", "options", "enabled", "up", "tag",
        "dhcpv4_options", "dhcpv6_options", "external_ids",
    ],
    "DHCP_Options": ["cidr", "options", "external_ids"],
    "Port_Group": ["name", "ports", "acls", "external_ids"],
    "ACL": ["direction", "priority", "match", "action", "external_ids"],
    "Logical_Router": ["name", "enabled", "ports", "nat", "static_routes", "external_ids"],
    "Logical_Router_Port": ["name", "mac", "networks", "gateway_chassis", "ipv6_ra_configs", "external_ids"],
    "Gateway_Chassis": ["name", "chassis_name", "priority", "external_ids"],
    "NAT": ["type", "external_ip", "logical_ip", "logical_port", "external_mac", "external_ids"],
    "Logical_Router_Static_Route": ["ip_prefix", "nexthop", "external_ids"],
}  # fmt: skip
SOUTHBOUND = {"Chassis": ["name", "hostname", "other_config"]}

NETWORK, SUBNET, PORT, ROUTER = "network", "subnet", "port", "router"
GROUP, DROP, FLOATING_IP = "security_group", "drop_group", "floating_ip"
PARENT, MTU = "cloudpanel-network", "cloudpanel-mtu"
DROP_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, flows.DROP_GROUP))


class OvnDriver:
    """`NetworkDriver` on the databases at `nb` and `sb` ("unix:PATH", "ssl:HOST:PORT", several with commas).

    Each verb is one transaction, which is not even sent when the rows are as they should be.
    """

    def __init__(self, nb: str, sb: str):
        self._nb = Database(nb, "OVN_Northbound", NORTHBOUND)
        self._sb = Database(sb, "OVN_Southbound", SOUTHBOUND)

    def close(self) -> None:
        """Ends the connections; the next verb opens new ones."""
        self._nb.close()
        self._sb.close()

    def ensure_network(self, spec: NetworkSpec) -> None:
        """Also repairs the ports of subnets that begin to have DHCP; for others their own verb does."""

        def change(rows: Rows) -> None:
            mine = (NETWORK, spec.id)
            switch = rows.put("Logical_Switch", spec.id, mine, name=spec.id, also={MTU: str(spec.mtu)})
            _put_uplink(rows, switch, spec)
            _put_metadata_port(rows, switch, spec)
            served = [subnet for subnet in spec.subnets if subnet.dhcp]
            for subnet in served:
                _put_dhcp(rows, switch, spec, subnet)
            for row in _dhcp_of(rows, spec.id):
                if owner(row) not in [(SUBNET, subnet.id) for subnet in served]:
                    row.delete()

        self._nb.write(change)

    def ensure_no_network(self, id: str) -> None:
        """Its ports go with it, and the switch's end of router interfaces."""

        def change(rows: Rows) -> None:
            for row in _dhcp_of(rows, id):
                row.delete()
            if switch := rows.get("Logical_Switch", id, NETWORK):
                switch.delete()

        self._nb.write(change)

    def ensure_port(self, spec: PortSpec) -> None:
        def change(rows: Rows) -> None:
            switch = rows.need("Logical_Switch", spec.network, NETWORK)
            groups = [rows.need("Port_Group", id, GROUP) for id in spec.security_groups]
            if spec.port_security:
                groups.append(_put_drop_group(rows))
            address = " ".join([spec.mac, *(ip for _, ip in spec.addresses)])
            # OVN pastes the name into an expression of its own, so it must be quoted as one.
            hostname = json.dumps(spec.hostname) if spec.hostname else ""
            options = {"requested-chassis": spec.host, "hostname": hostname}
            port = rows.put(
                "Logical_Switch_Port", spec.id, (PORT, spec.id),
                name=spec.id, type="",
                addresses=[address] if spec.port_security else [address, "unknown"],
                port_security=[address] if spec.port_security else [],
                options={key: value for key, value in options.items() if value},
                enabled=[spec.enabled],
                dhcpv4_options=_dhcp_for(rows, spec, 4),
                dhcpv6_options=_dhcp_for(rows, spec, 6),
            )  # fmt: skip
            rows.adopt(switch, "ports", port)
            for group in rows.all("Port_Group"):
                if group in groups:
                    rows.adopt(group, "ports", port)
                elif holds(group, "ports", port) and owner(group)[0] in (GROUP, DROP):
                    rows.release(group, "ports", port)

        self._nb.write(change)

    def ensure_no_port(self, id: str) -> None:
        def change(rows: Rows) -> None:
            if port := rows.get("Logical_Switch_Port", id, PORT):
                rows.release_from_all("Logical_Switch", "ports", port)

        self._nb.write(change)

    def port_up(self, id: str) -> bool:
        with self._nb.read() as rows:
            port = rows.get("Logical_Switch_Port", id, PORT)
            return port is not None and port.up == [True]

    def ensure_security_group(self, spec: SecurityGroupSpec) -> None:
        """A rule's remote group may come later: until then the rule matches nobody."""

        def change(rows: Rows) -> None:
            mine = (GROUP, spec.id)
            group = rows.put("Port_Group", spec.id, mine, name=flows.group_name(spec.id))
            rows.put_values(group, "acls", "ACL", mine, flows.group_acls(spec))

        self._nb.write(change)

    def ensure_no_security_group(self, id: str) -> None:
        def change(rows: Rows) -> None:
            if group := rows.get("Port_Group", id, GROUP):
                group.delete()

        self._nb.write(change)

    def ensure_router(self, spec: RouterSpec) -> None:
        def change(rows: Rows) -> None:
            mine = (ROUTER, spec.id)
            router = rows.put("Logical_Router", spec.id, mine, name=spec.id, enabled=[spec.enabled])
            legs = [*spec.interfaces, *filter(None, [spec.gateway])]
            for leg in rows.of(router, "ports", mine):
                if leg.name not in [_leg_name(wanted.id) for wanted in legs]:
                    _release_leg(rows, router, leg)
            for leg in legs:
                _put_leg(rows, router, spec, leg)
            rows.put_values(router, "nat", "NAT", mine, _source_nat(spec))
            rows.put_values(router, "static_routes", "Logical_Router_Static_Route", mine, _routes(spec))

        self._nb.write(change)

    def ensure_no_router(self, id: str) -> None:
        """Its floating IPs go with it."""

        def change(rows: Rows) -> None:
            if router := rows.get("Logical_Router", id, ROUTER):
                for leg in rows.of(router, "ports", (ROUTER, id)):
                    _release_leg(rows, router, leg)
                router.delete()

        self._nb.write(change)

    def ensure_floating_ip(self, spec: FloatingIPSpec) -> None:
        """The port's own host translates; the port itself may come later."""

        def change(rows: Rows) -> None:
            router = rows.need("Logical_Router", spec.router, ROUTER)
            nat = rows.put(
                "NAT", spec.id, (FLOATING_IP, spec.id),
                type="dnat_and_snat", external_ip=spec.address, logical_ip=spec.fixed_address,
                logical_port=[spec.port], external_mac=[spec.mac],
            )  # fmt: skip
            for other in rows.all("Logical_Router"):
                if other != router:
                    rows.release(other, "nat", nat)
            rows.adopt(router, "nat", nat)

        self._nb.write(change)

    def ensure_no_floating_ip(self, id: str) -> None:
        def change(rows: Rows) -> None:
            if nat := rows.get("NAT", id, FLOATING_IP):
                rows.release_from_all("Logical_Router", "nat", nat)

        self._nb.write(change)

    def marked(self) -> dict[str, set[str]]:
        kinds = {
            "networks": ("Logical_Switch", NETWORK),
            "ports": ("Logical_Switch_Port", PORT),
            "routers": ("Logical_Router", ROUTER),
            "security_groups": ("Port_Group", GROUP),
            "floating_ips": ("NAT", FLOATING_IP),
        }
        with self._nb.read() as rows:
            return {
                name: {row.external_ids[ID] for row in rows.all(table) if owner(row)[0] == kind}
                for name, (table, kind) in kinds.items()
            }

    def userspace_datapath(self, chassis: str) -> bool:
        with self._sb.read() as rows:
            for row in rows.all("Chassis"):
                if chassis in (row.name, row.hostname):
                    return row.other_config.get("datapath-type") == "netdev"
        return False

    def remove_everything(self) -> None:
        """No row that carries our mark is left; rows of others are as they were."""

        def change(rows: Rows) -> None:
            for table in ("Logical_Switch", "DHCP_Options", "Port_Group", "Logical_Router"):
                for row in rows.all(table):
                    if owner(row)[0]:
                        row.delete()

        self._nb.write(change)


def _put_uplink(rows: Rows, switch: Row, spec: NetworkSpec) -> None:
    """The provider network's port to the bridge that carries its frames."""
    id = str(uuid.uuid5(uuid.UUID(spec.id), "uplink"))
    if spec.physical_network:
        port = rows.put(
            "Logical_Switch_Port", id, (NETWORK, spec.id),
            name=f"provnet-{spec.id}", type="localnet", addresses=["unknown"],
            options={"network_name": spec.physical_network}, tag=[] if spec.vlan is None else [spec.vlan],
        )  # fmt: skip
        rows.adopt(switch, "ports", port)
    elif port := rows.get("Logical_Switch_Port", id, NETWORK):
        rows.release(switch, "ports", port)


def _put_metadata_port(rows: Rows, switch: Row, spec: NetworkSpec) -> None:
    """A port that every host may plug for itself and that no tunnel carries."""
    id = str(uuid.uuid5(uuid.UUID(spec.id), "metadata"))
    if addresses := [subnet.metadata_address for subnet in spec.subnets if subnet.metadata_address]:
        port = rows.put(
            "Logical_Switch_Port", id, (NETWORK, spec.id),
            name=metadata_ports.port_name(spec.id), type="localport",
            addresses=[" ".join([metadata_ports.mac(spec.id), *addresses])],
        )  # fmt: skip
        rows.adopt(switch, "ports", port)
    elif port := rows.get("Logical_Switch_Port", id, NETWORK):
        rows.release(switch, "ports", port)


def _put_dhcp(rows: Rows, switch: Row, spec: NetworkSpec, subnet: SubnetSpec) -> None:
    row = rows.put(
        "DHCP_Options", subnet.id, (SUBNET, subnet.id), also={PARENT: spec.id},
        cidr=subnet.cidr, options=flows.dhcp_options(spec, subnet),
    )  # fmt: skip
    if not is_new(row) or is_new(switch):
        return
    column = f"dhcpv{flows.version(subnet.cidr)}_options"
    subnet_network = ipaddress.ip_network(subnet.cidr)
    for port in switch.ports:
        addresses = port.addresses[0].split()[1:] if owner(port)[0] == PORT else []
        if any(ipaddress.ip_address(ip) in subnet_network for ip in addresses):
            setattr(port, column, [row])


def _dhcp_of(rows: Rows, network: str) -> list[Row]:
    return [row for row in rows.all("DHCP_Options") if row.external_ids.get(PARENT) == network]


def _dhcp_for(rows: Rows, spec: PortSpec, version: int) -> list[Row]:
    """OVN serves one address of each version: the first whose subnet has DHCP."""
    subnets = [subnet for subnet, ip in spec.addresses if ipaddress.ip_address(ip).version == version]
    served = [rows.get("DHCP_Options", subnet, SUBNET) for subnet in subnets]
    return [row for row in served if row is not None][:1]


def _put_drop_group(rows: Rows) -> Row:
    """It stays when its last port goes: to remove it could race with another process that adds a port."""
    group = rows.put("Port_Group", DROP_ID, (DROP, DROP_ID), name=flows.DROP_GROUP)
    rows.put_values(group, "acls", "ACL", (DROP, DROP_ID), flows.drop_acls())
    return group


def _put_leg(rows: Rows, router: Row, spec: RouterSpec, leg: RouterPortSpec) -> None:
    """Both ends: the router's port, and the switch's, which is the one with the port's id."""
    mine = (ROUTER, spec.id)
    switch = rows.need("Logical_Switch", leg.network, NETWORK)
    outside = leg == spec.gateway
    name = _leg_name(leg.id)
    advertise = {}
    if not outside and any(flows.version(cidr) == 6 for cidr in leg.cidrs):
        # Stateful, because port security admits only the addresses that we chose.
        mtu = switch.external_ids.get(MTU, "")
        advertise = {"address_mode": "dhcpv6_stateful", "send_periodic": "true", "mtu": mtu}
    port = rows.put(
        "Logical_Router_Port", str(uuid.uuid5(uuid.UUID(leg.id), "router")), mine,
        name=name, mac=leg.mac, networks=list(leg.cidrs), ipv6_ra_configs=advertise,
    )  # fmt: skip
    carriers = spec.chassis if outside else ()
    rows.put_values(
        port, "gateway_chassis", "Gateway_Chassis", mine,
        [
            {"name": f"{name}_{chassis}", "chassis_name": chassis, "priority": len(carriers) - place}
            for place, chassis in enumerate(carriers)
        ],
    )  # fmt: skip
    rows.adopt(router, "ports", port)
    announce = {"nat-addresses": "router"} if outside else {}
    peer = rows.put(
        "Logical_Switch_Port", leg.id, mine,
        name=leg.id, type="router", addresses=["router"], options={"router-port": name} | announce,
    )  # fmt: skip
    rows.adopt(switch, "ports", peer)


def _leg_name(id: str) -> str:
    return f"lrp-{id}"


def _release_leg(rows: Rows, router: Row, leg: Row) -> None:
    if peer := rows.get("Logical_Switch_Port", leg.name.removeprefix(_leg_name("")), ROUTER):
        rows.release_from_all("Logical_Switch", "ports", peer)
    rows.release(router, "ports", leg)


def _source_nat(spec: RouterSpec) -> list[dict]:
    outside = [cidr for cidr in spec.gateway.cidrs if flows.version(cidr) == 4] if spec.gateway else []
    if not outside or not spec.snat:
        return []
    address = outside[0].split("/")[0]
    inside = [subnet for leg in spec.interfaces for subnet in leg.subnets if flows.version(subnet) == 4]
    return [{"type": "snat", "external_ip": address, "logical_ip": subnet} for subnet in inside]


def _routes(spec: RouterSpec) -> list[dict]:
    routes = list(spec.routes)
    if spec.gateway and spec.next_hop:
        routes.append(("0.0.0.0/0" if flows.version(spec.next_hop) == 4 else "::/0", spec.next_hop))
    return [{"ip_prefix": destination, "nexthop": hop} for destination, hop in routes]
