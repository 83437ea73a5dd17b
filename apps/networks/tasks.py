"""Make the network engine match the rows; each function may run at any time, any number of times.

Who needs another row's thing in the engine first, follows that row while it is being built. A router's ports
are the router's: its reconciler plugs them and takes them out.
"""

import ipaddress

from django.db import transaction
from django.db.models import F

from apps.core.events import follow
from apps.core.lifecycle import end, later, mark, move, reconciles
from apps.hosts.models import Host
from apps.networks.drivers import network as engine
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
from apps.networks.models import (
    ROUTER_GATEWAY,
    FloatingIP,
    Network,
    Port,
    Router,
    SecurityGroup,
    Status,
    Subnet,
)
from apps.networks.operations.security_groups import protocol_number
from apps.networks.resolvers import resolvers

PATIENCE = later(30)  # for what a follower hears of anyway


@reconciles(Network)
def reconcile_network(network: Network):
    if network.status == Status.DELETING:
        left = [*network.ports.all(), *network.floating_ips.all()]  # DELETING too, or it would not be
        for row in left:
            follow(network, row.pk)
        if network.ports.exists() or network.floating_ips.exists():
            return PATIENCE
        engine().ensure_no_network(str(network.pk))
        return end(network)
    engine().ensure_network(network_spec(network))
    _settled(network)
    return None


def network_spec(network: Network) -> NetworkSpec:
    return NetworkSpec(
        id=str(network.pk),
        mtu=network.mtu,
        subnets=tuple(subnet_spec(subnet) for subnet in network.subnets.order_by("created_at", "pk")),
        physical_network=network.physical_network,
        vlan=network.vlan,
    )


def subnet_spec(subnet: Subnet) -> SubnetSpec:
    servers = subnet.dns_nameservers or resolvers()
    return SubnetSpec(
        id=str(subnet.pk),
        cidr=subnet.cidr,
        gateway=subnet.gateway_ip,
        dhcp=subnet.enable_dhcp,
        metadata_address=subnet.metadata_ip,
        dns_servers=tuple(s for s in servers if ipaddress.ip_address(s).version == subnet.ip_version),
        host_routes=tuple((route["destination"], route["nexthop"]) for route in subnet.host_routes),
    )


def _settled(row) -> None:
    if row.status != Status.ACTIVE:
        move(row, Status.ACTIVE)


def _awaited(row, *needed) -> bool:
    """True when something that `row` needs is not in the engine yet; `row` is looked at again when it is."""
    building = [other for other in needed if other.status == Status.BUILD]
    for other in building:
        follow(row, other.pk)  # first follow, then look: it may be built just now
        other.refresh_from_db(fields=["status"])
    return any(other.status == Status.BUILD for other in building)


@reconciles(SecurityGroup)
def reconcile_security_group(group: SecurityGroup):
    if group.status == Status.DELETING:
        engine().ensure_no_security_group(str(group.pk))
        return end(group)
    engine().ensure_security_group(group_spec(group))
    _settled(group)
    return None


def group_spec(group: SecurityGroup) -> SecurityGroupSpec:
    rules = group.rules.order_by("created_at", "pk")
    return SecurityGroupSpec(
        id=str(group.pk),
        rules=tuple(
            RuleSpec(
                direction=rule.direction,
                ethertype=rule.ethertype,
                protocol="" if (number := protocol_number(rule.protocol)) is None else str(number),
                port_min=rule.port_min,
                port_max=rule.port_max,
                remote_prefix=rule.remote_prefix,
                remote_group=str(rule.remote_group_id or ""),
            )
            for rule in rules
        ),
        stateful=group.stateful,
    )


@reconciles(Port)
def reconcile_port(port: Port):
    if port.router_id:
        mark(port.router)
        return PATIENCE if port.status == Status.DELETING else None
    if port.status == Status.DELETING:
        engine().ensure_no_port(str(port.pk))
        return end(port)
    groups = list(port.security_groups.only("status"))
    if _awaited(port, port.network, *groups):
        return PATIENCE
    engine().ensure_port(port_spec(port, groups))
    observed = Status.ACTIVE if engine().port_up(str(port.pk)) else Status.DOWN
    if port.status != observed:
        move(port, observed)
    return None


def port_spec(port: Port, groups: list[SecurityGroup]) -> PortSpec:
    return PortSpec(
        id=str(port.pk),
        network=str(port.network_id),
        mac=port.mac_address,
        addresses=tuple((str(fixed.subnet_id), fixed.address) for fixed in port.fixed_ips.all()),
        security_groups=tuple(str(group.pk) for group in groups),
        port_security=port.port_security_enabled,
        enabled=port.admin_state_up and port.network.admin_state_up,
        host=port.host,
        hostname=port.dns_name,
    )


@reconciles(Router)
def reconcile_router(router: Router):
    ports = list(router.ports.select_related("network").prefetch_related("fixed_ips__subnet"))
    leaving = [port for port in ports if port.status == Status.DELETING]
    if router.status == Status.DELETING:
        engine().ensure_no_router(str(router.pk))
        with transaction.atomic():
            for port in leaving:
                end(port)
            end(router)
        return None
    legs = [port for port in ports if port.status != Status.DELETING]
    if _awaited(router, *(port.network for port in legs)):
        return PATIENCE
    for leg in legs:
        if leg.status == Status.DOWN:
            engine().ensure_no_port(str(leg.pk))  # an ordinary port that became the router's
    engine().ensure_router(router_spec(router, legs))
    with transaction.atomic():
        for leg in legs:
            _settled(leg)
        for port in leaving:
            end(port)
        _settled(router)
    return None


def router_spec(router: Router, legs: list[Port]) -> RouterSpec:
    gateway = next((leg for leg in legs if leg.device_owner == ROUTER_GATEWAY), None)
    outside = [fixed.subnet.gateway_ip for fixed in gateway.fixed_ips.all()] if gateway else []
    hosts = Host.objects.order_by(F("enabled").desc(), "name") if gateway else ()
    return RouterSpec(
        id=str(router.pk),
        interfaces=tuple(leg_spec(leg) for leg in legs if leg != gateway),
        gateway=leg_spec(gateway) if gateway else None,
        next_hop=next(filter(None, outside), ""),
        snat=router.enable_snat,
        routes=tuple((route["destination"], route["nexthop"]) for route in router.routes),
        chassis=tuple(host.name for host in hosts),
        enabled=router.admin_state_up,
    )


def leg_spec(port: Port) -> RouterPortSpec:
    fixed_ips = list(port.fixed_ips.all())
    return RouterPortSpec(
        id=str(port.pk),
        network=str(port.network_id),
        mac=port.mac_address,
        cidrs=tuple(f"{fixed.address}/{fixed.subnet.cidr.split('/')[1]}" for fixed in fixed_ips),
        subnets=tuple(fixed.subnet.cidr for fixed in fixed_ips),
    )


@reconciles(FloatingIP)
def reconcile_floating_ip(floating: FloatingIP):
    if floating.status == Status.DELETING:
        engine().ensure_no_floating_ip(str(floating.pk))
        return end(floating)
    if floating.port_id is None:
        engine().ensure_no_floating_ip(str(floating.pk))
        if floating.status != Status.DOWN:
            move(floating, Status.DOWN)
        return None
    if _awaited(floating, floating.router):
        return PATIENCE
    engine().ensure_floating_ip(
        FloatingIPSpec(
            id=str(floating.pk),
            address=floating.address,
            router=str(floating.router_id),
            fixed_address=floating.fixed_address,
            port=str(floating.port_id),
            mac=floating.mac_address,
        )
    )
    _settled(floating)
    return None
