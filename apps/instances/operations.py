"""What may be asked of instances; browser and API both come through here."""

import base64
import re
import secrets
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from apps.core import events, lifecycle
from apps.core.context import Context
from apps.core.errors import CloudError, Conflict, Forbidden, QuotaExceeded
from apps.core.lifecycle import begin, lock, move
from apps.core.models import Event
from apps.core.policy import allowed, enforce
from apps.core.secrets import encrypt
from apps.hosts.models import Host
from apps.images.models import Image
from apps.instances import placement
from apps.instances.models import BootStep, Flavor, Instance, Keypair
from apps.networks import operations as networks
from apps.networks.models import Network, Port, SecurityGroup
from apps.quotas import operations as quotas

Status = Instance.Status
VM_STATES: dict[str, str] = {
    Status.BUILD: "building",
    Status.ERROR: "error",
    Status.SHUTOFF: "stopped",
    Status.POWERING_ON: "stopped",
    Status.DELETED: "deleted",
}
USER_DATA_MAX = 65535  # octets of base64, as in Nova
METADATA_ITEMS = 128
AT_ONCE = 100  # instances that one launch may ask for


@dataclass(frozen=True)
class NicRequest:
    """One network card that is asked for: in a network, perhaps at an address, or a port that exists."""

    network: Network | None = None
    port: Port | None = None
    fixed_ip: str = ""


@transaction.atomic
def create_instance(
    ctx: Context,
    *,
    name: str,
    image: Image,
    flavor: Flavor,
    nics: list[NicRequest] | None = None,
    security_groups: list[SecurityGroup] | None = None,
    keypair: Keypair | None = None,
    user_data: str = "",
    config_drive: bool = False,
    metadata: dict[str, str] | None = None,
    tags: list[str] | None = None,
    description: str = "",
    hostname: str = "",
    availability_zone: str = "",
    forced_host: str = "",
    admin_pass: str = "",
    access_ipv4: str = "",
    access_ipv6: str = "",
    disk_config: str = "MANUAL",
    count: int = 1,
    min_count: int = 0,
    external_network: Network | None = None,
    refuse: bool = False,
) -> list[Instance]:
    """`count` instances in BUILD, placed and with their ports; ready when their status is ACTIVE.

    `nics` None: the project's default network. `external_network`: each gets a floating IP from it. When no
    host fits, the instance is in ERROR with the reason, or with `refuse` NoValidHost is raised. Fewer than
    `count`, down to `min_count`, are made where the quota has room for no more.
    """
    enforce(ctx, "os_compute_api:servers:create")
    if forced_host:
        enforce(ctx, "os_compute_api:servers:create:forced_host")
    name = _check_name(name)
    _check_fit(image, flavor)
    metadata = check_metadata(metadata or {})
    check_user_data(user_data)
    if nics is None:
        nics = [NicRequest(network=networks.default_network(ctx))]
    count = _claim(ctx, flavor, count, min_count or count)

    disk = flavor.disk or image.min_disk_gib
    asked = placement.Asked(flavor.vcpus, flavor.ram, disk, availability_zone, forced_host)
    decisions = placement.place(asked, count)
    if refuse and not all(decision.chosen for decision in decisions):
        raise placement.no_valid_host(next(d for d in decisions if not d.chosen))

    reservation = f"r-{secrets.token_hex(4)}"
    now = timezone.now()
    made = []
    for index, decision in enumerate(decisions):
        own_name = name if len(decisions) == 1 else f"{name}-{index + 1}"
        instance = Instance(
            project_id=ctx.project_id,
            user_id=ctx.user_id,
            name=own_name,
            description=description,
            status=Status.BUILD,
            image=image,
            flavor_id=flavor.pk,
            flavor_name=flavor.name,
            vcpus=flavor.vcpus,
            ram=flavor.ram,
            disk=disk,
            flavor_extra={
                "disk": flavor.disk,
                "ephemeral": flavor.ephemeral,
                "swap": flavor.swap,
                "extra_specs": flavor.extra_specs,
            },
            key_name=keypair.name if keypair else "",
            public_key=keypair.public_key if keypair else "",
            hostname=hostname or hostname_of(own_name),
            metadata=metadata,
            tags=tags or [],
            user_data=user_data,
            config_drive=config_drive,
            admin_pass=encrypt(admin_pass),
            access_ipv4=access_ipv4,
            access_ipv6=access_ipv6,
            availability_zone=availability_zone,
            disk_config=disk_config,
            reservation_id=reservation,
            launch_index=index,
            placement=decision.record(),
            boot_started_at=now,
            step="placed",
            step_since=now,
        )
        if decision.chosen:
            instance.host = decision.chosen.host
            begin(instance, by=ctx, data={"flavor": flavor.name, "image": image.name})
            BootStep.objects.create(instance=instance, step="placed")
            _plug(ctx, instance, nics, security_groups, external_network)
        else:
            refusal = placement.no_valid_host(decision)
            instance.status, instance.fault, instance.step = Status.ERROR, refusal.message, ""
            begin(instance, by=ctx)
            events.record(
                instance,
                "fail",
                by=ctx,
                outcome=Event.Outcome.FAILED,
                detail=refusal.message,
                data=refusal.data,
            )
        made.append(instance)
    return made


