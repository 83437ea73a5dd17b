"""Routers."""

from django.db.models import Prefetch

from apps.core.context import Context
from apps.core.policy import enforce
from apps.networks import operations
from apps.networks.api.resources.networks import NETWORKS
from apps.networks.api.resources.shared import ADMIN_STATE_UP, STATUS, A, always, common, fixed_ips
from apps.networks.api.wire import DROPPED, Resource, bad, boolean, items, only
from apps.networks.models import ROUTER_GATEWAY, Port, Router


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
    if addresses:
        enforce(ctx, "set_gateway:external_fixed_ips")
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
