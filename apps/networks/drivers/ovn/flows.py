"""Our rules in OVN's match language, and our subnets as its DHCP options; pure functions."""

import hashlib
import ipaddress

from apps.core.errors import DriverError
from apps.networks.drivers.base import NetworkSpec, RuleSpec, SecurityGroupSpec, SubnetSpec

DROP_GROUP = "cloudpanel_drop"  # holds every port with port security: what no rule allows is dropped
METADATA = "169.254.169.254"
LEASE = 43200  # seconds

_NUMBERED = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "132": "sctp"}


def version(cidr: str) -> int:
    return ipaddress.ip_interface(cidr).version


def group_name(id: str) -> str:
    """OVN's match language allows no hyphen in the name of a port group."""
    return "sg_" + id.replace("-", "_")


def drop_acls() -> list[dict]:
    """Nothing but address discovery; DHCP's answers come from OVN itself and pass."""
    port = f"@{DROP_GROUP}"
    dhcp = "(ip4 && udp.src == 68 && udp.dst == 67) || (ip6 && udp.src == 546 && udp.dst == 547)"
    return [
        _acl("from-lport", 1001, f"inport == {port} && ip", "drop"),
        _acl("to-lport", 1001, f"outport == {port} && ip", "drop"),
        _acl("from-lport", 1002, f"inport == {port} && (nd || nd_rs || {dhcp})", "allow"),
        _acl("to-lport", 1002, f"outport == {port} && (nd || nd_ra)", "allow"),
    ]


def group_acls(spec: SecurityGroupSpec) -> list[dict]:
    action = "allow-related" if spec.stateful else "allow-stateless"
    return [_rule_acl(group_name(spec.id), rule, action) for rule in spec.rules]


def _acl(direction: str, priority: int, match: str, action: str) -> dict:
    return {"direction": direction, "priority": priority, "match": match, "action": action}


def _rule_acl(group: str, rule: RuleSpec, action: str) -> dict:
    ip = "ip4" if rule.ethertype == "IPv4" else "ip6"
    if rule.direction == "ingress":
        direction, peer = "to-lport", f"{ip}.src"
        match = [f"outport == @{group}", ip]
    else:
        direction, peer = "from-lport", f"{ip}.dst"
        match = [f"inport == @{group}", ip]
    if rule.remote_group:  # OVN keeps an address set for each port group
        match.append(f"{peer} == ${group_name(rule.remote_group)}_{ip}")
    elif rule.remote_prefix and ipaddress.ip_network(rule.remote_prefix, strict=False).prefixlen:
        match.append(f"{peer} == {rule.remote_prefix}")
    match += _protocol(rule)
    return _acl(direction, 1002, " && ".join(match), action)


def _protocol(rule: RuleSpec) -> list[str]:
    protocol = _NUMBERED.get(rule.protocol, rule.protocol)
    if not protocol:
        return []
    if protocol in ("tcp", "udp", "sctp"):
        low, high = rule.port_min, rule.port_max
        if low is None:
            return [protocol]
        if high is None or low == high:
            return [protocol, f"{protocol}.dst == {low}"]
        return [protocol, f"{protocol}.dst >= {low}", f"{protocol}.dst <= {high}"]
    if protocol in ("icmp", "icmpv6"):
        icmp = "icmp4" if rule.ethertype == "IPv4" else "icmp6"
        fields = {"type": rule.port_min, "code": rule.port_max}
        return [icmp] + [f"{icmp}.{name} == {value}" for name, value in fields.items() if value is not None]
    if protocol.isdecimal():
        return [f"ip.proto == {protocol}"]
    raise DriverError(f"Security group rules cannot match the protocol {protocol!r}.", permanent=True)


def dhcp_options(network: NetworkSpec, subnet: SubnetSpec) -> dict[str, str]:
    """What OVN answers guests of `subnet` with."""
    servers = {"dns_server": f"{{{', '.join(subnet.dns_servers)}}}"} if subnet.dns_servers else {}
    mac = server_mac(subnet.id)
    if version(subnet.cidr) == 6:
        return {"server_id": mac} | servers
    # Renewals go to the server by unicast, so its address must answer ARP: the metadata port's always does.
    server = subnet.metadata_address or subnet.gateway or str(ipaddress.ip_network(subnet.cidr)[1])
    options = {"server_id": server, "server_mac": mac, "lease_time": str(LEASE), "mtu": str(network.mtu)}
    routes = list(subnet.host_routes)
    if subnet.metadata_address:
        routes.insert(0, (f"{METADATA}/32", subnet.metadata_address))
    if subnet.gateway:
        options["router"] = subnet.gateway
        if routes:  # a client that gets option 121 ignores the router option
            routes.append(("0.0.0.0/0", subnet.gateway))
    if routes:
        options["classless_static_route"] = "{" + ", ".join(",".join(route) for route in routes) + "}"
    return options | servers


def server_mac(id: str) -> str:
    """A locally administered address that is always the same for an id."""
    return "0e:" + hashlib.sha256(id.encode()).digest()[:5].hex(":")
