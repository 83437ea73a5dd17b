"""Can this machine run the configured cloud? Each thing that is missing is one line with its remedy; then exit 1.

Runs before anything is installed, on the system's Python: the standard library only, and no program that may
not be there. What is not installed yet cannot be in the way.
"""

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cloudpanel import config
from cloudpanel.platform.lock import supervisor_pid

FIRST_GIB, LATER_GIB = 5, 1  # free disk space before and after everything is installed
SOCKET_PATH = 100  # bytes; the kernel allows 107
KVM = Path("/dev/kvm")
ROUTES = Path("/proc/net/route")


def problems() -> Iterator[str]:
    if sys.version_info < (3, 11):  # noqa: UP036 - that is what is found out here
        yield f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old: CloudPanel needs 3.11, Debian 12's."
    yield from _state()
    yield from _listen()
    if config.COMPUTE not in ("libvirt", "fake"):
        yield f"CLOUDPANEL_COMPUTE is {config.COMPUTE!r}: it can be libvirt or fake."
    if config.NETWORK not in ("ovn", "fake"):
        yield f"CLOUDPANEL_NETWORK is {config.NETWORK!r}: it can be ovn or fake."
    if config.COMPUTE == "libvirt":
        yield from _hypervisor()
    if config.NETWORK == "ovn":
        yield from _network()


def _state() -> Iterator[str]:
    parent = next(p for p in (config.STATE, *config.STATE.parents) if p.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        yield f"{parent} cannot be written by this user: set CLOUDPANEL_STATE to a directory that can."
    if len(str(config.RUN / "redis.sock")) > SOCKET_PATH:
        yield f"{config.STATE} is too long a path for sockets: set CLOUDPANEL_STATE to a shorter one."
    installed = (config.ROOT / ".venv/requirements.txt.stamp").exists()
    needed = LATER_GIB if installed else FIRST_GIB
    free = shutil.disk_usage(parent).free / 2**30
    if free < needed:
        yield f"{free:.1f} GiB are free at {parent}, {needed} are needed: make room or set CLOUDPANEL_STATE."


def _listen() -> Iterator[str]:
    host, _, port = config.LISTEN.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        yield f"CLOUDPANEL_LISTEN is {config.LISTEN!r}: it must be ADDRESS:PORT, such as 127.0.0.1:8000."
        return
    host = host.strip("[]") or "127.0.0.1"
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with probe:
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            yield (
                f"The portal cannot listen on {config.LISTEN} ({error.strerror}): stop what does, "
                f"or set CLOUDPANEL_LISTEN, for example to 127.0.0.1:{int(port) + 1}."
            )


def _hypervisor() -> Iterator[str]:
    if config.VIRT_TYPE not in ("qemu", "kvm"):
        yield f"CLOUDPANEL_VIRT_TYPE is {config.VIRT_TYPE!r}: it can be qemu or kvm."
    if config.VIRT_TYPE == "kvm" and not KVM.exists():
        yield "CLOUDPANEL_VIRT_TYPE is kvm, but there is no /dev/kvm: load the kvm module or use qemu."
    elif config.VIRT_TYPE == "kvm" and not KVM.stat().st_mode & 0o020:
        yield "QEMU's user cannot open /dev/kvm: chgrp kvm /dev/kvm && chmod 660 /dev/kvm"


def _network() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "Network and hypervisor need root: run this with sudo, or set CLOUDPANEL_COMPUTE=fake."
        return
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        yield f"/dev/net/tun cannot be opened ({error.strerror}), and guests need it: modprobe tun"
    try:
        public = ipaddress.ip_interface(config.PUBLIC_CIDR)
    except ValueError as error:
        yield f"CLOUDPANEL_PUBLIC_CIDR is {config.PUBLIC_CIDR!r} ({error}): give an address and its prefix length."
    else:
        yield from _routes(public)
    yield from _foreign_open_vswitch()
    yield from _foreign_ovn()


def _routes(public: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> Iterator[str]:
    if public.version != 4 or public.network.prefixlen > 28 or public.ip == public.network.network_address:
        yield f"CLOUDPANEL_PUBLIC_CIDR is {public}: it must be an IPv4 address of the host in a range of 16 or more."
        return
    for line in ROUTES.read_text().splitlines()[1:]:
        device, destination, *_, mask, _, _, _ = line.split()
        # Little-endian hexadecimal numbers, as the kernel has them.
        address, netmask = (socket.inet_ntoa(bytes.fromhex(x)[::-1]) for x in (destination, mask))
        route = ipaddress.ip_network(f"{address}/{netmask}")
        if route.prefixlen and device != "br-ex" and route.overlaps(public.network):
            yield (
                f"CLOUDPANEL_PUBLIC_CIDR {public} overlaps the route {route} of {device}: set it to a range that "
                "is free here, for example 10.224.4.1/24."
            )


def _foreign_open_vswitch() -> Iterator[str]:
    rows = _select("/run/openvswitch/db.sock", "/var/lib/openvswitch/conf.db", "Open_vSwitch", "Open_vSwitch")
    for ids in rows:
        mapping = ids.get("ovn-bridge-mappings")
        if mapping and "cloudpanel" not in ids:
            yield (
                f"Open vSwitch has the bridge mapping {mapping!r}, which CloudPanel did not make: if nothing needs it, "
                "ovs-vsctl remove Open_vSwitch . external_ids ovn-bridge-mappings"
            )


def _foreign_ovn() -> Iterator[str]:
    socket_path, file = "/run/ovn/ovnnb_db.sock", "/var/lib/ovn/ovnnb_db.db"
    for table in ("Logical_Switch", "Logical_Router"):
        foreign = sum("cloudpanel" not in ids for ids in _select(socket_path, file, "OVN_Northbound", table))
        if foreign:
            yield (
                f"The OVN northbound database has {foreign} row(s) in {table} that are not CloudPanel's: use a machine "
                f"whose OVN nobody else uses, or remove them (ovn-nbctl list {table})."
            )


def _select(server: str, file: str, database: str, table: str) -> list[dict[str, str]]:
    """The external_ids of each row, from the running server or, without one, from its file."""
    operation = json.dumps(
        [database, {"op": "select", "table": table, "where": [], "columns": ["external_ids"]}]
    )
    if not shutil.which("ovsdb-client", path="/usr/bin:/bin"):
        return []
    asked = ["ovsdb-client", "--timeout=5", "transact", f"unix:{server}", operation]
    if not _answers(server):
        if not Path(file).exists():
            return []
        asked = ["ovsdb-tool", "query", file, operation]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        return []
    return [dict(row["external_ids"][1]) for row in json.loads(done.stdout)[0].get("rows", [])]


def _answers(server: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(server) == 0


def main() -> int:
    if supervisor_pid():
        return 0  # it has done all this, and says what is to be said
    found = list(problems())
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
