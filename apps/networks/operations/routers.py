"""Routers: between the networks of a project, and from them to the outside."""

import ipaddress

from django.db import transaction

from apps.core.context import Context
from apps.core.errors import CloudError, Conflict, NotFound
from apps.core.lifecycle import begin, mark, move
from apps.core.policy import enforce
from apps.networks.models import (
    ROUTER_GATEWAY,
    ROUTER_INTERFACE,
    FixedIP,
    FloatingIP,
    Network,
    Port,
    Router,
    Status,
    Subnet,
)
from apps.networks.operations import addresses, ports
from apps.networks.operations.common import (
    check_tags,
    check_texts,
    hold,
    invalid,
    new_mac,
    owner,
    parse_routes,
    take,
    write,
)
from apps.quotas.operations import claim

ROUTES_MAX = 30


@transaction.atomic
def create_router(
    ctx: Context,
    *,
    name: str = "",
    description: str = "",
    admin_state_up: bool = True,
    external_network: Network | None = None,
    enable_snat: bool = True,
    external_fixed_ips: list[dict] | None = None,
    tags=(),
    project_id: str = "",
) -> Router:
    """A router without interfaces, with a gateway where an external network is given; it routes once it is ACTIVE."""
    project_id = owner(ctx, project_id)
    enforce(ctx, "create_router")
    check_texts(name=name, description=description)
    claim(project_id, router=1)
    router = Router(
        project_id=project_id,
        name=name,
        description=description,
        admin_state_up=admin_state_up,
        tags=check_tags(tags),
        status=Status.BUILD,
    )
    begin(router, by=ctx)
    if external_network is not None:
        set_gateway(
            ctx,
            router=router,
            network=external_network,
            enable_snat=enable_snat,
            external_fixed_ips=external_fixed_ips,
        )
    return router


@transaction.atomic
def update_router(ctx: Context, *, router: Router, routes: list[dict] | None = None, **fields) -> Router:
    """Write name, description, admin_state_up; replace the static routes where they are given."""
    enforce(ctx, "update_router", router)
    check_texts(**{k: v for k, v in fields.items() if k in ("name", "description")})
    take(router)
    if routes is not None:
        fields["routes"] = _check_routes(router, routes)
    return write(router, ctx, **fields)


def _check_routes(router: Router, routes: list[dict]) -> list[dict]:
    """Each next hop is on a subnet that the router is on, and is not the router."""
    parsed = parse_routes(routes, "routes")
    if len(parsed) > ROUTES_MAX:
        raise invalid(
            f"Unable to complete operation for {router.pk}: {len(parsed)} routes, at most {ROUTES_MAX} fit.",
            "routes",
            "RoutesExhausted",
        )
    legs = _addresses(router)
    for route in parsed:
        hop = route["nexthop"]
        if not any(leg.subnet.contains(hop) for leg in legs):
            raise _bad_routes(f"the nexthop {hop} is not connected with router {router.pk}")
        if any(leg.address == hop for leg in legs):
            raise _bad_routes(f"the nexthop {hop} is used by router {router.pk} itself")
    return parsed


def _bad_routes(reason: str) -> CloudError:
    return CloudError(f"Invalid format for routes: {reason}.", field="routes", kind="InvalidRoutes")


def _addresses(router: Router) -> list[FixedIP]:
    """The router's own addresses, with their subnets."""
    rows = FixedIP.objects.filter(port__router=router).exclude(port__status=Status.DELETING)
    return list(rows.select_related("subnet", "port"))


# --- the way outside ----------------------------------------------------------------------------------


