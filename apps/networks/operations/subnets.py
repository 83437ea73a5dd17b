"""Subnets: the ranges of addresses on a network."""

import ipaddress
from itertools import pairwise

from django.db import transaction

from apps.core import events
from apps.core.context import Context
from apps.core.errors import Conflict
from apps.core.lifecycle import mark
from apps.core.policy import enforce
from apps.networks.models import (
    ROUTER_GATEWAY,
    ROUTER_INTERFACE,
    FixedIP,
    FloatingIP,
    Network,
    Port,
    Status,
    Subnet,
)
from apps.networks.operations import addresses
from apps.networks.operations.common import (
    check_tags,
    check_texts,
    hold,
    invalid,
    parse_address,
    parse_cidr,
    parse_routes,
    write,
)
from apps.quotas.operations import claim

AUTO = "auto"  # the gateway is the first address
LONGEST_PREFIX = {4: 30, 6: 126}
DNS_SERVERS_MAX = 5
HOST_ROUTES_MAX = 20


@transaction.atomic
def create_subnet(
    ctx: Context,
    *,
    network: Network,
    cidr: str,
    name: str = "",
    description: str = "",
    ip_version: int | None = None,
    gateway_ip: str | None = AUTO,
    allocation_pools=None,
    enable_dhcp: bool = True,
    dns_nameservers=(),
    host_routes=(),
    tags=(),
) -> Subnet:
    """The range `cidr` on `network`. Without pools all but the gateway is given out; `gateway_ip` None: no gateway.

    Where guests get their addresses by DHCP, one address is kept for the metadata service.
    """
    enforce(ctx, "create_subnet", network)
    check_texts(name=name, description=description)
    cidr = _check_cidr(cidr, ip_version)
    claim(network.project_id, subnet=1)
    network = hold(network)
    _check_overlap(network, cidr)
    subnet = Subnet(
        project_id=network.project_id,
        network=network,
        name=name,
        description=description,
        cidr=cidr,
        ip_version=ipaddress.ip_network(cidr).version,
        enable_dhcp=enable_dhcp,
        dns_nameservers=_check_servers(dns_nameservers),
        host_routes=_check_routes(host_routes),
        tags=check_tags(tags),
    )
    subnet.gateway_ip = _check_gateway(subnet, gateway_ip)
    subnet.allocation_pools = _check_pools(subnet, allocation_pools)
    subnet.metadata_ip = _metadata_address(subnet)
    subnet.save(force_insert=True)
    events.record(subnet, "create", by=ctx)
    mark(network)
    return subnet


def _check_cidr(text: str, version: int | None) -> str:
    cidr = parse_cidr(text)
    net = ipaddress.ip_network(cidr)
    if version is not None and version != net.version:
        raise invalid(f"Invalid input for ip_version. Reason: {cidr} is IPv{net.version}.", "ip_version")
    if net.prefixlen > LONGEST_PREFIX[net.version]:
        raise invalid(
            f"Invalid input for cidr. Reason: {cidr} has {net.num_addresses} addresses, at least 4 are needed.",
            "cidr",
        )
    if net.is_multicast or net.is_loopback or net.is_link_local or net.prefixlen == 0:
        raise invalid(f"Invalid input for cidr. Reason: {cidr} cannot be given to machines.", "cidr")
    return cidr


def _check_overlap(network: Network, cidr: str) -> None:
    net = ipaddress.ip_network(cidr)
    for other in network.subnets.filter(ip_version=net.version):
        if net.overlaps(ipaddress.ip_network(other.cidr)):
            raise invalid(
                f"Invalid input for operation: Requested subnet with cidr: {cidr} for network: {network.pk} "
                f"overlaps with another subnet: {other.cidr}.",
                "cidr",
            )


def _check_servers(servers) -> list[str]:
    parsed = [parse_address(server, "dns_nameservers") for server in servers]
    if len(parsed) > DNS_SERVERS_MAX:
        raise invalid(
            f"Unable to complete operation: {len(parsed)} name servers, at most {DNS_SERVERS_MAX} fit.",
            "dns_nameservers",
            "DNSNameServersExhausted",
        )
    return parsed


def _check_routes(routes) -> list[dict[str, str]]:
    parsed = parse_routes(routes, "host_routes")
    if len(parsed) > HOST_ROUTES_MAX:
        raise invalid(
            f"Unable to complete operation: {len(parsed)} host routes, at most {HOST_ROUTES_MAX} fit.",
            "host_routes",
            "HostRoutesExhausted",
        )
    return parsed


def _check_gateway(subnet: Subnet, asked: str | None) -> str:
    if not asked:
        return ""
    if asked == AUTO:
        return str(addresses.bounds(subnet)[0])
    gateway = parse_address(asked, "gateway_ip")
    if not addresses.is_host(subnet, gateway):
        raise invalid(
            f"Invalid input for operation: Gateway {gateway} is not an address of a machine in {subnet.cidr}.",
            "gateway_ip",
        )
    return gateway


