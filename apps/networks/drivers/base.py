"""The seam between CloudPanel and the network engine: plain data in, plain data out, no ORM, no settings.

A spec always describes the whole of the thing: what the engine has beyond it is removed. Ids are the uuids of
our rows; the engine names its objects after them.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class SubnetSpec:
    id: str
    cidr: str
    gateway: str  # "" for none
    dhcp: bool
    metadata_address: str  # address of the metadata port inside `cidr`, "" for none
    dns_servers: tuple[str, ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()  # (destination, next hop)


@dataclass(frozen=True)
class NetworkSpec:
    id: str
    mtu: int  # octets
    subnets: tuple[SubnetSpec, ...] = ()
    physical_network: str = ""  # a provider network's bridge mapping; "" for a tunnelled one
    vlan: int | None = None


@dataclass(frozen=True)
class PortSpec:
    """`host` is the chassis (host name) that may bind it, "" for none yet."""

    id: str
    network: str
    mac: str
    addresses: tuple[tuple[str, str], ...]  # (subnet id, IP address)
    security_groups: tuple[str, ...] = ()
    port_security: bool = True
    enabled: bool = True
    host: str = ""
    hostname: str = ""  # DHCP option 12; "" for none


@dataclass(frozen=True)
class RuleSpec:
    """One security group rule; `protocol` is "", a name ("tcp", "udp", "icmp", "icmpv6") or a number."""

    direction: str  # "ingress" | "egress"
    ethertype: str  # "IPv4" | "IPv6"
    protocol: str = ""
    port_min: int | None = None  # for icmp: the type
    port_max: int | None = None  # for icmp: the code
    remote_prefix: str = ""
    remote_group: str = ""


@dataclass(frozen=True)
class SecurityGroupSpec:
    id: str
    rules: tuple[RuleSpec, ...]
    stateful: bool = True


@dataclass(frozen=True)
class RouterPortSpec:
    """The router's leg in a tenant network, or its gateway port in a provider network.

    `ensure_router` makes and removes both of its ends; `ensure_port` and `ensure_no_port` are not for it.
    """

    id: str
    network: str
    mac: str
    cidrs: tuple[str, ...]  # "10.0.0.1/24"
    subnets: tuple[str, ...]  # their networks, "10.0.0.0/24"


@dataclass(frozen=True)
class RouterSpec:
    id: str
    interfaces: tuple[RouterPortSpec, ...] = ()
    gateway: RouterPortSpec | None = None
    next_hop: str = ""  # of the default route, where there is a gateway
    snat: bool = True
    routes: tuple[tuple[str, str], ...] = ()  # (destination, next hop)
    chassis: tuple[str, ...] = ()  # hosts that may carry the gateway, best first
    enabled: bool = True


@dataclass(frozen=True)
class FloatingIPSpec:
    id: str
    address: str
    router: str
    fixed_address: str
    port: str
    mac: str  # answers ARP for the address on the port's own host


class NetworkDriver(Protocol):
    """The network of the whole cloud.

    Every verb may be repeated at any time and leaves the engine as described; absent is success for
    `ensure_no_`. A verb that needs an object that does not exist yet (a port's network and groups, a router's
    networks, a floating IP's router) raises a `DriverError` that is not permanent. A rule's remote group and a
    floating IP's port may come later. With a network go its ports, with a router its floating IPs. Objects
    without our mark are never touched. Thread safe; no call blocks for longer than about a minute.
    """

    def ensure_network(self, spec: NetworkSpec) -> None: ...
    def ensure_no_network(self, id: str) -> None: ...
    def ensure_port(self, spec: PortSpec) -> None: ...
    def ensure_no_port(self, id: str) -> None: ...
    def port_up(self, id: str) -> bool:
        """Is the port plugged on a host? Says nothing about the guest behind it. False for an unknown port."""

    def ensure_security_group(self, spec: SecurityGroupSpec) -> None: ...
    def ensure_no_security_group(self, id: str) -> None: ...
    def ensure_router(self, spec: RouterSpec) -> None: ...
    def ensure_no_router(self, id: str) -> None: ...
    def ensure_floating_ip(self, spec: FloatingIPSpec) -> None: ...
    def ensure_no_floating_ip(self, id: str) -> None: ...
    def marked(self) -> dict[str, set[str]]:
        """Ids of everything in the engine that carries our mark: {"networks": ..., "ports": ..., "routers": ...,
        "security_groups": ..., "floating_ips": ...}."""

    def userspace_datapath(self, chassis: str) -> bool:
        """True where the host forwards packets in user space; guests there must not offload checksums.

        False too for a host that has never joined the network.
        """

    def remove_everything(self) -> None:
        """Nothing that carries our mark is left in the engine."""
