"""Networks: a switch for a project's machines, or the way outside."""

from django.db import transaction

from apps.core.context import Context
from apps.core.errors import Conflict, NotFound
from apps.core.lifecycle import begin, mark, move
from apps.core.policy import enforce
from apps.networks.models import FloatingIP, Network, Port, Router, Status
from apps.networks.operations.common import check_tags, check_texts, hold, invalid, owner, write
from apps.quotas.operations import claim

TUNNEL_MTU = 1442  # octets: a wire's 1500 less 58 for Geneve
WIRE_MTU = 1500
MTU_LEAST, MTU_MOST = 68, 9000
TYPES = ("geneve", "flat", "vlan")


@transaction.atomic
def create_network(
    ctx: Context,
    *,
    name: str = "",
    description: str = "",
    admin_state_up: bool = True,
    shared: bool = False,
    external: bool = False,
    is_default: bool = False,
    port_security_enabled: bool = True,
    mtu: int | None = None,
    network_type: str = "",
    physical_network: str = "",
    vlan: int | None = None,
    tags=(),
    project_id: str = "",
) -> Network:
    """A network without addresses yet; the engine has it once it is ACTIVE.

    With a `physical_network` it is that wire of the hosts, or its `vlan`; otherwise it is tunnelled.
    """
    project_id = owner(ctx, project_id)
    enforce(ctx, "create_network")
    if shared:
        enforce(ctx, "create_network:shared")
    if external:
        enforce(ctx, "create_network:router:external")
    if is_default:
        enforce(ctx, "create_network:is_default")
    if network_type or physical_network or vlan is not None:
        enforce(ctx, "create_network:provider")
    check_texts(name=name, description=description)
    network = Network(
        project_id=project_id,
        name=name,
        description=description,
        admin_state_up=admin_state_up,
        shared=shared,
        external=external,
        is_default=is_default,
        port_security_enabled=port_security_enabled,
        physical_network=physical_network,
        vlan=vlan,
        tags=check_tags(tags),
        status=Status.BUILD,
    )
    network.mtu = _check_mtu(network, mtu)
    claim(project_id, network=1)
    _check_provider(network, network_type)
    _check_default(network)
    return begin(network, by=ctx)


def _check_provider(network: Network, asked: str) -> None:
    """Each wire, and each VLAN of it, is one network."""
    if asked and asked not in TYPES:
        raise invalid(
            f"Invalid input for provider:network_type. Reason: '{asked}' is none of {', '.join(TYPES)}.",
            "network_type",
        )
    if asked and asked != network.network_type:
        raise invalid(
            f"Invalid input for provider:network_type. Reason: physical network '{network.physical_network}' "
            f"and segment {network.vlan} make it {network.network_type}, not {asked}.",
            "network_type",
        )
    if network.vlan is not None and not (network.physical_network and 1 <= network.vlan <= 4094):
        raise invalid(
            "Invalid input for provider:segmentation_id. Reason: a VLAN is 1 to 4094, on a physical network.",
            "vlan",
        )
    if not network.physical_network:
        return
    same = Network.objects.filter(physical_network=network.physical_network, vlan=network.vlan).first()
    if same:
        untagged = network.vlan is None
        what = "untagged" if untagged else f"VLAN {network.vlan}"
        raise Conflict(
            f"Unable to create the network. Physical network {network.physical_network}, {what}, is in use by "
            f"{same}.",
            kind="FlatNetworkInUse" if untagged else "VlanIdInUse",
        )


def _check_mtu(network: Network, mtu: int | None) -> int:
    most = MTU_MOST if network.physical_network else TUNNEL_MTU
    if mtu is None:
        return WIRE_MTU if network.physical_network else TUNNEL_MTU
    if not MTU_LEAST <= mtu <= most:
        raise invalid(f"Invalid input for mtu. Reason: {mtu} is not between {MTU_LEAST} and {most}.", "mtu")
    return mtu


def _check_default(network: Network) -> None:
    if not network.is_default:
        return
    if not network.external:
        raise invalid("Invalid input for is_default. Reason: only an external network can be the default.")
    other = Network.objects.alive().filter(is_default=True).exclude(pk=network.pk).first()
    if other:
        raise Conflict(
            f"A default external network already exists: {other.pk}.", kind="DefaultExternalNetworkExists"
        )


@transaction.atomic
def update_network(ctx: Context, *, network: Network, **fields) -> Network:
    """Write name, description, admin_state_up, shared, external, is_default, mtu, port_security_enabled."""
    enforce(ctx, "update_network", network)
    for field, rule in (("shared", "shared"), ("external", "router:external"), ("is_default", "is_default")):
        if field in fields and fields[field] != getattr(network, field):
            enforce(ctx, f"create_network:{rule}")
    check_texts(**{k: v for k, v in fields.items() if k in ("name", "description")})
    network = hold(network)
    if network.shared and fields.get("shared") is False:
        _check_not_shared(network)
    if network.external and fields.get("external") is False:
        _check_no_way_outside(network)
    if "mtu" in fields:
        fields["mtu"] = _check_mtu(network, fields["mtu"])
    switched = fields.get("admin_state_up", network.admin_state_up) != network.admin_state_up
    for name, value in fields.items():
        setattr(network, name, value)
    _check_default(network)
    write(network, ctx, **fields)
    if switched:
        for port in Port.objects.alive().filter(network=network, router=None):
            mark(port)
    return network


def _check_not_shared(network: Network) -> None:
    users = Port.objects.alive().filter(network=network).exclude(project_id=network.project_id).count()
    if users:
        raise Conflict(
            f"Unable to reconfigure sharing settings for network {network.pk}: {users} ports of other projects "
            "are on it.",
            kind="InvalidSharedSetting",
        )


def _check_no_way_outside(network: Network) -> None:
    routers = Router.objects.alive().filter(external_network=network).count()
    addresses = FloatingIP.objects.alive().filter(network=network).count()
    if routers or addresses:
        raise Conflict(
            f"External network {network.pk} cannot be updated to be made non-external, since it has existing "
            f"gateway ports: {routers} routers and {addresses} floating IPs.",
            kind="ExternalNetworkInUse",
        )


@transaction.atomic
def delete_network(ctx: Context, *, network: Network) -> None:
    """The network and its subnets are gone for everybody; the engine follows."""
    enforce(ctx, "delete_network", network)
    network = hold(network)
    ports = Port.objects.alive().filter(network=network).count()
    addresses = FloatingIP.objects.alive().filter(network=network).count()
    if ports or addresses:
        held = ", ".join(f"{n} {what}" for n, what in ((ports, "ports"), (addresses, "floating IPs")) if n)
        raise Conflict(
            f"Unable to complete operation on network {network.pk}. There are one or more ports still in use on "
            f"the network: {held}. Delete them first.",
            kind="NetworkInUse",
        )
    move(network, Status.DELETING, by=ctx, action="delete")


def default_network(ctx: Context) -> Network:
    """The network that a launch uses which names none: the only one of the project, or else the only shared one.

    NotFound when there is none, Conflict when there are several.
    """
    usable = Network.objects.visible_to(ctx).filter(external=False, subnets__isnull=False)
    usable = usable.distinct().order_by("created_at", "pk")
    for rows in (usable.filter(project_id=ctx.project_id), usable.filter(shared=True)):
        found = list(rows[:10])
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(network) for network in found)
            raise Conflict(
                f"Multiple possible networks found ({names}), use a Network ID to be more specific.",
                field="networks",
            )
    raise NotFound(
        "This project has no network with a subnet. Create a network with a subnet first, or launch without one.",
        field="networks",
    )
