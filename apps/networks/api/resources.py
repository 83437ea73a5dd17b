"""The resources of the API, each a table: what a body has, what may be said, which operation it asks for."""

from django.db.models import Prefetch, Q

from apps.core.context import Context
from apps.core.errors import CloudError
from apps.core.policy import enforce
from apps.networks import operations
from apps.networks.api.wire import (
    DROPPED,
    Attribute,
    Resource,
    as_id,
    as_number,
    as_truth,
    bad,
    boolean,
    is_id,
    items,
    number,
    only,
    text_or_number,
)
from apps.networks.models import (
    ROUTER_GATEWAY,
    FloatingIP,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Status,
    Subnet,
)

A = Attribute


def moment(value) -> str:
    return value.isoformat()[:19] + "Z"


def id_of(column: str):
    """Reads a foreign key: its id, or null."""

    def read(row):
        value = getattr(row, column)
        return None if value is None else str(value)

    return read


def or_null(column: str):
    """Reads a text that is null on the wire when it is empty."""
    return lambda row: getattr(row, column) or None


def always(value):
    return lambda row: value


def common(*, named: bool = True, tagged: bool = True) -> tuple[Attribute, ...]:
    """What every resource has."""
    both = {"post": "name", "put": "name"}
    tags = (
        A("tags", read=lambda row: row.tags, post="tags", parse=items)
        if tagged
        else A("tags", read=always([]))
    )
    return (
        A("id", "pk", read=lambda row: str(row.pk), filter_as=as_id),
        *((A("name", "name", null="", **both),) if named else ()),
        A("description", "description", post="description", put="description", null=""),
        A("tenant_id", "project_id", post="project_id"),
        A("project_id", "project_id", post="project_id"),
        A("created_at", "created_at", read=lambda row: moment(row.created_at)),
        A("updated_at", "updated_at", read=lambda row: moment(row.updated_at)),
        A("revision_number", "revision", filter_as=as_number),
        tags,
    )


STATUS = A("status", "status")
ADMIN_STATE_UP = A(
    "admin_state_up",
    "admin_state_up",
    filter_as=as_truth,
    post="admin_state_up",
    put="admin_state_up",
    parse=boolean,
)


# --- networks -----------------------------------------------------------------------------------------


def _with_subnet(values: list[str]) -> Q:
    return Q(subnets__in=[value for value in values if is_id(value)])


def _is_type(values: list[str]) -> Q:
    tunnel, tagged = Q(physical_network=""), Q(vlan__isnull=False)
    kinds = {"geneve": tunnel, "flat": ~tunnel & ~tagged, "vlan": ~tunnel & tagged}
    found = Q(pk__in=())
    for value in values:
        found |= kinds.get(value, Q(pk__in=()))
    return found


def _flag(name: str, column: str) -> Attribute:
    return A(name, column, filter_as=as_truth, post=column, put=column, parse=boolean)


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
        _flag("shared", "shared"),
        _flag("router:external", "external"),
        _flag("is_default", "is_default"),
        _flag("port_security_enabled", "port_security_enabled"),
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


def _in_owners_project(owner, project_id: str) -> None:
    """Things inside a network or a group belong to its project; nobody may ask for another."""
    if project_id and project_id != owner.project_id:
        raise bad("project_id", f"it belongs to project {owner.project_id}, as {owner} does")


def _create_subnet(ctx: Context, *, network: Network, project_id: str = "", **args) -> Subnet:
    _in_owners_project(network, project_id)
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


# --- security groups ----------------------------------------------------------------------------------


def _create_rule(ctx: Context, *, group: SecurityGroup, project_id: str = "", **args) -> SecurityGroupRule:
    _in_owners_project(group, project_id)
    return operations.create_security_group_rule(ctx, group=group, **args)


def _group(ctx: Context, value, name: str) -> SecurityGroup:
    return SECURITY_GROUPS.reference(ctx, value, name)


