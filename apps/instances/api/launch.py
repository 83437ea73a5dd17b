"""POST /servers: Nova's launch body to the arguments of `create_instance`."""

import base64
import ipaddress
import re
import secrets

from apps.core.api import truth
from apps.core.context import Context
from apps.core.errors import CloudError, NotFound
from apps.images.models import Image
from apps.instances.api.nova import text, whole
from apps.instances.models import Flavor, Keypair
from apps.instances.operations import USER_DATA_MAX, NicRequest
from apps.networks.models import Network, Port, SecurityGroup

BASE_KEYS = {
    "name",
    "imageRef",
    "flavorRef",
    "networks",
    "key_name",
    "security_groups",
    "user_data",
    "config_drive",
    "metadata",
    "availability_zone",
    "min_count",
    "max_count",
    "return_reservation_id",
    "block_device_mapping_v2",
    "adminPass",
    "accessIPv4",
    "accessIPv6",
    "OS-DCF:diskConfig",
}
PASSWORD_MAX = 100  # encrypted it has to fit its column
_HOSTNAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*$")


def parse(view, server: dict, hints) -> tuple[dict, bool]:
    """(arguments, whether the reservation id is wanted); CloudError names what is wrong."""
    ctx, mv = view.ctx, view.mv
    known = set(BASE_KEYS)
    known |= {"description"} if mv >= 19 else set()
    known |= {"tags"} if mv >= 52 else set()
    known |= {"hostname"} if mv >= 90 else set()
    known |= {"personality"} if mv < 57 else set()
    view.only(server, known, "server")
    if server.get("personality"):
        raise CloudError(
            "Personality files are not offered; put them into user_data (cloud-init's write_files)."
        )
    if whole(hints, "os:scheduler_hints", dict):
        raise CloudError(f"Scheduler hints are not offered: {', '.join(sorted(hints))}.")
    if not isinstance(server.get("name"), str):
        raise CloudError("Invalid input for field/attribute name. A string is needed.")
    zone, host = _zone(server.get("availability_zone"))
    least, count = _counts(server)
    arguments = {
        "name": server["name"],
        "image": _image(ctx, server),
        "flavor": _flavor(ctx, server.get("flavorRef")),
        "nics": _nics(ctx, server.get("networks"), mv),
        "security_groups": _groups(ctx, server.get("security_groups")),
        "keypair": _keypair(ctx, server.get("key_name")),
        "user_data": text(server.get("user_data"), "user_data", USER_DATA_MAX),
        "config_drive": truth(server.get("config_drive") or False, "config_drive"),
        "metadata": whole(server.get("metadata"), "metadata", dict),
        "tags": _tags(server.get("tags") or []),
        "description": text(server.get("description"), "description"),
        "hostname": _hostname(server.get("hostname")),
        "availability_zone": zone,
        "forced_host": host,
        "admin_pass": text(server.get("adminPass"), "adminPass", PASSWORD_MAX) or secrets.token_urlsafe(9),
        "access_ipv4": address(server.get("accessIPv4"), 4),
        "access_ipv6": address(server.get("accessIPv6"), 6),
        "disk_config": disk_config(server.get("OS-DCF:diskConfig")),
        "count": count,
        "min_count": least,
    }
    return arguments, truth(server.get("return_reservation_id") or False, "return_reservation_id")


def _zone(value) -> tuple[str, str]:
    """ "az" or "az:host" or "az:host:node" to (az, host)."""
    parts = text(value, "availability_zone").split(":")
    return parts[0], parts[1] if len(parts) > 1 else ""


def _counts(server: dict) -> tuple[int, int]:
    try:
        least = int(server.get("min_count") or 1)
        count = int(server.get("max_count") or least)
    except (TypeError, ValueError):
        raise CloudError("min_count and max_count must be whole numbers.") from None
    if least < 1 or count < 1:
        raise CloudError("min_count and max_count must be at least 1.")
    if least > count:
        raise CloudError("min_count must be <= max_count")
    return least, count


def _image(ctx: Context, server: dict) -> Image:
    """From imageRef, or from the one block device that openstackclient sends: image to local disk, deleted with it."""
    reference = server.get("imageRef") or ""
    devices = whole(server.get("block_device_mapping_v2"), "block_device_mapping_v2", list)
    for device in devices:
        device = whole(device, "block_device_mapping_v2", dict)
        local = device.get("destination_type", "local") == "local" and device.get("source_type") == "image"
        if not local or str(device.get("boot_index", 0)) != "0" or len(devices) > 1:
            raise CloudError(
                "Only one disk, made from an image on the host, is offered: block storage is not served."
            )
        if device.get("delete_on_termination") is False:
            raise CloudError("The local disk goes with the server; delete_on_termination cannot be false.")
        reference = reference or device.get("uuid", "")
    if not reference:
        raise CloudError("Invalid imageRef provided: a server needs an image to boot from.")
    reference = str(reference).rstrip("/").rsplit("/", 1)[-1]
    try:
        return Image.objects.get_for(ctx, reference)
    except NotFound:
        raise CloudError(f"Can not find requested image {reference}.", field="image") from None


