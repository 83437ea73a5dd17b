"""Make the hypervisor match the instances' rows; each function may run at any time, any number of times."""

from django.db import transaction
from django.utils import timezone

from apps.core import events
from apps.core.errors import DriverError
from apps.core.events import follow
from apps.core.lifecycle import begin, end, later, mark, move, note, reconciles
from apps.hosts import relay
from apps.images import store
from apps.instances import configdrive, metadata
from apps.instances.drivers import compute
from apps.instances.drivers.base import GuestSpec, Nic, Power
from apps.instances.interfaces import described
from apps.instances.models import CachedImage, Instance
from apps.instances.operations import reached
from apps.networks import operations as networks
from apps.networks.models import Port
from apps.networks.models import Status as PortStatus

Status = Instance.Status
SHUTDOWN_PATIENCE = 60  # s that a guest has to shut itself down before its power is cut
PLUG_PATIENCE = 60  # s that a port has to be bound after the guest was started


@reconciles(Instance)
def reconcile_instance(instance: Instance):
    match instance.status:
        case Status.BUILD:
            return _build(instance)
        case Status.POWERING_ON:
            return _start(instance)
        case Status.POWERING_OFF:
            return _stop(instance)
        case Status.REBOOTING | Status.REBOOTING_HARD:
            return _reboot(instance)
        case Status.DELETING:
            return _delete(instance)
        case Status.DELETED:
            return None
        case _:
            return _observe(instance)


def _ports_of(instance: Instance) -> list[Port]:
    return networks.ports_of([str(instance.pk)]).get(str(instance.pk), [])


def _nics_of(ports: list[Port]) -> tuple[Nic, ...]:
    return tuple(Nic(str(p.pk), p.mac_address, p.network.mtu) for p in ports if not p.leaving)


def spec_of(instance: Instance) -> GuestSpec:
    drive = configdrive.build(metadata.config_drive_files(instance)) if instance.config_drive else None
    return GuestSpec(
        uuid=str(instance.pk),
        name=instance.name,
        project=instance.project_id,
        vcpus=instance.vcpus,
        memory_mib=instance.ram,
        root_gib=instance.flavor_extra.get("disk", instance.disk),
        base=str(instance.image_id),
        nics=_nics_of(_ports_of(instance)),
        config_drive=drive,
    )


def _build(instance: Instance):
    driver = compute(instance.host.name)
    if not driver.has_base(str(instance.image_id)):
        note(instance, step="disk")
        cached, _ = _cached_image(instance)
        follow(instance, cached.pk)
        cached.refresh_from_db()
        if cached.status == CachedImage.Status.FAILED:
            raise DriverError(f"The image could not be fetched to the host: {cached.fault}", permanent=True)
        if not driver.has_base(str(instance.image_id)):
            note(instance, step="disk", progress=cached.progress)
            return later(10)
    spec = spec_of(instance)
    driver.ensure_disk(spec)
    reached(instance, "disk")
    return _run_guest(instance, driver, spec)


def _cached_image(instance: Instance) -> tuple[CachedImage, bool]:
    """The promise that the host gets the image; a failed one of an earlier launch is made anew."""
    with transaction.atomic():
        found = (
            CachedImage.objects.select_for_update().filter(host=instance.host, image=instance.image).first()
        )
        if found is None:
            new = CachedImage(host=instance.host, image=instance.image, status=CachedImage.Status.FETCHING)
            return begin(new), True
        older = found.status_since < instance.status_since
        if (found.status == CachedImage.Status.FAILED and older) or found.status == CachedImage.Status.READY:
            move(found, CachedImage.Status.FETCHING)
        return found, False


def _run_guest(instance: Instance, driver, spec: GuestSpec):
    """The guest runs and its ports are bound; then the instance is ACTIVE."""
    relay.networks_changed(instance.host)  # its metadata service listens before the guest asks
    driver.ensure_guest(spec)
    reached(instance, "started")
    ports = _match_nics(instance, driver)
    unbound = [port for port in ports if port.admin_state_up and port.status != PortStatus.ACTIVE]
    for port in unbound:
        follow(instance, port.pk)
    unbound = [port for port in unbound if not networks.port_is_up(port)]
    if unbound:
        waited = (timezone.now() - instance.step_since).total_seconds() if instance.step_since else 0
        if waited > PLUG_PATIENCE:
            raise DriverError(
                f"{len(unbound)} of {len(ports)} ports not bound {PLUG_PATIENCE} s after the start: the network "
                "engine on the host does not answer.",
                permanent=True,
            )
        return later(5)
    reached(instance, "port")
    instance.refresh_from_db(fields=["step"])
    move(
        instance,
        Status.ACTIVE,
        step=instance.step,
        power_state=Power.RUNNING,
        launched_at=instance.launched_at or timezone.now(),
    )
    return None