def _claim(ctx: Context, flavor: Flavor, count: int, least: int) -> int:
    """Claim room for as many as fit between `least` and `count`; returns how many."""
    if not 1 <= least <= count <= AT_ONCE:
        raise CloudError(
            f"From min_count to max_count, between 1 and {AT_ONCE}: these are {least} and {count}.",
            field="count",
        )
    one = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.ram}
    try:
        quotas.claim(ctx.project_id, **{resource: count * size for resource, size in one.items()})
        return count
    except QuotaExceeded as refusal:
        fits = min(
            (short["limit"] - short["used"]) // one[resource] for resource, short in refusal.data.items()
        )
    number = max(fits, least)
    quotas.claim(ctx.project_id, **{resource: number * size for resource, size in one.items()})
    return number


def _check_name(name: str) -> str:
    if not name.strip() or len(name) > 255:
        raise CloudError(f"Name: 1 to 255 characters, this has {len(name.strip())}.", field="name")
    return name.strip()


def _check_fit(image: Image, flavor: Flavor) -> None:
    if image.status != Image.Status.ACTIVE:
        raise CloudError(f"Image {image.pk} is not active but {image.status}.", field="image")
    if flavor.ram < image.min_ram:
        raise CloudError(
            f"Flavor's memory is too small for the image: it needs {image.min_ram} MiB, {flavor.name} has {flavor.ram}.",
            field="flavor",
        )
    if flavor.disk and flavor.disk < image.min_disk_gib:
        raise CloudError(
            f"Flavor's disk is too small for the image: it needs {image.min_disk_gib} GiB, {flavor.name} has {flavor.disk}.",
            field="flavor",
        )


def check_metadata(metadata: dict) -> dict[str, str]:
    """The metadata, when every key has 1 to 255 and every value at most 255 characters."""
    if len(metadata) > METADATA_ITEMS:
        raise Forbidden(f"Maximum number of metadata items exceeds {METADATA_ITEMS}: {len(metadata)} given.")
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise CloudError(f"Invalid metadata value for {key}: a string is expected.", field="metadata")
        if not 1 <= len(key) <= 255 or len(value) > 255:
            raise CloudError(
                f"Metadata keys have 1 to 255 characters and values at most 255: {key[:40]}", field="metadata"
            )
    return metadata


def check_user_data(user_data: str) -> None:
    if len(user_data) > USER_DATA_MAX:
        raise CloudError(
            f"User data: {USER_DATA_MAX} characters at most when encoded, this has {len(user_data)}.",
            field="user_data",
        )
    try:
        base64.b64decode(user_data, validate=True)
    except ValueError:  # binascii.Error, and what is not ASCII
        raise CloudError("User data is not base64.", field="user_data") from None


def hostname_of(name: str) -> str:
    """The name as a DNS label, as Nova makes it."""
    label = re.sub(r"[^a-z0-9.-]", "", re.sub(r"[ _]", "-", name.lower())).strip(".-")[:63]
    return label or "instance"


