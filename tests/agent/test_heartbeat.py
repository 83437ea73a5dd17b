"""A host's row is what its agent last said."""

import asyncio

import pytest
from asgiref.sync import async_to_sync

from apps.core.errors import DriverError
from apps.hosts import heartbeat
from apps.hosts.models import Host

pytestmark = pytest.mark.django_db


def beats(inventory, until):
    async def scenario():
        joined = asyncio.Event()
        task = asyncio.create_task(heartbeat.keep_beating("hv9", inventory, joined.set))
        async with asyncio.timeout(5):
            await until(joined)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async_to_sync(scenario)()


def test_a_new_host_makes_its_row_and_keeps_it():
    beats(lambda: {"vcpus": 4, "memory_mib": 8192}, lambda joined: joined.wait())
    heartbeat.beat("hv9")
    host = Host.objects.get(name="hv9")
    assert (host.vcpus, host.memory_mib, host.enabled, host.is_up) == (4, 8192, True, True)


def test_what_changed_is_written_and_what_an_administrator_said_stays(django_assert_num_queries):
    heartbeat.join("hv9", vcpus=4)
    Host.objects.update(enabled=False, cpu_ratio=2)
    with django_assert_num_queries(1):
        heartbeat.join("hv9", vcpus=4)
    heartbeat.join("hv9", vcpus=8)
    host = Host.objects.get(name="hv9")
    assert (host.vcpus, host.enabled, host.cpu_ratio) == (8, False, 2)


def test_a_beat_is_one_update(django_assert_num_queries):
    heartbeat.join("hv9")
    with django_assert_num_queries(1):
        heartbeat.beat("hv9")


def test_a_hypervisor_that_does_not_answer_is_asked_again(monkeypatch):
    from datetime import timedelta

    monkeypatch.setattr(heartbeat, "HEARTBEAT", timedelta(seconds=0.01))
    answers = [DriverError("libvirtd does not answer"), {"vcpus": 4}]

    def inventory():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    beats(inventory, lambda joined: joined.wait())
    assert Host.objects.get(name="hv9").vcpus == 4
