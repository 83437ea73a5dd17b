"""Floating IPs."""

from django.db.models import Q

from apps.core.context import Context
from apps.core.errors import CloudError
from apps.networks import operations
from apps.networks.api.resources.networks import NETWORKS, SUBNETS
from apps.networks.api.resources.ports import PORTS
from apps.networks.api.resources.routers import ROUTERS
from apps.networks.api.resources.shared import A, always, common, or_null, reference
from apps.networks.api.wire import Resource
from apps.networks.models import FloatingIP, Status


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


FLOATING_IPS = Resource(
    name="floatingip",
    collection="floatingips",
    path="floatingips",
    missing="FloatingIPNotFound",
    model=FloatingIP,
    attributes=(
        *common(named=False),
        A("status", read=_floating_status, where=_has_status),
        reference("floating_network_id", "network", NETWORKS, post="network", required=True),
        A("floating_ip_address", "address", post="address", null=""),
        reference("port_id", "port", PORTS, post="port", put="port", null=None),
        A(
            "fixed_ip_address",
            "fixed_address",
            read=or_null("fixed_address"),
            post="fixed_address",
            put="fixed_address",
            null="",
        ),
        reference("router_id", "router", ROUTERS),
        reference("subnet_id", "subnet", SUBNETS, post="subnet", null=None, shown=False),
        A("port_details", read=_port_details),
        A("port_forwardings", read=always([])),
    ),
    create=operations.create_floating_ip,
    update=_update_floating_ip,
    delete=lambda ctx, row: operations.release_floating_ip(ctx, floating_ip=row),
    related=lambda rows: rows.select_related("port"),
)