def plug(
    ctx: Context, instance: Instance, nic: NicRequest, groups: list[SecurityGroup] | None = None
) -> Port:
    """The port of the card, which is the instance's now and may be plugged on its host."""
    common = {
        "device_id": str(instance.pk),
        "device_owner": f"compute:{instance.host.availability_zone}",
        "host": instance.host.name,
        "dns_name": instance.hostname,
    }
    if nic.port is not None:
        return networks.bind_port(ctx, port=nic.port, **common)
    if nic.fixed_ip and nic.network.project_id != ctx.project_id:
        enforce(ctx, "create_port:network_owner")  # in a shared network it might be the gateway's
    return networks.create_port(
        ctx,
        project_id=instance.project_id,
        network=nic.network,
        fixed_ips=[{"ip_address": nic.fixed_ip}] if nic.fixed_ip else None,
        security_groups=groups,
        **common,
    )


def _plug(ctx, instance, nics, groups, external_network) -> None:
    first = None
    for nic in nics:
        port = plug(ctx, instance, nic, groups)
        first = first or port
    if external_network is not None:
        if first is None:
            raise CloudError("A public address needs a network.", field="reach")
        floating = networks.create_floating_ip(ctx, network=external_network)
        networks.associate_floating_ip(ctx, floating_ip=floating, port=first)


# --- what may be asked of one that exists -------------------------------------------------------------


def _unlocked(ctx: Context, instance: Instance) -> None:
    if instance.locked and not allowed(ctx, "os_compute_api:os-lock-server:unlock:unlock_override"):
        raise Conflict(f"Instance {instance.pk} is locked. Unlock it first.")


def take(ctx: Context, instance: Instance, rule: str, action: str, allowed_from) -> Instance:
    """The instance, locked until the transaction ends, when `ctx` may do `action` and it applies now."""
    enforce(ctx, rule, instance)
    lock(instance)
    _unlocked(ctx, instance)
    if instance.host_id is None:
        raise Conflict(
            f"Cannot '{action}' instance {instance.pk}: it was never placed on a host. Delete it and launch anew."
        )
    if instance.status not in allowed_from:
        raise Conflict(
            f"Cannot '{action}' instance {instance.pk} while it is in vm_state {vm_state(instance)}"
        )
    return instance


def _change(ctx: Context, instance: Instance, rule: str, action: str, status: str, allowed_from) -> Instance:
    take(ctx, instance, rule, action, allowed_from)
    return move(instance, status, by=ctx, action=action)


@transaction.atomic
def start_instance(ctx: Context, *, instance: Instance) -> Instance:
    """It is running once its status is ACTIVE."""
    _change(
        ctx,
        instance,
        "os_compute_api:servers:start",
        "start",
        Status.POWERING_ON,
        (Status.SHUTOFF, Status.ERROR),
    )
    _new_boot(instance)
    return instance


@transaction.atomic
def stop_instance(ctx: Context, *, instance: Instance) -> Instance:
    """The guest is asked to shut down, after a minute its power is cut; off once SHUTOFF."""
    return _change(
        ctx,
        instance,
        "os_compute_api:servers:stop",
        "stop",
        Status.POWERING_OFF,
        (Status.ACTIVE, Status.ERROR),
    )


@transaction.atomic
def reboot_instance(ctx: Context, *, instance: Instance, hard: bool = False) -> Instance:
    """Soft: the guest is asked to shut down first; hard: its power is cut. Running again once ACTIVE."""
    allowed_from = (
        (Status.ACTIVE, Status.SHUTOFF, Status.ERROR, Status.REBOOTING) if hard else (Status.ACTIVE,)
    )
    status = Status.REBOOTING_HARD if hard else Status.REBOOTING
    action = "hard-reboot" if hard else "reboot"
    _change(ctx, instance, "os_compute_api:servers:reboot", action, status, allowed_from)
    _new_boot(instance)
    return instance


@transaction.atomic
def delete_instance(ctx: Context, *, instance: Instance) -> Instance:
    """Guest, disk and ports will be gone; the row stays as DELETED for the history."""
    enforce(ctx, "os_compute_api:servers:delete", instance)
    lock(instance)
    _unlocked(ctx, instance)
    if instance.status == Status.DELETING:
        return instance
    return move(instance, Status.DELETING, by=ctx, action="delete")


