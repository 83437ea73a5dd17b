"""kill -9 of each process in the middle of a build: it is started again, the build ends, nothing is doubled."""

import json
import os
import signal
import sqlite3
import subprocess

import pytest

from tests.cloud import until


@pytest.fixture(scope="module")
def ids(cloud):
    """What a launch needs, asked once."""
    connection = cloud.connection()
    return {
        "image_id": next(connection.image.images()).id,
        "flavor_id": connection.compute.find_flavor("m1.nano").id,
        "networks": [{"uuid": connection.network.find_network("private").id}],
    }


@pytest.fixture(scope="module")
def bystander(cloud, ids):
    """The floating IP of a guest that runs all the time; whatever is killed, it stays or comes back in reach."""
    connection = cloud.connection()
    server = connection.compute.create_server(name="bystander", **ids)
    server = connection.compute.wait_for_server(server, interval=0.5, wait=90)
    public = connection.network.find_network("public")
    port = next(connection.network.ports(device_id=server.id))
    floating = connection.network.create_ip(floating_network_id=public.id, port_id=port.id)
    until(lambda: answers(floating.floating_ip_address), seconds=120)
    yield floating.floating_ip_address
    connection.network.delete_ip(floating)
    connection.compute.delete_server(server)
    connection.compute.wait_for_delete(server, interval=0.5, wait=60)


def answers(address: str) -> bool:
    ping = ["ping", "-c", "1", "-W", "1", address]
    return subprocess.run(ping, capture_output=True, check=False).returncode == 0


def process(cloud, name: str) -> dict:
    """What the supervisor knows about a process: state, pid, restarts."""
    return json.loads((cloud.state / "run/supervisor.json").read_text())[name]


def ask(cloud, question: str, *values) -> list:
    """Rows of the cloud's own records, read as they are now."""
    records = sqlite3.connect(f"file:{cloud.state}/cloudpanel.sqlite3?mode=ro", uri=True, timeout=20)
    try:
        return records.execute(question, values).fetchall()
    finally:
        records.close()


def build(cloud, server) -> tuple[str, str]:
    """(status, step) of the instance's row."""
    key = server.id.replace("-", "")
    return ask(cloud, "select status, step from instances_instance where id in (?, ?)", server.id, key)[0]


def lines(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return [line for line in done.stdout.split("\n") if line]


@pytest.mark.parametrize("victim", ["worker", "agent", "redis", "libvirtd", "ovs-vswitchd"])
def test_a_killed_process_costs_a_build_seconds_and_nothing_else(cloud, ids, bystander, victim):
    connection = cloud.connection()
    before = process(cloud, victim)
    server = connection.compute.create_server(name=f"during-{victim}", **ids)
    try:
        if victim == "worker":  # in the very middle: it has begun with the disk, or already with the guest
            until(lambda: build(cloud, server)[1] not in ("", "placed"), seconds=30, every=0.005)
        status = build(cloud, server)[0]
        os.kill(before["pid"], signal.SIGKILL)
        assert status == "BUILD"

        server = connection.compute.wait_for_server(server, interval=0.3, wait=120)
        assert server.status == "ACTIVE"
        until(lambda: process(cloud, victim)["state"] == "ready", seconds=60)
        after = process(cloud, victim)
        assert (after["restarts"], after["pid"] != before["pid"]) == (before["restarts"] + 1, True)

        domains = lines("virsh", "-q", "-c", "qemu:///system", "list", "--uuid")
        assert domains.count(server.id) == 1
        assert len(domains) == 2
        ports = [port.id for port in connection.network.ports(device_id=server.id)]
        assert len(ports) == 1
        switch_ports = lines(
            "ovn-nbctl", "--timeout=10", "--bare", "--columns=name", "list", "Logical_Switch_Port"
        )
        assert switch_ports.count(ports[0]) == 1
        plugs = lines(
            "ovs-vsctl", "--timeout=10", "--bare", "--columns=name", "find", "Interface",
            f"external_ids:iface-id={ports[0]}",
        )  # fmt: skip
        assert len(plugs) == 1
        told = ask(cloud, "select action from core_event where object_id = ? order by id", server.id)
        assert [action for (action,) in told].count("active") == 1
        assert [action for (action,) in told].count("create") == 1
        until(lambda: answers(bystander), seconds=60)
    finally:
        connection.compute.delete_server(server)
        connection.compute.wait_for_delete(server, interval=0.3, wait=90)
    assert lines("virsh", "-q", "-c", "qemu:///system", "list", "--all", "--uuid") != []
    until(lambda: server.id not in lines("virsh", "-q", "-c", "qemu:///system", "list", "--all", "--uuid"))


def test_a_guest_outlives_the_cloud_and_is_found_again(cloud, bystander):
    """Down and up again: the guest was never off, and nothing happened to it."""
    (server,) = cloud.connection().compute.servers(name="bystander")
    (pid,) = lines("pgrep", "-f", f"qemu-system.*{server.id}")
    cloud.platform("down")
    assert lines("pgrep", "-f", f"qemu-system.*{server.id}") == [pid]
    cloud.platform("up")
    cloud.platform("status")
    until(lambda: answers(bystander), seconds=30)
    assert cloud.connection().compute.get_server(server.id).status == "ACTIVE"
    told = ask(cloud, "select action from core_event where object_id = ? order by id", server.id)
    assert not {"stopped", "start", "crashed"} & {action for (action,) in told}
    assert lines("pgrep", "-f", f"qemu-system.*{server.id}") == [pid]


def test_a_guest_that_loses_its_host_s_qemu_is_seen_to_be_off(cloud, ids):
    """kill -9 of QEMU itself: the instance says that the guest crashed, and starts again when asked."""
    connection = cloud.connection()
    server = connection.compute.create_server(name="crashes", **ids)
    server = connection.compute.wait_for_server(server, interval=0.3, wait=90)
    try:
        (pid,) = lines("pgrep", "-f", f"qemu-system.*{server.id}")
        os.kill(int(pid), signal.SIGKILL)
        connection.compute.wait_for_server(server, status="SHUTOFF", interval=0.3, wait=30)
        connection.compute.start_server(server)
        connection.compute.wait_for_server(server, interval=0.3, wait=60)
    finally:
        connection.compute.delete_server(server)
        connection.compute.wait_for_delete(server, interval=0.3, wait=60)
