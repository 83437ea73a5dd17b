"""What may be asked of the network interfaces of an instance that exists."""

from django.db import transaction

from apps.core import events
from apps.core.context import Context
from apps.core.errors import CloudError
from apps.core.lifecycle import mark
from apps.core.models import Event
from apps.instances.models import Instance
from apps.instances.operations import NicRequest, plug, take
from apps.networks import operations as networks
from apps.networks.models import Network, Port

RESTING = (Instance.Status.ACTIVE, Instance.Status.SHUTOFF)


@transaction.atomic
def attach_interface(
    ctx: Context,
    *,
    instance: Instance,
    network: Network | None = None,
    port: Port | None = None,
    fixed_ip: str = "",
) -> Port:
    """`port`, or a new one in `network`, is the instance's at once; a running guest has its card once it is ACTIVE."""
    take(ctx, instance, "os_compute_api:os-attach-interfaces:create", "attach_interface", RESTING)
    if port is None and not network.subnets.exists():
        raise CloudError(
            f"Network {network.pk} requires a subnet in order to boot instances on.", field="network"
        )
    port = plug(ctx, instance, NicRequest(network, port, fixed_ip))
    events.record(instance, "attach_interface", by=ctx, detail=described(port))
    mark(instance)
    return port


@transaction.atomic
def detach_interface(ctx: Context, *, instance: Instance, port: Port) -> None:
    """The guest is asked to let go of the card; then the port is gone, or free if it was there before.

    NotFound when the port is none of the instance's.
    """
    take(ctx, instance, "os_compute_api:os-attach-interfaces:delete", "detach_interface", RESTING)
    if not networks.let_go_of_port(ctx, port=port, device_id=str(instance.pk)):
        return
    outcome = Event.Outcome.BEGUN
    events.record(instance, "detach_interface", by=ctx, outcome=outcome, detail=described(port))
    mark(instance)


def described(port: Port) -> str:
    """ "private 10.0.0.5", for events."""
    return " ".join([str(port.network), *(fixed.address for fixed in port.fixed_ips.all())])