@transaction.atomic
def update_instance(ctx: Context, *, instance: Instance, **fields) -> Instance:
    """Write name, description, hostname, access addresses, disk_config; the guest is not touched."""
    enforce(ctx, "os_compute_api:servers:update", instance)
    lock(instance)
    _unlocked(ctx, instance)
    if "name" in fields:
        fields["name"] = _check_name(fields["name"])
    for field, value in fields.items():
        setattr(instance, field, value)
    instance.updated_at = timezone.now()
    instance.save(update_fields=[*fields, "updated_at"])
    events.record(instance, "update", by=ctx, detail=", ".join(sorted(fields)))
    return instance


@transaction.atomic
def lock_instance(ctx: Context, *, instance: Instance, reason: str = "") -> None:
    enforce(ctx, "os_compute_api:os-lock-server:lock", instance)
    Instance.objects.filter(pk=instance.pk).update(locked=True, locked_reason=reason)
    instance.locked, instance.locked_reason = True, reason
    events.record(instance, "lock", by=ctx, detail=reason)


@transaction.atomic
def unlock_instance(ctx: Context, *, instance: Instance) -> None:
    enforce(ctx, "os_compute_api:os-lock-server:unlock", instance)
    Instance.objects.filter(pk=instance.pk).update(locked=False, locked_reason="")
    instance.locked, instance.locked_reason = False, ""
    events.record(instance, "unlock", by=ctx)


@transaction.atomic
def set_metadata(ctx: Context, *, instance: Instance, metadata: dict[str, str]) -> dict[str, str]:
    """The instance's metadata is exactly `metadata`; the guest reads it from the metadata service."""
    enforce(ctx, "os_compute_api:server-metadata", instance)
    lock(instance)
    _unlocked(ctx, instance)
    instance.metadata = check_metadata(metadata)
    instance.save(update_fields=["metadata"])
    events.record(instance, "metadata", by=ctx, detail=", ".join(sorted(metadata)))
    return instance.metadata


def _new_boot(instance: Instance) -> None:
    BootStep.objects.filter(instance=instance).delete()
    Instance.objects.filter(pk=instance.pk).update(boot_started_at=timezone.now())


# --- what the host agent and the worker see -----------------------------------------------------------


def reached(instance: Instance, step: str) -> None:
    """The boot has reached `step`: kept once, shown at once."""
    _, new = BootStep.objects.get_or_create(instance=instance, step=step)
    if not new:
        return
    order = Instance.STEPS.index
    if instance.step not in Instance.STEPS or order(step) > order(instance.step):
        lifecycle.note(instance, step=step)


def observe_boot(instance_id: str, step: str) -> None:
    """The agent saw the guest reach `step`; unknown and deleted instances are passed over."""
    instance = (
        Instance.objects.filter(pk=instance_id).exclude(status__in=(Status.DELETED, Status.DELETING)).first()
    )
    if instance is None:
        return
    reboots = instance.status in (Status.REBOOTING, Status.REBOOTING_HARD)
    if reboots and instance.step not in Instance.STEPS:
        return  # seen of the boot before; as a step it would say that the guest has stopped
    reached(instance, step)


def observe_plug(port_id: str) -> None:
    """The engine bound a port: the boot of the instance that builds with it has come so far."""
    building = Instance.objects.filter(status__in=(Status.BUILD, Status.POWERING_ON, Status.REBOOTING_HARD))
    device = Port.objects.filter(pk=port_id).values_list("device_id", flat=True).first()
    if device and len(device) == 36 and (instance := building.filter(pk=device).first()):
        reached(instance, "port")


def vm_state(instance: Instance) -> str:
    """Nova's word for what the machine is, apart from what is being done to it."""
    return VM_STATES.get(instance.status, "active")


def hosts_zones() -> dict[str, bool]:
    """{zone: has a host that takes instances}."""
    zones: dict[str, bool] = {}
    for host in Host.objects.all():
        zones[host.availability_zone] = zones.get(host.availability_zone, False) or (
            host.enabled and host.is_up
        )
    return zones