@transaction.atomic
def set_gateway(
    ctx: Context,
    *,
    router: Router,
    network: Network,
    enable_snat: bool = True,
    external_fixed_ips: list[dict] | None = None,
) -> Router:
    """The router leads to the external `network`, by an address of its own there."""
    enforce(ctx, "update_router", router)
    if not network.external:
        raise CloudError(
            f"Bad router request: Network {network.pk} is not an external network.",
            field="external_network",
            kind="BadRequest",
        )
    take(router)
    gateway = _gateway(router)
    if gateway and (router.external_network_id != network.pk or external_fixed_ips is not None):
        _drop_gateway(ctx, router, gateway)
        gateway = None
    if gateway is None:
        network = hold(network)
        subnets = [subnet for subnet in network.subnets.all() if subnet.ip_version == 4]
        if not subnets:
            raise CloudError(
                f"Bad router request: network {network.pk} has no IPv4 subnet, so there is no way to it.",
                field="external_network",
                kind="BadRequest",
            )
        for subnet in subnets:
            _check_no_overlap(router, subnet)
        given = addresses.allocate(network, external_fixed_ips)
        _plug(ctx, router, network, given, ROUTER_GATEWAY, network.project_id)
    return write(router, ctx, "set_gateway", external_network=network, enable_snat=enable_snat)


def _gateway(router: Router) -> Port | None:
    return Port.objects.alive().filter(router=router, device_owner=ROUTER_GATEWAY).first()


def _plug(
    ctx: Context,
    router: Router,
    network: Network,
    given: list[addresses.Address],
    owned_as: str,
    project_id: str,
) -> Port:
    """A port of the router, DOWN until the router's reconciler has plugged it."""
    port = Port(
        project_id=project_id,
        network=network,
        mac_address=new_mac(network),
        port_security_enabled=False,
        device_id=str(router.pk),
        device_owner=owned_as,
        router=router,
        status=Status.DOWN,
    )
    return ports.insert(ctx, port, given, [])


@transaction.atomic
def clear_gateway(ctx: Context, *, router: Router) -> Router:
    """The router leads nowhere outside. Conflict while floating IPs need it."""
    enforce(ctx, "update_router", router)
    take(router)
    if gateway := _gateway(router):
        _drop_gateway(ctx, router, gateway)
    if router.external_network_id is None:
        return router
    return write(router, ctx, "clear_gateway", external_network=None)


def _drop_gateway(ctx: Context, router: Router, gateway: Port) -> None:
    used = FloatingIP.objects.alive().filter(router=router).count()
    if used:
        raise Conflict(
            f"Gateway cannot be updated for router {router.pk}, since a gateway to external network "
            f"{router.external_network_id} is required by one or more floating IPs: {used}. Disassociate them first.",
            kind="RouterExternalGatewayInUseByFloatingIp",
        )
    move(take(gateway), Status.DELETING, by=ctx, action="delete")


# --- interfaces ---------------------------------------------------------------------------------------


@transaction.atomic
def add_router_interface(
    ctx: Context, *, router: Router, subnet: Subnet | None = None, port: Port | None = None
) -> Port:
    """The router is on the subnet, as its gateway, or by a free port that becomes its own. Returns the port."""
    enforce(ctx, "add_router_interface", router)
    if (subnet is None) == (port is None):
        raise CloudError("Either subnet_id or port_id must be specified, not both.", kind="BadRequest")
    if subnet is not None:
        enforce(ctx, "update_subnet", subnet)
    else:
        enforce(ctx, "update_port", port)
    if subnet is not None and not subnet.gateway_ip:
        raise CloudError(
            "Bad router request: Subnet for router interface must have a gateway IP.", kind="BadRequest"
        )
    if subnet is not None:
        claim(router.project_id, port=1)
    take(router)
    port = _new_leg(ctx, router, subnet) if subnet is not None else _own_leg(ctx, router, port)
    write(router, ctx, "add_interface")
    return port


def _new_leg(ctx: Context, router: Router, subnet: Subnet) -> Port:
    network = hold(subnet.network)
    _check_no_overlap(router, subnet)
    given = addresses.allocate(network, [{"subnet_id": str(subnet.pk), "ip_address": subnet.gateway_ip}])
    return _plug(ctx, router, network, given, ROUTER_INTERFACE, router.project_id)


