"""What people ask for in one go: a network that works, and the end of one."""

from django.db import transaction

from apps.core.context import Context
from apps.core.errors import CloudError
from apps.networks.models import ROUTER_INTERFACE, Network, Port, Router
from apps.networks.operations.networks import create_network, delete_network
from apps.networks.operations.routers import add_router_interface, create_router, remove_router_interface
from apps.networks.operations.subnets import create_subnet


@transaction.atomic
def create_connected_network(
    ctx: Context, *, name: str, cidr: str, dns_nameservers=(), outside: bool = True
) -> Network:
    """A network with one subnet; `outside`: on the project's router that leads outside, made where there is none."""
    network = create_network(ctx, name=name)
    subnet = create_subnet(ctx, network=network, name=name, cidr=cidr, dns_nameservers=dns_nameservers)
    if outside:
        add_router_interface(ctx, router=_router_outside(ctx, f"{name}-router"), subnet=subnet)
    return network


def _router_outside(ctx: Context, name: str) -> Router:
    own = Router.objects.visible_to(ctx).filter(external_network__isnull=False)
    if router := own.order_by("created_at", "pk").first():
        return router
    external = way_outside(ctx)
    if external is None:
        raise CloudError(
            "No network leads outside. An administrator can make one; until then, leave this out.",
            field="outside",
        )
    return create_router(ctx, name=name, external_network=external)


def way_outside(ctx: Context) -> Network | None:
    """The external network that is meant when none is named: the default one, or else the oldest."""
    external = Network.objects.visible_to(ctx).filter(external=True, subnets__isnull=False)
    return external.order_by("-is_default", "created_at", "pk").first()


@transaction.atomic
def delete_connected_network(ctx: Context, *, network: Network) -> None:
    """The network goes, and first the legs that routers have in it."""
    legs = Port.objects.visible_to(ctx).filter(network=network, device_owner=ROUTER_INTERFACE)
    for leg in legs.select_related("router"):
        remove_router_interface(ctx, router=leg.router, port=leg)
    delete_network(ctx, network=network)