def _start(instance: Instance):
    driver = compute(instance.host.name)
    networks.set_port_host(str(instance.pk), instance.host.name)
    return _run_guest(instance, driver, spec_of(instance))


def _match_nics(instance: Instance, driver) -> list[Port]:
    """The guest has the cards of the instance's ports, which are returned; ports that it gave up are released.

    A port is released only after its card is gone, and a leaving one stays so until then: whenever this is
    cut off, the next run goes on.
    """
    ports = _ports_of(instance)
    driver.ensure_nics(str(instance.pk), _nics_of(ports))
    given_up = [port for port in ports if port.leaving]
    if given_up:
        with transaction.atomic():
            Instance.objects.select_for_update().get(pk=instance.pk)  # before its ports, like the operations
            networks.release_ports(str(instance.pk), given_up)
            for port in given_up:
                events.record(instance, "detach_interface", detail=described(port))
        relay.networks_changed(instance.host)
    return [port for port in ports if not port.leaving]


def _stop(instance: Instance):
    if not _is_off(instance):
        return later(1)
    _match_nics(instance, compute(instance.host.name))
    move(instance, Status.SHUTOFF, power_state=Power.OFF)
    return None


def _is_off(instance: Instance) -> bool:
    """Asks the guest to shut down, and after SHUTDOWN_PATIENCE cuts its power."""
    patience = (timezone.now() - instance.status_since).total_seconds() > SHUTDOWN_PATIENCE
    hard = patience or instance.status == Status.REBOOTING_HARD
    note(instance, step="stopping")
    return compute(instance.host.name).ensure_stopped(str(instance.pk), hard=hard)


def _reboot(instance: Instance):
    if instance.step in ("", "stopping"):
        if not _is_off(instance):
            return later(1)
        note(instance, step="placed")  # from here on it is a start; stopping again would never end
    return _start(instance)


def _delete(instance: Instance):
    if instance.host_id:
        note(instance, step="removing")
        compute(instance.host.name).ensure_no_guest(str(instance.pk))
    with transaction.atomic():
        networks.release_ports(str(instance.pk))
        move(
            instance,
            Status.DELETED,
            action="deleted",
            deleted_at=timezone.now(),
            power_state="",
            user_data="",
            admin_pass="",
        )
    if instance.host_id:
        relay.networks_changed(instance.host)
    return None


def _observe(instance: Instance):
    """A resting instance was marked: what does the hypervisor say?"""
    if not instance.host_id or instance.status == Status.ERROR:
        return None
    driver = compute(instance.host.name)
    power = driver.state(str(instance.pk)).power
    if instance.status == Status.ACTIVE and power in (Power.OFF, Power.CRASHED):
        why = "The guest crashed." if power == Power.CRASHED else "The guest shut itself down."
        move(instance, Status.SHUTOFF, action="stopped", detail=why, fault=why, power_state=power)
    elif instance.status == Status.ACTIVE and power == Power.ABSENT:
        why = "The guest is gone from its host. A hard reboot makes it again from its disk."
        move(instance, Status.ERROR, action="lost", detail=why, fault=why, power_state=power)
    elif instance.status == Status.SHUTOFF and power == Power.RUNNING:
        move(
            instance,
            Status.ACTIVE,
            action="started",
            detail="The guest was started on its host.",
            power_state=power,
        )
    down = Port.objects.alive().filter(device_id=str(instance.pk)).exclude(status=PortStatus.ACTIVE)
    if power == Power.RUNNING and down.exists():
        relay.networks_changed(instance.host)  # its metadata service listens before a new card asks
    _match_nics(instance, driver)
    return None


@reconciles(CachedImage, at_once=2)
def reconcile_cached_image(cached: CachedImage):
    driver, image = compute(cached.host.name), cached.image
    if cached.status == CachedImage.Status.REMOVING:
        driver.ensure_no_base(str(image.pk))
        end(cached)
    elif cached.status == CachedImage.Status.FETCHING:
        source = store.path_of(image.pk)
        if not source.exists() and not driver.has_base(str(image.pk)):
            raise DriverError(f"The data of image {image} is gone from the store.", permanent=True)
        driver.ensure_base(
            str(image.pk),
            str(source),
            image.disk_format,
            image.os_hash_value,
            progress=lambda percent: note(cached, step="fetching", progress=percent),
        )
        move(cached, CachedImage.Status.READY)


def mark_instance(instance_id: str) -> None:
    """For the host agent: somebody shall look at this instance."""
    instance = Instance.objects.select_related("host").filter(pk=instance_id).first()
    if instance is not None and instance.status != Status.DELETED:
        mark(instance)