def _own_leg(ctx: Context, router: Router, port: Port) -> Port:
    take(port)
    if port.device_id or port.device_owner:
        raise Conflict(
            f"Unable to complete operation on port {port.pk} for network {port.network_id}. Port already has an "
            f"attached device {port.device_id or port.device_owner}.",
            kind="PortInUse",
        )
    held = list(port.fixed_ips.select_related("subnet"))
    if not held:
        raise CloudError(
            "Bad router request: Router port must have at least one fixed IP.", kind="BadRequest"
        )
    for fixed in held:
        _check_no_overlap(router, fixed.subnet)
    port.security_groups.clear()
    for floating in port.floating_ips.all():
        raise Conflict(
            f"Floating IP {floating.address} leads to port {port.pk}. Disassociate it first.",
            kind="PortInUse",
        )
    return move(
        port,
        Status.DOWN,
        by=ctx,
        action="plug",
        port_security_enabled=False,
        device_id=str(router.pk),
        device_owner=ROUTER_INTERFACE,
        router=router,
        revision=port.revision + 1,
    )


def _check_no_overlap(router: Router, subnet: Subnet) -> None:
    cidr = ipaddress.ip_network(subnet.cidr)
    for leg in _addresses(router):
        if leg.subnet_id == subnet.pk:
            raise CloudError(
                f"Bad router request: Router already has a port on subnet {subnet.pk}.",
                field="subnet",
                kind="BadRequest",
            )
        if leg.subnet.ip_version == subnet.ip_version and cidr.overlaps(
            ipaddress.ip_network(leg.subnet.cidr)
        ):
            raise CloudError(
                f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.pk} overlaps with cidr {leg.subnet.cidr} of "
                f"subnet {leg.subnet_id}.",
                field="subnet",
                kind="BadRequest",
            )


@transaction.atomic
def remove_router_interface(
    ctx: Context, *, router: Router, subnet: Subnet | None = None, port: Port | None = None
) -> Port:
    """The router is on that subnet no more; its port there is DELETING. Returns the port."""
    enforce(ctx, "remove_router_interface", router)
    take(router)
    legs = Port.objects.alive().filter(router=router, device_owner=ROUTER_INTERFACE)
    if port is not None:
        legs = legs.filter(pk=port.pk)
    if subnet is not None:
        legs = legs.filter(fixed_ips__subnet=subnet)
    leg = legs.first() if port is not None or subnet is not None else None
    if leg is None:
        wanted = f"port {port.pk}" if port is not None else f"subnet {subnet.pk if subnet else ''}"
        raise NotFound(
            f"Router {router.pk} does not have an interface on {wanted}.", kind="RouterInterfaceNotFound"
        )
    _check_leg_unused(router, leg)
    move(take(leg), Status.DELETING, by=ctx, action="delete")
    write(router, ctx, "remove_interface")
    return leg


def _check_leg_unused(router: Router, leg: Port) -> None:
    subnets = [fixed.subnet for fixed in leg.fixed_ips.select_related("subnet")]
    used = (
        FloatingIP.objects.alive()
        .filter(router=router, port__fixed_ips__subnet__in=subnets)
        .distinct()
        .count()
    )
    if used:
        raise Conflict(
            f"Router interface for subnet {subnets[0].pk} on router {router.pk} cannot be deleted, as it is required by "
            f"one or more floating IPs: {used}. Disassociate them first.",
            kind="RouterInterfaceInUseByFloatingIP",
        )
    for route in router.routes:
        if any(subnet.contains(route["nexthop"]) for subnet in subnets):
            raise Conflict(
                f"Router interface for subnet {subnets[0].pk} on router {router.pk} cannot be deleted, as it is required "
                f"by the route to {route['destination']}.",
                kind="RouterInterfaceInUseByRoute",
            )


@transaction.atomic
def delete_router(ctx: Context, *, router: Router) -> None:
    """The router is gone for everybody. Conflict while it has interfaces."""
    enforce(ctx, "delete_router", router)
    take(router)
    legs = Port.objects.alive().filter(router=router, device_owner=ROUTER_INTERFACE).count()
    if legs:
        raise Conflict(
            f"Router {router.pk} still has ports: {legs}. Remove its interfaces first.", kind="RouterInUse"
        )
    if gateway := _gateway(router):
        _drop_gateway(ctx, router, gateway)
    move(router, Status.DELETING, by=ctx, action="delete", external_network=None)


def look_at_gateways() -> None:
    """Every router with a way outside is looked at again: hosts that may carry it have come or gone."""
    for router in Router.objects.alive().exclude(external_network=None):
        mark(router)
