"""Ports: places in a network, with their addresses."""

import re
from collections import defaultdict
from collections.abc import Iterable

from django.db import IntegrityError, transaction

from apps.core.context import Context
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.core.lifecycle import begin, mark, move
from apps.core.policy import allowed, enforce
from apps.networks.models import FixedIP, Network, Port, SecurityGroup, Status
from apps.networks.operations import addresses, floating_ips
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
from apps.networks.operations.security_groups import default_security_group
from apps.quotas.operations import claim

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


@transaction.atomic
def create_port(
    ctx: Context,
    *,
    network: Network,
    name: str = "",
    description: str = "",
    fixed_ips: list[dict] | None = None,
    mac_address: str = "",
    security_groups: Iterable[SecurityGroup] | None = None,
    device_id: str = "",
    device_owner: str = "",
    host: str = "",
    dns_name: str = "",
    port_security_enabled: bool | None = None,
    admin_state_up: bool = True,
    tags=(),
    project_id: str = "",
) -> Port:
    """A port with its addresses; the engine has it once it is DOWN (not plugged) or ACTIVE (plugged).

    `fixed_ips` None: one address of each IP version that the network has; else [{"subnet_id", "ip_address"}].
    `security_groups` None: the project's default group, unless port security is off.
    """
    project_id = owner(ctx, project_id)
    enforce(ctx, "create_port")
    check_texts(name=name, description=description)
    if device_owner.startswith("network:"):
        enforce(ctx, "create_port:device_owner")
    claim(project_id, port=1)
    network = hold(network)
    _check_may_attach(ctx, network)
    secure = network.port_security_enabled if port_security_enabled is None else port_security_enabled
    if security_groups is None:
        security_groups = [default_security_group(project_id)] if secure else []
    port = Port(
        project_id=project_id,
        network=network,
        name=name,
        description=description,
        mac_address=_check_mac(mac_address) if mac_address else new_mac(network),
        admin_state_up=admin_state_up,
        port_security_enabled=secure,
        device_id=device_id,
        device_owner=device_owner,
        host=host,
        dns_name=dns_name,
        tags=check_tags(tags),
        status=Status.BUILD,
    )
    _check_groups(port, security_groups := list(security_groups))
    return insert(ctx, port, addresses.allocate(network, fixed_ips), security_groups)


def insert(
    ctx: Context | None, port: Port, given: list[addresses.Address], groups: list[SecurityGroup]
) -> Port:
    """The port with its addresses and groups. Conflict when its MAC address is taken."""
    try:
        begin(port, by=ctx)
    except IntegrityError:
        raise Conflict(
            f"Unable to complete operation for network {port.network_id}. The mac address {port.mac_address} is in "
            "use.",
            field="mac_address",
            kind="MacAddressInUse",
        ) from None
    FixedIP.objects.bulk_create(
        FixedIP(port=port, subnet=subnet, address=address) for subnet, address in given
    )
    if groups:
        port.security_groups.set(groups)
    return port


def _check_may_attach(ctx: Context, network: Network) -> None:
    """Outside networks are for routers and floating IPs, unless they are shared too."""
    own = network.project_id == ctx.project_id or network.shared
    if not own and not allowed(ctx, "create_port:external_network"):
        raise Forbidden(
            f"It is not allowed to create an interface on external network {network.pk}. Attach to a network of your "
            "own and give the instance a floating IP.",
            field="network",
        )


def _check_mac(mac: str) -> str:
    mac = mac.lower()
    if not MAC.fullmatch(mac) or int(mac[:2], 16) & 1:
        raise invalid(
            f"Invalid input for mac_address. Reason: '{mac}' is not a valid MAC address.", "mac_address"
        )
    return mac


def _check_groups(port: Port, groups: list[SecurityGroup]) -> None:
    if groups and not port.port_security_enabled:
        raise Conflict(
            "Port has no port security: it can have no security groups. Turn port security on, or leave them out.",
            field="security_groups",
            kind="PortSecurityAndIPRequiredForSecurityGroups",
        )


@transaction.atomic
def update_port(
    ctx: Context,
    *,
    port: Port,
    fixed_ips: list[dict] | None = None,
    security_groups: Iterable[SecurityGroup] | None = None,
    **fields,
) -> Port:
    """Write name, description, admin_state_up, port_security_enabled, device_id, device_owner, host, dns_name,
    mac_address; replace the addresses and the groups where they are given.

    An address that the port gives up is free at once, an instant before the engine knows.
    """
    enforce(ctx, "update_port", port)
    if "host" in fields:
        enforce(ctx, "create_port:binding:host_id")
    check_texts(
        **{k: v for k, v in fields.items() if k in ("name", "description", "device_id", "device_owner")}
    )
    network = hold(port.network)
    take(port)
    if fields.get("device_owner", "").startswith("network:") and fields["device_owner"] != port.device_owner:
        enforce(ctx, "create_port:device_owner")
    if "mac_address" in fields and (mac := _check_mac(fields["mac_address"])) != port.mac_address:
        _check_mac_may_change(port, network, mac)
        fields["mac_address"] = mac
    if fixed_ips is not None:
        _replace_addresses(port, network, fixed_ips)
    port.port_security_enabled = fields.get("port_security_enabled", port.port_security_enabled)
    if security_groups is not None:
        _check_groups(port, security_groups := list(security_groups))
        port.security_groups.set(security_groups)
    elif not port.port_security_enabled:
        _check_groups(port, list(port.security_groups.all()))
    write(port, ctx, look=port.router_id is None, **fields)
    if port.router_id:
        mark(port.router)
    return port


