"""What every operation of this app needs: whose it will be, what is a good text, how a change is written."""

import ipaddress
import random
import uuid
from collections.abc import Iterable

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.utils import timezone

from apps.core import events
from apps.core.context import Context
from apps.core.errors import CloudError, Conflict, NotFound
from apps.core.lifecycle import lock, mark
from apps.core.policy import enforce
from apps.networks.models import FloatingIP, Network, Port, Status
from apps.projects.models import Project

TEXT_MAX = 255
TAGS_MAX = 50


def owner(ctx: Context, project_id: str = "") -> str:
    """The project that a new thing belongs to: the caller's, or for administrators any that exists."""
    if not project_id or project_id == ctx.project_id:
        if not ctx.project_id:
            raise CloudError("Your token is for no project: say project_id.", kind="HTTPBadRequest")
        return ctx.project_id
    enforce(ctx, "create:other_project")
    if not Project.objects.filter(pk=project_id).exists():
        raise CloudError(f"Project {project_id} does not exist.", field="project_id", kind="HTTPBadRequest")
    return project_id


def invalid(message: str, field: str = "", kind: str = "InvalidInput") -> CloudError:
    return CloudError(message, field=field, kind=kind)


def is_id(value) -> bool:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True


def check_texts(**texts: str) -> None:
    for name, text in texts.items():
        if len(text) > TEXT_MAX:
            raise invalid(
                f"Invalid input for {name}. Reason: {len(text)} characters, at most {TEXT_MAX} fit.", name
            )


def check_tags(tags: Iterable) -> list[str]:
    """Each once, in the order given."""
    tags = list(tags)
    for tag in tags:
        if not isinstance(tag, str) or not 0 < len(tag) <= TEXT_MAX:
            raise invalid(f"Invalid input for tags. Reason: a tag has 1 to {TEXT_MAX} characters.", "tags")
    tags = list(dict.fromkeys(tags))
    if len(tags) > TAGS_MAX:
        raise invalid(f"Invalid input for tags. Reason: {len(tags)} tags, at most {TAGS_MAX} fit.", "tags")
    return tags


def parse_address(text: str, field: str = "ip_address") -> str:
    """The address as everybody writes it."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise invalid(
            f"Invalid input for {field}. Reason: '{text}' is not a valid IP address.", field
        ) from None


def parse_cidr(text: str, field: str = "cidr") -> str:
    """The network with its host bits cleared."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise invalid(f"Invalid input for {field}. Reason: '{text}' is not a valid CIDR.", field) from None


def parse_routes(routes: Iterable, field: str) -> list[dict[str, str]]:
    """[{"destination", "nexthop"}] of well-formed addresses, of the same version each."""
    parsed = []
    for route in routes:
        if not isinstance(route, dict) or set(route) != {"destination", "nexthop"}:
            raise invalid(
                f"Invalid input for {field}. Reason: a route has 'destination' and 'nexthop'.", field
            )
        destination = parse_cidr(route["destination"], field)
        hop = parse_address(route["nexthop"], field)
        if ipaddress.ip_network(destination).version != ipaddress.ip_address(hop).version:
            raise invalid(
                f"Invalid input for {field}. Reason: {destination} via {hop} mixes IP versions.", field
            )
        parsed.append({"destination": destination, "nexthop": hop})
    return parsed


def hold(network: Network) -> Network:
    """`network` as it is now, held until the transaction ends: nobody else gives out addresses of it.

    Not the kernel's `lock`, which would also stop rows that merely refer to it.
    """
    held = Network.objects.select_for_update(no_key=True).filter(pk=network.pk).first()
    if held is None or held.status == Status.DELETING:
        raise NotFound(f"Network {network.pk} could not be found.", kind="NetworkNotFound")
    return held


def take(obj):
    """`obj`, refreshed and locked until the transaction ends; NotFound when it has gone meanwhile."""
    try:
        lock(obj)
    except ObjectDoesNotExist:
        obj.status = Status.DELETING
    if obj.status == Status.DELETING:
        kind = type(obj).__name__ + "NotFound"
        raise NotFound(f"{obj.kind_name()} {obj.pk} could not be found.", kind=kind)
    return obj


def write(obj, by: Context | None, action: str = "update", look: bool = True, **fields):
    """The columns are written, the revision is one higher, the event is recorded; `look`: the engine follows."""
    fields |= {"revision": obj.revision + 1, "updated_at": timezone.now()}
    type(obj)._base_manager.filter(pk=obj.pk).update(**fields)
    for name, value in fields.items():
        setattr(obj, name, value)
    events.record(obj, action, by=by)
    if look:
        mark(obj)
    return obj


@transaction.atomic
def set_tags(ctx: Context, *, obj, tags: Iterable[str]):
    """`obj` has exactly these tags."""
    rule = {"securitygroup": "security_group"}.get(obj.kind, obj.kind)
    enforce(ctx, f"update_{rule}", obj)
    tags = check_tags(tags)
    return write(obj, ctx, "set_tags", look=False, tags=tags) if tags != obj.tags else obj


def new_mac(network: Network) -> str:
    """An address that nothing on the (held) network has."""
    for _ in range(16):
        mac = "fa:16:3e:" + ":".join(f"{octet:02x}" for octet in random.randbytes(3))
        used = (model.objects.filter(network=network, mac_address=mac) for model in (Port, FloatingIP))
        if not any(rows.exists() for rows in used):
            return mac
    raise Conflict(
        f"No free MAC address was found on network {network.pk}.", kind="MacAddressGenerationFailure"
    )