def _check_pools(subnet: Subnet, asked) -> list[dict[str, str]]:
    """The pools in order; None: everything but the gateway."""
    first, last = addresses.bounds(subnet)
    gateway = ipaddress.ip_address(subnet.gateway_ip) if subnet.gateway_ip else None
    if asked is None:
        parts = [(first, gateway - 1), (gateway + 1, last)] if gateway else [(first, last)]
        return [{"start": str(low), "end": str(high)} for low, high in parts if low <= high]
    pools = sorted(_parse_pool(subnet, pool) for pool in asked)
    for low, high in pools:
        if low < first or high > last:
            raise invalid(
                f"The allocation pool {low}-{high} spans beyond the subnet cidr {subnet.cidr}: {first} to {last} "
                "can be given out.",
                "allocation_pools",
                "OutOfBoundsAllocationPool",
            )
        if gateway and low <= gateway <= high:
            raise Conflict(
                f"Gateway ip {gateway} conflicts with allocation pool {low}-{high}.",
                field="allocation_pools",
                kind="GatewayConflictWithAllocationPools",
            )
    for (low, high), (after, _) in pairwise(pools):
        if after <= high:
            raise Conflict(
                f"Found overlapping allocation pools: {low}-{high} and the one from {after} for {subnet.cidr}.",
                field="allocation_pools",
                kind="OverlappingAllocationPools",
            )
    return [{"start": str(low), "end": str(high)} for low, high in pools]


def _parse_pool(subnet: Subnet, pool) -> tuple:
    if not isinstance(pool, dict) or set(pool) != {"start", "end"}:
        raise invalid(
            "Invalid input for allocation_pools. Reason: a pool has 'start' and 'end'.", "allocation_pools"
        )
    low, high = (
        ipaddress.ip_address(parse_address(pool[edge], "allocation_pools")) for edge in ("start", "end")
    )
    if not (low.version == high.version == subnet.ip_version and low <= high):
        raise invalid(
            f"The allocation pool {low}-{high} is not valid.", "allocation_pools", "InvalidAllocationPool"
        )
    return low, high


def _metadata_address(subnet: Subnet) -> str:
    """The first address that is neither the gateway nor taken; "" where guests do not ask for metadata."""
    if subnet.ip_version != 4 or not subnet.enable_dhcp or subnet.network.external:
        return ""
    if subnet.metadata_ip:
        return subnet.metadata_ip
    taken = addresses.taken(subnet) | {subnet.gateway_ip}
    address, last = addresses.bounds(subnet)
    while str(address) in taken:
        address += 1
    if address > last:
        raise Conflict(
            f"No address of {subnet.cidr} is left for the metadata service that comes with DHCP.",
            kind="IpAddressGenerationFailure",
        )
    return str(address)


@transaction.atomic
def update_subnet(ctx: Context, *, subnet: Subnet, **fields) -> Subnet:
    """Write name, description, gateway_ip, allocation_pools, enable_dhcp, dns_nameservers, host_routes."""
    enforce(ctx, "update_subnet", subnet)
    check_texts(**{k: v for k, v in fields.items() if k in ("name", "description")})
    network = hold(subnet.network)
    subnet.refresh_from_db()
    subnet.network = network
    if "gateway_ip" in fields:
        gateway = _check_gateway(subnet, fields["gateway_ip"])
        if gateway != subnet.gateway_ip:
            _check_gateway_unused(subnet, gateway)
        fields["gateway_ip"] = subnet.gateway_ip = gateway
    if "allocation_pools" in fields or "gateway_ip" in fields:
        pools = fields.get("allocation_pools", subnet.allocation_pools)
        fields["allocation_pools"] = _check_pools(subnet, pools)
    if "dns_nameservers" in fields:
        fields["dns_nameservers"] = _check_servers(fields["dns_nameservers"])
    if "host_routes" in fields:
        fields["host_routes"] = _check_routes(fields["host_routes"])
    if "enable_dhcp" in fields:
        subnet.enable_dhcp = fields["enable_dhcp"]
        fields["metadata_ip"] = _metadata_address(subnet)
    write(subnet, ctx, look=False, **fields)
    mark(network)
    outside = Port.objects.alive().filter(device_owner=ROUTER_GATEWAY, fixed_ips__subnet=subnet)
    for port in outside.select_related("router"):
        mark(port.router)  # its default route leads to the gateway
    return subnet


def _check_gateway_unused(subnet: Subnet, gateway: str) -> None:
    router = subnet.fixed_ips.filter(address=subnet.gateway_ip, port__device_owner=ROUTER_INTERFACE)
    if subnet.gateway_ip and (used := router.exclude(port__status=Status.DELETING).first()):
        raise Conflict(
            f"Current gateway ip {subnet.gateway_ip} already in use by port {used.port_id}. Unable to update.",
            field="gateway_ip",
            kind="GatewayIpInUse",
        )
    if gateway and gateway == subnet.metadata_ip:
        raise Conflict(
            f"{gateway} is the address of the metadata service in {subnet.cidr}; choose another gateway.",
            field="gateway_ip",
            kind="IpAddressInUse",
        )


@transaction.atomic
def delete_subnet(ctx: Context, *, subnet: Subnet) -> None:
    """The range is gone; what is left of ports that are being deleted has no address any more."""
    enforce(ctx, "delete_subnet", subnet)
    network = hold(subnet.network)
    ports = subnet.fixed_ips.exclude(port__status=Status.DELETING).count()
    floating = FloatingIP.objects.filter(subnet=subnet).count()
    if ports or floating:
        held = ", ".join(f"{n} {what}" for n, what in ((ports, "ports"), (floating, "floating IPs")) if n)
        raise Conflict(
            f"Unable to complete operation on subnet {subnet.pk}: One or more ports have an IP allocation from "
            f"this subnet: {held}. Delete them first.",
            kind="SubnetInUse",
        )
    FixedIP.objects.filter(subnet=subnet).delete()
    events.record(subnet, "delete", by=ctx)
    subnet.delete()
    mark(network)