def _check_mac_may_change(port: Port, network: Network, mac: str) -> None:
    if port.host:
        raise Conflict(
            f"Unable to change the mac address of port {port.pk}: it is bound to host {port.host}.",
            kind="PortBound",
        )
    if Port.objects.filter(network=network, mac_address=mac).exists():
        raise Conflict(
            f"Unable to complete operation for network {network.pk}. The mac address {mac} is in use.",
            kind="MacAddressInUse",
        )


def _replace_addresses(port: Port, network: Network, asked: list[dict]) -> None:
    before = {fixed.address: fixed for fixed in port.fixed_ips.all()}
    held = {address: str(fixed.subnet_id) for address, fixed in before.items()}
    given = addresses.allocate(network, asked, held)
    after = {address for _, address in given}
    gone = before.keys() - after
    for floating in port.floating_ips.filter(fixed_address__in=gone):
        raise Conflict(
            f"Floating IP {floating.address} points to {floating.fixed_address} of port {port.pk}. Disassociate it "
            "first.",
            field="fixed_ips",
            kind="PortInUse",
        )
    port.fixed_ips.filter(address__in=gone).delete()
    FixedIP.objects.bulk_create(
        FixedIP(port=port, subnet=subnet, address=address)
        for subnet, address in given
        if address not in before
    )


@transaction.atomic
def bind_port(
    ctx: Context, *, port: Port, device_id: str, device_owner: str, host: str, dns_name: str = ""
) -> Port:
    """A port that was there before becomes the device's; it stays when the device goes. Conflict when it has one."""
    enforce(ctx, "update_port", port)
    take(port)
    if port.device_id or port.device_owner:
        raise Conflict(f"Port {port.pk} is still in use.", field="networks", kind="PortInUse")
    return write(
        port,
        ctx,
        "bind",
        device_id=device_id,
        device_owner=device_owner,
        host=host,
        dns_name=dns_name,
        preserve_on_delete=True,
    )


@transaction.atomic
def set_port_host(device_id: str, host: str) -> None:
    """The device's ports may be plugged on `host`, and only there."""
    for port in Port.objects.alive().filter(device_id=device_id).exclude(host=host).order_by("pk"):
        write(take(port), None, "bind", host=host)


@transaction.atomic
def let_go_of_port(ctx: Context, *, port: Port, device_id: str) -> bool:
    """The device shall give the port up; True when that is news. It stays the device's until `release_ports`.

    NotFound when the port is not the device's.
    """
    enforce(ctx, "update_port", port)
    if take(port).device_id != device_id:
        raise NotFound(f"Port id {port.pk} could not be found.", kind="PortNotFound")
    if port.leaving:
        return False
    write(port, ctx, "let_go", look=False, leaving=True)
    return True


@transaction.atomic
def release_ports(device_id: str, given_up: Iterable[Port] | None = None) -> None:
    """The device has no ports any more, or none of those `given_up` that are leaving it.

    Ports that were made for it are DELETING, others are free for another device.
    """
    ports = Port.objects.alive().filter(device_id=device_id, router=None)
    if given_up is not None:
        ports = ports.filter(leaving=True, pk__in=[port.pk for port in given_up])
    for port in ports.order_by("pk"):
        if port.preserve_on_delete:
            free = {
                "device_id": "",
                "device_owner": "",
                "host": "",
                "dns_name": "",
                "preserve_on_delete": False,
                "leaving": False,
            }
            write(take(port), None, "unbind", **free)
        else:
            remove(None, port)


@transaction.atomic
def delete_port(ctx: Context, *, port: Port) -> None:
    """The port is gone for everybody; its addresses are free once the engine has forgotten it."""
    enforce(ctx, "delete_port", port)
    if take(port).router_id:
        raise Conflict(
            f"Port {port.pk} cannot be deleted directly via the port API: has device owner {port.device_owner}. "
            "Remove it from its router.",
            kind="ServicePortInUse",
        )
    remove(ctx, port)


def remove(ctx: Context | None, port: Port) -> None:
    """DELETING, and no floating IP points to it."""
    move(take(port), Status.DELETING, by=ctx, action="delete")
    for floating in port.floating_ips.exclude(status=Status.DELETING):
        floating_ips.detach(ctx, floating)


def ports_of(device_ids: Iterable) -> dict[str, list[Port]]:
    """{device id: its ports, oldest first}, with network, addresses, groups, rules and floating IPs, in six queries."""
    keys = [str(key) for key in device_ids]
    rows = (
        Port.objects.alive()
        .filter(device_id__in=keys)
        .select_related("network")
        .prefetch_related("fixed_ips__subnet", "floating_ips", "security_groups__rules")
        .order_by("created_at", "pk")
    )
    found: dict[str, list[Port]] = defaultdict(list)
    for port in rows if keys else ():
        found[port.device_id].append(port)
    return dict(found)