SECURITY_GROUP_RULES = Resource(
    name="security_group_rule",
    collection="security_group_rules",
    path="security-group-rules",
    missing="SecurityGroupRuleNotFound",
    model=SecurityGroupRule,
    attributes=(
        *common(named=False, tagged=False),
        A(
            "security_group_id",
            "group_id",
            read=id_of("group_id"),
            filter_as=as_id,
            post="group",
            parse=_group,
            required=True,
        ),
        A("direction", "direction", post="direction", required=True),
        A("ethertype", "ethertype", post="ethertype", null="IPv4"),
        A(
            "protocol",
            "protocol",
            read=or_null("protocol"),
            post="protocol",
            parse=text_or_number,
            null="",
        ),
        A("port_range_min", "port_min", filter_as=as_number, post="port_min", parse=number, null=None),
        A("port_range_max", "port_max", filter_as=as_number, post="port_max", parse=number, null=None),
        A("remote_ip_prefix", "remote_prefix", read=or_null("remote_prefix"), post="remote_prefix", null=""),
        A("normalized_cidr", "remote_prefix", read=or_null("remote_prefix")),
        A(
            "remote_group_id",
            "remote_group_id",
            read=id_of("remote_group_id"),
            filter_as=as_id,
            post="remote_group",
            parse=_group,
            null=None,
        ),
        A("remote_address_group_id", read=always(None), post=DROPPED, parse=only(), null=None),
    ),
    create=_create_rule,
    update=None,
    delete=lambda ctx, row: operations.delete_security_group_rule(ctx, rule=row),
    related=lambda rows: rows.select_related("group"),
)

_rule_body = SECURITY_GROUP_RULES.renderer(Context(user_id=""))


def _look_at_default_group(ctx: Context) -> None:
    """Every project has it as soon as it looks."""
    if ctx.project_id:
        operations.default_security_group(ctx.project_id)


SECURITY_GROUPS = Resource(
    name="security_group",
    collection="security_groups",
    path="security-groups",
    missing="SecurityGroupNotFound",
    model=SecurityGroup,
    attributes=(
        *common(),
        _flag("stateful", "stateful"),
        A("shared", read=always(False)),
        A("security_group_rules", read=lambda row: [_rule_body(rule) for rule in row.rules.all()]),
    ),
    create=lambda ctx, name="", **args: operations.create_security_group(ctx, name=name, **args),
    update=lambda ctx, row, **args: operations.update_security_group(ctx, group=row, **args),
    delete=lambda ctx, row: operations.delete_security_group(ctx, group=row),
    related=lambda rows: rows.prefetch_related(
        Prefetch("rules", SecurityGroupRule.objects.order_by("created_at", "pk"))
    ),
    look=_look_at_default_group,
)


# --- ports --------------------------------------------------------------------------------------------


def fixed_ips(row: Port) -> list[dict]:
    return [{"subnet_id": str(f.subnet_id), "ip_address": f.address} for f in row.fixed_ips.all()]


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
        fitting = Port.fixed_ips.rel.related_model.objects.all()
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
    return operations.create_port(ctx, **args)


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
        _flag("port_security_enabled", "port_security_enabled"),
        A("binding:host_id", "host", post="host", put="host", null="", admin=True),
        _binding("vif_type", lambda row: "ovs" if row.host else "unbound"),
        _binding("vif_details", lambda row: {"port_filter": True} if row.host else {}),
        _binding("profile", always({}), allowed=({},)),
        _binding("vnic_type", always("normal"), admin=False, allowed=("normal",)),
    ),
    create=_create_port,
    update=lambda ctx, row, **args: operations.update_port(ctx, port=row, **args),
    delete=lambda ctx, row: operations.delete_port(ctx, port=row),
    related=lambda rows: rows.prefetch_related(
        "fixed_ips", Prefetch("security_groups", SecurityGroup.objects.only("pk").order_by("created_at"))
    ),
)


# --- routers ------------------------------------------------------------------------------------------


def _gateway_info(row: Router) -> dict | None:
    if row.external_network_id is None:
        return None
    addresses = [address for port in row.ports.all() for address in fixed_ips(port)]
    return {
        "network_id": str(row.external_network_id),
        "enable_snat": row.enable_snat,
        "external_fixed_ips": addresses,
    }


def _gateway(ctx: Context, value, name: str) -> dict | None:
    """The arguments of `set_gateway`; None: no gateway."""
    known = {"network_id", "enable_snat", "external_fixed_ips"}
    if not isinstance(value, dict) or not set(value) <= known:
        raise bad(name, f"an object of {sorted(known)} is expected")
    if not value or value.get("network_id") is None:
        return None
    addresses = value.get("external_fixed_ips")
    return {
        "network": NETWORKS.reference(ctx, value["network_id"], name),
        "enable_snat": boolean(ctx, value.get("enable_snat", True), "enable_snat"),
        "external_fixed_ips": addresses and items(ctx, addresses, "external_fixed_ips"),
    }


def _create_router(ctx: Context, *, gateway: dict | None = None, **args) -> Router:
    router = operations.create_router(ctx, **args)
    return operations.set_gateway(ctx, router=router, **gateway) if gateway else router


