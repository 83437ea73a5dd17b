"""What was seen of ports: written to their rows, and only when it is news."""

from apps.core.errors import Conflict
from apps.core.lifecycle import mark, move
from apps.networks.drivers import network
from apps.networks.models import Port, Status


def port_seen(port_id: str, up: bool) -> None:
    """The port is plugged on a host, or no longer; its row says ACTIVE or DOWN."""
    port = Port.objects.filter(pk=port_id, router=None).first()
    if port is None or port.status == Status.DELETING:
        return
    if port.status == Status.BUILD:
        mark(port)  # whoever builds it now looks once more
        return
    observed = Status.ACTIVE if up else Status.DOWN
    if port.status != observed:
        try:
            move(port, observed)
        except Conflict:  # an operation was faster; what it promised includes another look
            mark(port)


def port_is_up(port: Port) -> bool:
    """Is the port plugged? Asked of the engine unless its row says so already; the row follows the answer."""
    port.refresh_from_db(fields=["status"])
    if port.status == Status.ACTIVE:
        return True
    up = network().port_up(str(port.pk))
    if up:
        port_seen(str(port.pk), True)
    return up
