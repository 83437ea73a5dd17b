"""Networks and subnets."""

from django.db.models import Prefetch, Q

from apps.core.context import Context
from apps.networks import operations
from apps.networks.api.resources.shared import (
    ADMIN_STATE_UP,
    STATUS,
    A,
    always,
    common,
    flag,
    id_of,
    in_owners_project,
    or_null,
)
from apps.networks.api.wire import (
    DROPPED,
    Attribute,
    Resource,
    as_id,
    as_number,
    as_truth,
    boolean,
    items,
    number,
    only,
)
from apps.networks.models import (
    Network,
    Subnet,
)
from apps.networks.operations.common import is_id


def _with_subnet(values: list[str]) -> Q:
    return Q(subnets__in=[value for value in values if is_id(value)])


def _is_type(values: list[str]) -> Q:
    tunnel, tagged = Q(physical_network=""), Q(vlan__isnull=False)
    kinds = {"geneve": tunnel, "flat": ~tunnel & ~tagged, "vlan": ~tunnel & tagged}
    found = Q(pk__in=())
    for value in values:
        found |= kinds.get(value, Q(pk__in=()))
    return found


NETWORKS = Resource(
    name="network",
    collection="networks",
    path="networks",
    missing="NetworkNotFound",
    model=Network,
    attributes=(
        *common(),
        STATUS,
        ADMIN_STATE_UP,
        flag("shared", "shared"),
        flag("router:external", "external"),
        flag("is_default", "is_default"),
        flag("port_security_enabled", "port_security_enabled"),
        A("mtu", "mtu", filter_as=as_number, post="mtu", put="mtu", parse=number),
        A("subnets", read=lambda row: [str(s.pk) for s in row.subnets.all()], where=_with_subnet),
        A("availability_zones", read=always([])),
        A("availability_zone_hints", read=always([]), post=DROPPED, parse=only([])),
        A("ipv4_address_scope", read=always(None)),
        A("ipv6_address_scope", read=always(None)),
        A(
            "provider:network_type",
            read=lambda row: row.network_type,
            where=_is_type,
            post="network_type",
            null="",
            admin=True,
        ),
        A(
            "provider:physical_network",
            "physical_network",
            read=or_null("physical_network"),
            post="physical_network",
            null="",
            admin=True,
        ),
        A(
            "provider:segmentation_id",
            "vlan",
            filter_as=as_number,
            post="vlan",
            parse=number,
            null=None,
            admin=True,
        ),
    ),
    create=operations.create_network,
    update=lambda ctx, row, **args: operations.update_network(ctx, network=row, **args),
    delete=lambda ctx, row: operations.delete_network(ctx, network=row),
    related=lambda rows: rows.prefetch_related(
        Prefetch("subnets", Subnet.objects.only("pk", "network_id").order_by("created_at", "pk"))
    ),
)


# --- subnets ------------------------------------------------------------------------------------------


def _create_subnet(ctx: Context, *, network: Network, project_id: str = "", **args) -> Subnet:
    in_owners_project(network, project_id)
    return operations.create_subnet(ctx, network=network, **args)


def _list_of(name: str, null=None) -> Attribute:
    return A(name, read=lambda row: getattr(row, name), post=name, put=name, parse=items, null=null)


STATEFUL = "dhcpv6-stateful"  # the only mode that the engine is told


def _ipv6_mode(name: str) -> Attribute:
    return A(
        name,
        read=lambda row: STATEFUL if row.ip_version == 6 and row.enable_dhcp else None,
        post=DROPPED,
        parse=only(STATEFUL),
        null=None,
    )


SUBNETS = Resource(
    name="subnet",
    collection="subnets",
    path="subnets",
    missing="SubnetNotFound",
    model=Subnet,
    attributes=(
        *common(),
        A(
            "network_id",
            "network_id",
            read=id_of("network_id"),
            filter_as=as_id,
            post="network",
            parse=NETWORKS.reference,
            required=True,
        ),
        A("cidr", "cidr", post="cidr", required=True),
        A("ip_version", "ip_version", filter_as=as_number, post="ip_version", parse=number),
        A(
            "gateway_ip",
            "gateway_ip",
            read=or_null("gateway_ip"),
            post="gateway_ip",
            put="gateway_ip",
            null=None,
        ),
        A(
            "enable_dhcp",
            "enable_dhcp",
            filter_as=as_truth,
            post="enable_dhcp",
            put="enable_dhcp",
            parse=boolean,
        ),
        _list_of("allocation_pools"),
        _list_of("dns_nameservers", null=()),
        _list_of("host_routes", null=()),
        _ipv6_mode("ipv6_ra_mode"),
        _ipv6_mode("ipv6_address_mode"),
        A("subnetpool_id", read=always(None), post=DROPPED, parse=only(), null=None),
        A("service_types", read=always([]), post=DROPPED, parse=only([])),
        A("segment_id", read=always(None), post=DROPPED, parse=only(), null=None),
    ),
    create=_create_subnet,
    update=lambda ctx, row, **args: operations.update_subnet(ctx, subnet=row, **args),
    delete=lambda ctx, row: operations.delete_subnet(ctx, subnet=row),
)