def _update_router(ctx: Context, router: Router, **args) -> None:
    given = "gateway" in args
    gateway = args.pop("gateway", None)
    if args:
        operations.update_router(ctx, router=router, **args)
    if gateway:
        operations.set_gateway(ctx, router=router, **gateway)
    elif given:
        operations.clear_gateway(ctx, router=router)


ROUTERS = Resource(
    name="router",
    collection="routers",
    path="routers",
    missing="RouterNotFound",
    model=Router,
    attributes=(
        *common(),
        STATUS,
        ADMIN_STATE_UP,
        A(
            "external_gateway_info",
            read=_gateway_info,
            post="gateway",
            put="gateway",
            parse=_gateway,
            null=None,
        ),
        A("routes", read=lambda row: row.routes, put="routes", parse=items, null=()),
        A("distributed", read=always(False), post=DROPPED, parse=only(False), admin=True),
        A("ha", read=always(False), post=DROPPED, parse=only(False), admin=True),
        A("availability_zones", read=always([])),
        A("availability_zone_hints", read=always([]), post=DROPPED, parse=only([])),
        A("flavor_id", read=always(None)),
    ),
    create=_create_router,
    update=_update_router,
    delete=lambda ctx, row: operations.delete_router(ctx, router=row),
    related=lambda rows: rows.prefetch_related(
        Prefetch("ports", Port.objects.alive().filter(device_owner=ROUTER_GATEWAY)), "ports__fixed_ips"
    ),
)


# --- floating IPs -------------------------------------------------------------------------------------


def _floating_status(row: FloatingIP) -> str:
    """Without a promise's word: the API knows only these."""
    return "ACTIVE" if row.status == Status.ACTIVE else "DOWN"


def _has_status(values: list[str]) -> Q:
    known = {"ACTIVE": [Status.ACTIVE], "DOWN": [Status.DOWN, Status.BUILD]}
    return Q(status__in=[status for value in values for status in known.get(value, ())])


def _port_details(row: FloatingIP) -> dict | None:
    port = row.port
    if port is None:
        return None
    return {
        "name": port.name,
        "network_id": str(port.network_id),
        "mac_address": port.mac_address,
        "admin_state_up": port.admin_state_up,
        "status": port.status,
        "device_id": port.device_id,
        "device_owner": port.device_owner,
    }


def _update_floating_ip(ctx: Context, floating: FloatingIP, **args) -> None:
    if "description" in args:
        operations.update_floating_ip(ctx, floating_ip=floating, description=args["description"])
    if "port" not in args and "fixed_address" not in args:
        return
    port = args.get("port", floating.port)
    if port is not None:
        address = args.get("fixed_address", "")
        operations.associate_floating_ip(ctx, floating_ip=floating, port=port, fixed_address=address)
    elif args.get("fixed_address"):
        raise CloudError("fixed_ip_address cannot be specified without a port_id", kind="BadRequest")
    else:
        operations.disassociate(ctx, floating_ip=floating)


def _reference(name: str, column: str, resource: Resource, **more) -> Attribute:
    return A(
        name, f"{column}_id", read=id_of(f"{column}_id"), filter_as=as_id, parse=resource.reference, **more
    )


FLOATING_IPS = Resource(
    name="floatingip",
    collection="floatingips",
    path="floatingips",
    missing="FloatingIPNotFound",
    model=FloatingIP,
    attributes=(
        *common(named=False),
        A("status", read=_floating_status, where=_has_status),
        _reference("floating_network_id", "network", NETWORKS, post="network", required=True),
        A("floating_ip_address", "address", post="address", null=""),
        _reference("port_id", "port", PORTS, post="port", put="port", null=None),
        A(
            "fixed_ip_address",
            "fixed_address",
            read=or_null("fixed_address"),
            post="fixed_address",
            put="fixed_address",
            null="",
        ),
        _reference("router_id", "router", ROUTERS),
        _reference("subnet_id", "subnet", SUBNETS, post="subnet", null=None, shown=False),
        A("port_details", read=_port_details),
        A("port_forwardings", read=always([])),
    ),
    create=operations.create_floating_ip,
    update=_update_floating_ip,
    delete=lambda ctx, row: operations.release_floating_ip(ctx, floating_ip=row),
    related=lambda rows: rows.select_related("port"),
)

RESOURCES = (NETWORKS, SUBNETS, PORTS, ROUTERS, FLOATING_IPS, SECURITY_GROUPS, SECURITY_GROUP_RULES)
