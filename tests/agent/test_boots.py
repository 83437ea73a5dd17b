"""How far a boot has come, from what the host sees of it."""

import asyncio

import pytest
from asgiref.sync import async_to_sync

from apps.instances.agent import boots as module
from apps.instances.agent.boots import Boots, SimulatedBoots
from apps.instances.agent.guests import mark_differing
from apps.instances.drivers.base import Power
from apps.instances.models import BootStep, Instance
from apps.instances.operations import reboot_instance
from apps.networks.models import Port
from tests.instances.conftest import *  # noqa: F403  (the cast of an instance's life)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.01)


@pytest.fixture
def instance(launch, alice):
    return launch(alice)


def steps(instance) -> list[str]:
    return [
        step.step
        for step in BootStep.objects.filter(instance=instance)
        if step.step in ("address", "metadata", "ready")
    ]


def watching(see):
    """Run `see(boots)` and let everything that it led to be written down."""

    async def scenario():
        boots = Boots("hv1")
        await see(boots)
        while boots._tasks:
            await asyncio.sleep(0.005)

    async_to_sync(scenario)()


def test_the_steps_of_a_boot(instance):
    port = Port.objects.get(device_id=str(instance.pk))

    async def see(boots):
        boots.leased(port.mac_address, await asyncio.to_thread(lambda: address))
        await asyncio.sleep(0.05)
        boots.asked(instance, "/openstack/latest/meta_data.json")
        await asyncio.sleep(0.05)
        boots.asked(instance, "/openstack/latest/user_data")

    address = port.fixed_ips.get().address
    watching(see)
    assert steps(instance) == ["address", "metadata", "ready"]


def test_asking_for_other_files_says_nothing(instance):
    async def see(boots):
        boots.asked(instance, "/openstack/latest/vendor_data.json")
        boots.asked(instance, "/openstack")

    watching(see)
    assert steps(instance) == []


def test_the_guest_agents_connection_is_the_end_of_the_boot(instance):
    async def see(boots):
        boots.agent_connected(str(instance.pk))

    watching(see)
    assert steps(instance) == ["ready"]


def test_with_a_config_drive_the_lease_is_enough(launch, alice):
    instance = launch(alice, config_drive=True)
    port = Port.objects.get(device_id=str(instance.pk))
    address = port.fixed_ips.get().address

    async def see(boots):
        boots.leased(port.mac_address, address)

    watching(see)
    assert steps(instance) == ["address", "ready"]


def test_a_lease_of_nobody_is_passed_over(instance):
    async def see(boots):
        boots.leased("0a:00:00:00:00:01", "10.0.0.99")

    watching(see)
    assert steps(instance) == []


def test_leases_are_read_from_the_log_also_after_rotation(tmp_path):
    log = tmp_path / "ovn-controller.log"
    line = "2026-11-24T09:00:00Z|00042|pinctrl(ovn_pinctrl0)|INFO|DHCPACK 0a:00:00:00:01:0{} 10.0.1.1{}\n"
    seen = []

    async def scenario():
        boots = Boots("hv1")
        boots.leased = lambda mac, address: seen.append((mac, address))
        log.write_text(line.format(1, 1))
        task = asyncio.create_task(boots.follow_leases(log))

        async def until(count):
            async with asyncio.timeout(20):
                while len(seen) < count:
                    with log.open("a") as file:  # until tail is there
                        file.write(line.format(count + 1, count + 1))
                    await asyncio.sleep(0.1)

        await until(1)
        log.rename(tmp_path / "old")
        log.write_text("")
        await until(len(seen) + 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    assert ("0a:00:00:00:01:01", "10.0.1.11") not in seen  # from before we looked
    assert seen[0] == ("0a:00:00:00:01:02", "10.0.1.12")


def test_fake_guests_boot_as_well(instance, hypervisor, monkeypatch):
    monkeypatch.setattr(SimulatedBoots, "STEPS", tuple((0.01, step) for _, step in SimulatedBoots.STEPS))

    async def see(boots):
        simulated = SimulatedBoots("hv1", hypervisor, boots)
        up = asyncio.Event()
        task = asyncio.create_task(simulated.run(up.set))
        await up.wait()
        while boots._tasks:
            await asyncio.sleep(0.01)
        task.cancel()

    watching(see)
    assert steps(instance) == ["address", "metadata", "ready"]


@pytest.mark.parametrize(
    ("status", "power", "marked"),
    [
        ("ACTIVE", Power.RUNNING, False),
        ("ACTIVE", Power.PAUSED, False),
        ("ACTIVE", Power.CRASHED, True),
        ("ACTIVE", None, True),
        ("SHUTOFF", Power.OFF, False),
        ("SHUTOFF", None, False),
        ("SHUTOFF", Power.RUNNING, True),
    ],
)
def test_what_differs_after_a_reconnect_is_marked(instance, status, power, marked):
    Instance.objects.filter(pk=instance.pk).update(status=status)
    powers = {str(instance.pk): power} if power else {}
    assert mark_differing("hv1", powers) == int(marked)
    assert Instance.objects.filter(due_at__isnull=False).exists() == marked


def test_a_guest_that_stops_by_itself_is_seen(instance, hypervisor, settle):
    hypervisor.ensure_stopped(str(instance.pk), hard=True)
    mark_differing("hv1", {state.uuid: state.power for state in hypervisor.states()})
    settle()
    instance.refresh_from_db()
    assert instance.status == "SHUTOFF"


def test_while_a_guest_goes_down_nothing_is_seen_of_its_next_boot(instance, alice):
    reboot_instance(alice, instance=instance)

    async def see(boots):
        boots.agent_connected(str(instance.pk))

    watching(see)
    instance.refresh_from_db()
    assert (instance.step, steps(instance)) == ("", [])