def _flavor(ctx: Context, reference) -> Flavor:
    reference = str(reference or "").rstrip("/").rsplit("/", 1)[-1]
    try:
        return Flavor.objects.get_for(ctx, reference)
    except NotFound:
        raise CloudError(f"Flavor {reference} could not be found.", field="flavor") from None


def _nics(ctx: Context, networks, mv: int) -> list[NicRequest] | None:
    if networks == "none":
        return []
    if networks in (None, "auto", []):
        if networks is None and mv >= 37:
            raise CloudError(
                "Invalid input for field/attribute networks: it is required, a list or 'auto' or 'none'."
            )
        return None
    if not isinstance(networks, list):
        raise CloudError("Invalid input for field/attribute networks: a list or 'auto' or 'none' is needed.")
    nics = []
    for item in networks:
        if not isinstance(item, dict) or not item.keys() <= {"uuid", "port", "fixed_ip", "tag"}:
            raise CloudError(
                "Invalid input for field/attribute networks: uuid, port, fixed_ip and tag are known."
            )
        if item.get("port"):
            nics.append(NicRequest(port=_lookup(Port, ctx, item["port"], "Port")))
        else:
            network = _lookup(Network, ctx, item.get("uuid"), "Network")
            nics.append(NicRequest(network=network, fixed_ip=text(item.get("fixed_ip"), "fixed_ip")))
    return nics


def _lookup(model, ctx: Context, reference, word: str):
    try:
        return model.objects.get_for(ctx, reference)
    except NotFound:
        raise CloudError(f"{word} {reference} could not be found.", field="networks") from None


def _groups(ctx: Context, groups) -> list[SecurityGroup] | None:
    found = []
    for item in whole(groups, "security_groups", list):
        name = text(whole(item, "security_groups", dict).get("name"), "security_groups")
        rows = SecurityGroup.objects.visible_to(ctx).filter(project_id=ctx.project_id)
        matches = list(rows.filter(name=name)[:2])
        if not matches:
            try:
                matches = [SecurityGroup.objects.get_for(ctx, name)]
            except NotFound:
                raise CloudError(f"Security group {name} not found for project {ctx.project_id}.") from None
        if len(matches) > 1:
            raise CloudError(f"Several security groups are named {name}; use the id.")
        found.append(matches[0])
    return found or None


def _keypair(ctx: Context, name) -> Keypair | None:
    if not text(name, "key_name"):
        return None
    keypair = Keypair.objects.visible_to(ctx).filter(name=name).first()
    if keypair is None:
        raise CloudError("Invalid key_name provided.", field="key_name")
    return keypair


def _tags(tags) -> list[str]:
    if not isinstance(tags, list) or len(tags) > 50:
        raise CloudError("Invalid input for field/attribute tags: a list of at most 50 is needed.")
    for tag in tags:
        if not isinstance(tag, str) or not 1 <= len(tag) <= 60 or set(tag) & set("/,"):
            raise CloudError(f"Invalid tag {tag!r}: 1 to 60 characters without '/' and ','.")
    return list(dict.fromkeys(tags))


def _hostname(value) -> str:
    if value and not (isinstance(value, str) and len(value) <= 255 and _HOSTNAME.match(value)):
        raise CloudError(f"Invalid input for field/attribute hostname. Value: {value}.")
    return value or ""


def address(value, version: int) -> str:
    """An IP address of the version, or "" for none; CloudError otherwise."""
    if not value:
        return ""
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != version:
        raise CloudError(
            f"Invalid input for field/attribute accessIPv{version}. '{value}' is not a 'ipv{version}'"
        )
    return str(parsed)


def disk_config(value) -> str:
    if value not in (None, "AUTO", "MANUAL"):
        raise CloudError("Invalid input for field/attribute OS-DCF:diskConfig: AUTO or MANUAL.")
    return value or "MANUAL"


def encode_user_data(text: str) -> str:
    """Plain text, as typed into a form, to the base64 that rows keep."""
    return base64.b64encode(text.encode()).decode() if text else ""
