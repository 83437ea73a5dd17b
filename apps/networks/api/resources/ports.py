"""Ports."""

from django.db.models import Prefetch, Q

from apps.core.context import Context
from apps.core.policy import enforce
from apps.networks import operations
from apps.networks.api.resources.networks import NETWORKS
from apps.networks.api.resources.security_groups import SECURITY_GROUPS
from apps.networks.api.resources.shared import (
    ADMIN_STATE_UP,
    STATUS,
    A,
    always,
    common,
    fixed_ips,
    flag,
    id_of,
)
from apps.networks.api.wire import (
    DROPPED,
    Attribute,
    Resource,
    as_id,
    bad,
    items,
    only,
)
from apps.networks.models import (
    FixedIP,
    Network,
    Port,
    SecurityGroup,
)
from apps.networks.operations.common import is_id


def _has_address(values: list[str]) -> Q:
    """`fixed_ips=ip_address=10.0.0.9` and `subnet_id=`, `ip_address_substr=`: one of each kind that is given."""
    lookups = {
        "ip_address": "address__in",
        "subnet_id": "subnet_id__in",
        "ip_address_substr": "address__contains",
    }
    asked: dict[str, list[str]] = {}
    for value in values:
        kind, _, wanted = value.partition("=")
        if kind not in lookups:
            raise bad("fixed_ips", f"'{value}' is none of {', '.join(lookups)} with a value")
        asked.setdefault(kind, []).append(wanted)
    found = Q(pk__isnull=False)
    for kind, wanted in asked.items():
        fitting = FixedIP.objects.all()
        if kind == "ip_address_substr":
            some = Q(pk__in=())
            for part in wanted:
                some |= Q(address__contains=part)
            fitting = fitting.filter(some)
        else:
            usable = [value for value in wanted if kind != "subnet_id" or is_id(value)]
            fitting = fitting.filter(**{lookups[kind]: usable})
        found &= Q(pk__in=fitting.values("port_id"))
    return found


def _in_group(values: list[str]) -> Q:
    through = Port.security_groups.through.objects.filter(
        securitygroup_id__in=[v for v in values if is_id(v)]
    )
    return Q(pk__in=through.values("port_id"))


def _create_port(ctx: Context, **args) -> Port:
    if args.get("host"):
        enforce(ctx, "create_port:binding:host_id")
    _check_may_say(ctx, args["network"], args, "")
    return operations.create_port(ctx, **args)


def _update_port(ctx: Context, port: Port, **args) -> None:
    _check_may_say(ctx, port.network, args, port.device_id)
    operations.update_port(ctx, port=port, **args)


def _check_may_say(ctx: Context, network: Network, args: dict, device_id: str) -> None:
    """A port of an instance is asked for its metadata and plugged with it, so only compute says whose it is. What
    lets a port pass for another one is for the owner of the network.
    """
    if args.get("device_id", device_id) not in ("", device_id):
        enforce(ctx, "create_port:device_id")
    address = any(isinstance(item, dict) and item.get("ip_address") for item in args.get("fixed_ips") or ())
    posing = address or args.get("mac_address") or args.get("port_security_enabled") is False
    if posing and network.project_id != ctx.project_id:
        enforce(ctx, "create_port:network_owner")


def _binding(name: str, read, *, admin: bool = True, allowed: tuple = ()) -> Attribute:
    verbs = {"post": DROPPED, "put": DROPPED} if allowed else {}
    return A(f"binding:{name}", read=read, admin=admin, parse=only(*allowed), **verbs)


PORTS = Resource(
    name="port",
    collection="ports",
    path="ports",
    missing="PortNotFound",
    model=Port,
    attributes=(
        *common(),
        STATUS,
        ADMIN_STATE_UP,
        A(
            "network_id",
            "network_id",
            read=id_of("network_id"),
            filter_as=as_id,
            post="network",
            parse=NETWORKS.reference,
            required=True,
        ),
        A(
            "mac_address",
            "mac_address",
            filter_as=str.lower,
            post="mac_address",
            put="mac_address",
            null="",
        ),
        A(
            "fixed_ips",
            read=fixed_ips,
            where=_has_address,
            post="fixed_ips",
            put="fixed_ips",
            parse=items,
            null=None,
        ),
        A(
            "security_groups",
            read=lambda row: [str(group.pk) for group in row.security_groups.all()],
            where=_in_group,
            post="security_groups",
            put="security_groups",
            parse=SECURITY_GROUPS.references,
            null=None,
        ),
        A("device_id", "device_id", post="device_id", put="device_id", null=""),
        A("device_owner", "device_owner", post="device_owner", put="device_owner", null=""),
        flag("port_security_enabled", "port_security_enabled"),
        A("binding:host_id", "host", post="host", put="host", null="", admin=True),
        _binding("vif_type", lambda row: "ovs" if row.host else "unbound"),
        _binding("vif_details", lambda row: {"port_filter": True} if row.host else {}),
        _binding("profile", always({}), allowed=({},)),
        _binding("vnic_type", always("normal"), admin=False, allowed=("normal",)),
    ),
    create=_create_port,
    update=_update_port,
    delete=lambda ctx, row: operations.delete_port(ctx, port=row),
    related=lambda rows: rows.prefetch_related(
        "fixed_ips", Prefetch("security_groups", SecurityGroup.objects.only("pk").order_by("created_at"))
    ),
)
