"""Rows to Nova's JSON, for every microversion 2.1 to 2.96."""

import hashlib
from datetime import UTC, datetime

from apps.instances.models import Flavor, Instance, Keypair
from apps.instances.operations import vm_state
from apps.instances.reads import Address

Status = Instance.Status

# our status -> (status, task_state, power_state) on the wire; None: as the machine is
WIRE = {
    Status.BUILD: ("BUILD", None, 0),
    Status.ACTIVE: ("ACTIVE", None, 1),
    Status.SHUTOFF: ("SHUTOFF", None, 4),
    Status.ERROR: ("ERROR", None, 0),
    Status.DELETED: ("DELETED", None, 0),
    Status.POWERING_OFF: ("ACTIVE", "powering-off", 1),
    Status.POWERING_ON: ("SHUTOFF", "powering-on", 4),
    Status.REBOOTING: ("REBOOT", "rebooting", 1),
    Status.REBOOTING_HARD: ("HARD_REBOOT", "rebooting_hard", 1),
    Status.DELETING: ("ACTIVE", "deleting", 1),
}
BUILD_TASKS = {"placed": "scheduling", "disk": "block_device_mapping", "port": "networking"}


def when(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z" if moment else None


def when_usage(moment: datetime | None) -> str | None:
    """OS-SRV-USG and action times: no zone, with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else None


def host_id(instance: Instance) -> str:
    """A host's name that only tells "the same" from "another" inside one project."""
    if not instance.host_id:
        return ""
    return hashlib.sha224(f"{instance.project_id}{instance.host.name}".encode()).hexdigest()


def server_links(view, instance_id) -> list[dict]:
    return view.links(f"servers/{instance_id}")


def server_brief(view, instance: Instance) -> dict:
    return {"id": str(instance.pk), "name": instance.name, "links": server_links(view, instance.pk)}


def addresses_body(addresses: list[Address]) -> dict:
    body: dict[str, list] = {}
    for a in addresses:
        body.setdefault(a.network, []).append(
            {
                "version": a.version,
                "addr": a.address,
                "OS-EXT-IPS:type": "floating" if a.floating else "fixed",
                "OS-EXT-IPS-MAC:mac_addr": a.mac,
            }
        )
    return body


def flavor_of(view, instance: Instance) -> dict:
    extra = instance.flavor_extra
    if view.mv < 47:
        links = [link for link in view.links(f"flavors/{instance.flavor_id}") if link["rel"] == "bookmark"]
        return {"id": instance.flavor_id, "links": links}
    return {
        "original_name": instance.flavor_name,
        "vcpus": instance.vcpus,
        "ram": instance.ram,
        "disk": extra.get("disk", instance.disk),
        "ephemeral": extra.get("ephemeral", 0),
        "swap": extra.get("swap", 0),
        "extra_specs": extra.get("extra_specs", {}),
    }


def fault_of(view, instance: Instance) -> dict | None:
    if instance.status != Status.ERROR:
        return None
    return {"code": 500, "created": when(instance.status_since), "message": instance.fault or "Unknown fault"}


def server_body(view, instance: Instance, addresses: list[Address], groups: list[str]) -> dict:
    """Everything of show and detail at `view.mv`."""
    mv, admin = view.mv, view.ctx.is_admin
    status, task, power = WIRE[instance.status]
    if instance.status == Status.BUILD:
        task = BUILD_TASKS.get(instance.step, "spawning")
    image_links = [link for link in view.links(f"images/{instance.image_id}") if link["rel"] == "bookmark"]
    zone = instance.host.availability_zone if instance.host_id else ""
    body = {
        "id": str(instance.pk),
        "name": instance.name,
        "status": status,
        "tenant_id": instance.project_id,
        "user_id": instance.user_id,
        "metadata": instance.metadata,
        "hostId": host_id(instance),
        "image": {"id": str(instance.image_id), "links": image_links},
        "flavor": flavor_of(view, instance),
        "created": when(instance.created_at),
        "updated": when(instance.updated_at),
        "addresses": addresses_body(addresses),
        "accessIPv4": instance.access_ipv4,
        "accessIPv6": instance.access_ipv6,
        "links": server_links(view, instance.pk),
        "OS-DCF:diskConfig": instance.disk_config,
        "OS-EXT-AZ:availability_zone": zone,
        "config_drive": "True" if instance.config_drive else "",
        "key_name": instance.key_name or None,
        "OS-SRV-USG:launched_at": when_usage(instance.launched_at),
        "OS-SRV-USG:terminated_at": when_usage(instance.deleted_at),
        "OS-EXT-STS:task_state": task,
        "OS-EXT-STS:vm_state": vm_state(instance),
        "OS-EXT-STS:power_state": power,
        "os-extended-volumes:volumes_attached": [],
    }
    if groups:
        body["security_groups"] = [{"name": name} for name in groups]
    if status not in ("ERROR", "DELETED"):
        body["progress"] = 100 if status == "ACTIVE" else (instance.progress or 0)
    fault = fault_of(view, instance)
    if fault:
        body["fault"] = fault
    if admin:
        host = instance.host.name if instance.host_id else None
        body["OS-EXT-SRV-ATTR:host"] = host
        body["OS-EXT-SRV-ATTR:hypervisor_hostname"] = host
        body["OS-EXT-SRV-ATTR:instance_name"] = str(instance.pk)
        if mv >= 3:
            body |= {
                "OS-EXT-SRV-ATTR:reservation_id": instance.reservation_id,
                "OS-EXT-SRV-ATTR:launch_index": instance.launch_index,
                "OS-EXT-SRV-ATTR:hostname": instance.hostname,
                "OS-EXT-SRV-ATTR:kernel_id": "",
                "OS-EXT-SRV-ATTR:ramdisk_id": "",
                "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
                "OS-EXT-SRV-ATTR:user_data": instance.user_data or None,
            }
        if mv >= 16:
            up = instance.host_id and instance.host.is_up
            body["host_status"] = ("UP" if up else "UNKNOWN") if instance.host_id else ""
    if mv >= 90:
        body["OS-EXT-SRV-ATTR:hostname"] = instance.hostname
    if mv >= 9:
        body["locked"] = instance.locked
    if mv >= 19:
        body["description"] = instance.description or None
    if mv >= 26:
        body["tags"] = instance.tags
    if mv >= 63:
        body["trusted_image_certificates"] = None
    if mv >= 71 and not view.is_list:
        body["server_groups"] = []
    if mv >= 73:
        body["locked_reason"] = instance.locked_reason or None
    if mv >= 96:
        body["pinned_availability_zone"] = instance.availability_zone or None
    return body


def flavor_body(view, flavor: Flavor) -> dict:
    mv = view.mv
    body = {
        "id": flavor.pk,
        "name": flavor.name,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "swap": flavor.swap if mv >= 75 else (flavor.swap or ""),
        "vcpus": flavor.vcpus,
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral,
        "OS-FLV-DISABLED:disabled": flavor.disabled,
        "os-flavor-access:is_public": flavor.is_public,
        "rxtx_factor": flavor.rxtx_factor,
        "links": view.links(f"flavors/{flavor.pk}"),
    }
    if mv >= 55:
        body["description"] = flavor.description or None
    if mv >= 61:
        body["extra_specs"] = flavor.extra_specs
    return body


def keypair_body(view, keypair: Keypair, *, full: bool = False) -> dict:
    body = {"name": keypair.name, "public_key": keypair.public_key, "fingerprint": keypair.fingerprint}
    if view.mv >= 2:
        body["type"] = keypair.type
    if full:
        body |= {
            "user_id": keypair.user_id,
            "id": keypair.pk,
            "deleted": False,
            "created_at": when_usage(keypair.created_at),
            "updated_at": None,
            "deleted_at": None,
        }
    return body
