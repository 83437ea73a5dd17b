"""Floating IPs: addresses outside that lead to a port inside."""

from django.db import transaction

from apps.core.context import Context
from apps.core.errors import CloudError, Conflict, NotFound
from apps.core.lifecycle import begin, move
from apps.core.policy import enforce
from apps.networks.models import ROUTER_INTERFACE, FixedIP, FloatingIP, Network, Port, Router, Status, Subnet
from apps.networks.operations import addresses
from apps.networks.operations.common import (
    check_tags,
    check_texts,
    hold,
    invalid,
    new_mac,
    owner,
    take,
    write,
)
from apps.quotas.operations import claim


@transaction.atomic
def create_floating_ip(
    ctx: Context,
    *,
    network: Network,
    port: Port | None = None,
    fixed_address: str = "",
    address: str = "",
    subnet: Subnet | None = None,
    description: str = "",
    tags=(),
    project_id: str = "",
) -> FloatingIP:
    """An address of the external `network` for the project; it leads to `port` where one is given."""
    project_id = owner(ctx, project_id)
    enforce(ctx, "create_floatingip")
    check_texts(description=description)
    if not network.external:
        raise CloudError(
            f"Bad floatingip request: Network {network.pk} is not a valid external network.",
            field="network",
            kind="BadRequest",
        )
    claim(project_id, floatingip=1)
    network = hold(network)
    subnet, address = _choose(ctx, network, subnet, address)
    floating = FloatingIP(
        project_id=project_id,
        network=network,
        subnet=subnet,
        address=address,
        mac_address=new_mac(network),
        description=description,
        tags=check_tags(tags),
        status=Status.DOWN,
    )
    begin(floating, by=ctx)
    if port is not None:
        associate_floating_ip(ctx, floating_ip=floating, port=port, fixed_address=fixed_address)
    return floating


def _choose(ctx: Context, network: Network, subnet: Subnet | None, address: str) -> addresses.Address:
    if subnet is not None and subnet.network_id != network.pk:
        raise invalid(f"Bad floatingip request: subnet {subnet.pk} is not on network {network.pk}.", "subnet")
    if address:
        enforce(ctx, "create_floatingip:floating_ip_address")
        item = {"ip_address": address} | ({"subnet_id": str(subnet.pk)} if subnet else {})
        return addresses.allocate(network, [item])[0]
    fitting = [subnet] if subnet else list(network.subnets.filter(ip_version=4).order_by("created_at", "pk"))
    for candidate in fitting:
        if picked := addresses.pick(candidate):
            return candidate, picked
    raise addresses.exhausted(network, fitting)


@transaction.atomic
def associate_floating_ip(
    ctx: Context, *, floating_ip: FloatingIP, port: Port, fixed_address: str = ""
) -> FloatingIP:
    """The floating IP leads to the port's `fixed_address`, or its only IPv4 address, once it is ACTIVE.

    NotFound when no router leads from the port's subnet to the floating IP's network.
    """
    enforce(ctx, "update_floatingip", floating_ip)
    enforce(ctx, "get_port", port)
    take(port)
    take(floating_ip)
    fixed = _fixed(port, fixed_address)
    router = _router_between(fixed, floating_ip)
    other = (
        FloatingIP.objects.filter(port=port, fixed_address=fixed.address).exclude(pk=floating_ip.pk).first()
    )
    if other:
        raise Conflict(
            f"Cannot associate floating IP {floating_ip.address} ({floating_ip.pk}) with port {port.pk} using fixed IP "
            f"{fixed.address}, as that fixed IP already has the floating IP {other.address} on external network "
            f"{other.network_id}. Disassociate that one first.",
            field="port",
            kind="FloatingIPPortAlreadyAssociated",
        )
    return move(
        floating_ip,
        Status.BUILD,
        by=ctx,
        action="associate",
        detail=f"with {fixed.address}",
        port=port,
        fixed_address=fixed.address,
        router=router,
        revision=floating_ip.revision + 1,
    )


def _fixed(port: Port, address: str) -> FixedIP:
    held = [fixed for fixed in port.fixed_ips.select_related("subnet") if fixed.subnet.ip_version == 4]
    if address:
        held = [fixed for fixed in held if fixed.address == address]
        if not held:
            raise CloudError(
                f"Bad floatingip request: Port {port.pk} does not have fixed ip {address}.",
                field="fixed_address",
                kind="BadRequest",
            )
    if not held:
        raise CloudError(
            f"Bad floatingip request: Cannot add floating IP to port {port.pk} that has no fixed IPv4 addresses.",
            field="port",
            kind="BadRequest",
        )
    if len(held) > 1:
        listed = ", ".join(fixed.address for fixed in held)
        raise CloudError(
            f"Bad floatingip request: Port {port.pk} has multiple fixed IPv4 addresses ({listed}). Must provide a "
            "specific IPv4 address when assigning a floating IP.",
            field="port",
            kind="BadRequest",
        )
    return held[0]


def _router_between(fixed: FixedIP, floating_ip: FloatingIP) -> Router:
    """The router with an interface on the subnet whose gateway is on the floating IP's network."""
    legs = Port.objects.alive().filter(device_owner=ROUTER_INTERFACE, fixed_ips__subnet=fixed.subnet_id)
    routers = Router.objects.alive().filter(external_network=floating_ip.network_id, ports__in=legs)
    router = routers.order_by("created_at").first()
    if router is None:
        raise NotFound(
            f"External network {floating_ip.network_id} is not reachable from subnet {fixed.subnet_id}. Therefore, "
            f"cannot associate Port {fixed.port_id} with a Floating IP. Connect the subnet to a router whose gateway "
            "is on that network.",
            field="port",
            kind="ExternalGatewayForFloatingIPNotFound",
        )
    return router


@transaction.atomic
def disassociate(ctx: Context, *, floating_ip: FloatingIP) -> FloatingIP:
    """The floating IP leads nowhere; it stays the project's."""
    enforce(ctx, "update_floatingip", floating_ip)
    take(floating_ip)
    return detach(ctx, floating_ip) if floating_ip.port_id else floating_ip


def detach(ctx: Context | None, floating_ip: FloatingIP) -> FloatingIP:
    take(floating_ip)
    return move(
        floating_ip,
        Status.BUILD,
        by=ctx,
        action="disassociate",
        detail=f"from {floating_ip.fixed_address}",
        port=None,
        fixed_address="",
        router=None,
        revision=floating_ip.revision + 1,
    )


@transaction.atomic
def update_floating_ip(ctx: Context, *, floating_ip: FloatingIP, description: str) -> FloatingIP:
    enforce(ctx, "update_floatingip", floating_ip)
    check_texts(description=description)
    take(floating_ip)
    return write(floating_ip, ctx, look=False, description=description)


@transaction.atomic
def release_floating_ip(ctx: Context, *, floating_ip: FloatingIP) -> None:
    """The address is the project's no longer, and free for others once the engine has forgotten it."""
    enforce(ctx, "delete_floatingip", floating_ip)
    take(floating_ip)
    move(floating_ip, Status.DELETING, by=ctx, action="delete", port=None, fixed_address="", router=None)
