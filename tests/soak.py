"""Kill a process of the running cloud in the middle of a build, again and again; nothing may be lost or doubled.

    python -m tests.stack python -m tests.soak [ROUNDS]

Each round launches a server and kills one process at a random moment. The server becomes ACTIVE, the hypervisor
has exactly the guests that the cloud has, and after the deletion neither has any.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cloud import Cloud

ROUNDS = 50
VICTIMS = ["worker", "agent", "redis", "web1", "beat"]
ENGINES = ["libvirtd", "ovs-vswitchd", "ovsdb-server", "ovn-nb", "ovn-sb", "ovn-northd", "ovn-controller"]
REAL = os.environ.get("CLOUDPANEL_COMPUTE") != "fake"


def kill(state: Path, name: str) -> None:
    """The process is killed, and its successor is ready."""
    before = processes(state)[name]
    os.kill(before["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        now = processes(state)[name]
        if now["state"] == "ready" and now["pid"] != before["pid"]:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} was not started again: {now}")
        time.sleep(0.05)


def processes(state: Path) -> dict:
    return json.loads((state / "run/supervisor.json").read_text())


def guests() -> int:
    listed = subprocess.run(
        ["virsh", "-q", "list", "--all", "--uuid"], capture_output=True, text=True, check=True
    )
    return len(listed.stdout.split())


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seed = int(os.environ.get("CLOUDPANEL_SOAK_SEED", time.time_ns() % 10**6))
    chance = random.Random(seed)
    state = Path(os.environ["CLOUDPANEL_STACK"])
    cloud = Cloud(state).connection("demo")
    image = next(cloud.image.images())
    flavor = cloud.compute.find_flavor("m1.nano")
    network = cloud.network.find_network("private")
    print(f"{rounds} rounds, CLOUDPANEL_SOAK_SEED={seed}", flush=True)
    for n in range(1, rounds + 1):
        victim = chance.choice(VICTIMS + ENGINES if REAL else VICTIMS)
        delay = chance.uniform(0, 2)
        began = time.monotonic()
        server = cloud.compute.create_server(
            name=f"soak{n}", image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": network.id}]
        )
        time.sleep(delay)
        kill(state, victim)
        cloud.compute.wait_for_server(server, wait=180)
        took = time.monotonic() - began
        if REAL and guests() != 1:
            raise SystemExit(f"round {n}: {guests()} guests for one server")
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, wait=180)
        if REAL and guests():
            raise SystemExit(f"round {n}: {guests()} guests are left")
        print(f"{n:4}  {victim:<15} killed after {delay:.1f} s, ACTIVE after {took:5.1f} s", flush=True)


if __name__ == "__main__":
    main()
