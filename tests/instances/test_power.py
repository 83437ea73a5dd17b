import pytest

from apps.core.errors import Conflict
from apps.core.lifecycle import mark
from apps.core.models import Event
from apps.instances.drivers.base import Power
from apps.instances.operations import (
    create_instance,
    delete_instance,
    lock_instance,
    reboot_instance,
    start_instance,
    stop_instance,
    unlock_instance,
)


def status(instance):
    instance.refresh_from_db()
    return instance.status


def test_stop_and_start(launch, alice, settle, hypervisor):
    instance = launch(alice)
    stop_instance(alice, instance=instance)
    assert status(instance) == "powering-off"
    settle()
    assert status(instance) == "SHUTOFF"
    assert hypervisor.state(str(instance.pk)).power == Power.OFF
    start_instance(alice, instance=instance)
    settle()
    assert status(instance) == "ACTIVE"
    assert hypervisor.state(str(instance.pk)).power == Power.RUNNING
    actions = list(
        Event.objects.filter(object_id=str(instance.pk)).order_by("id").values_list("action", flat=True)
    )
    assert actions[0] == "create"
    assert {"stop", "start"} <= set(actions)


@pytest.mark.parametrize("hard", [False, True])
def test_reboot_ends_active(launch, alice, settle, hard):
    instance = launch(alice)
    reboot_instance(alice, instance=instance, hard=hard)
    settle()
    assert status(instance) == "ACTIVE"


def test_what_does_not_apply_is_a_conflict_in_novas_words(launch, alice):
    instance = launch(alice)
    with pytest.raises(
        Conflict, match=f"Cannot 'start' instance {instance.pk} while it is in vm_state active"
    ):
        start_instance(alice, instance=instance)


def test_a_locked_instance_says_so(launch, alice):
    instance = launch(alice)
    lock_instance(alice, instance=instance, reason="do not touch")
    with pytest.raises(Conflict, match="locked"):
        delete_instance(alice, instance=instance)
    unlock_instance(alice, instance=instance)
    delete_instance(alice, instance=instance)


def test_a_guest_that_stopped_itself_is_seen(launch, alice, settle, hypervisor):
    instance = launch(alice)
    hypervisor.ensure_stopped(str(instance.pk), hard=True)
    mark(instance)
    settle()
    assert status(instance) == "SHUTOFF"
    assert "shut itself down" in instance.fault


def test_a_guest_that_vanished_is_an_error_that_a_hard_reboot_mends(launch, alice, settle, hypervisor):
    instance = launch(alice)
    hypervisor.ensure_no_guest(str(instance.pk))
    mark(instance)
    settle()
    assert status(instance) == "ERROR"
    assert "gone from its host" in instance.fault


def test_what_has_no_host_can_only_be_deleted(host, image, large, private, alice, settle):
    host.enabled = False
    host.save()
    (instance,) = create_instance(alice, name="big", image=image, flavor=large)
    assert (instance.status, instance.host) == ("ERROR", None)
    for ask in (start_instance, stop_instance, lambda ctx, **i: reboot_instance(ctx, hard=True, **i)):
        with pytest.raises(Conflict, match="never placed"):
            ask(alice, instance=instance)
    delete_instance(alice, instance=instance)
    settle()
    assert status(instance) == "DELETED"
