"""Plugs of guests in Open vSwitch, and the removal of those that a crash left behind.

libvirt plugs and unplugs by itself; its plug names the domain in `external_ids:vm-id`. After a crash a
plug can outlive its domain. A dead plug that names the same logical port as a live one makes
ovn-controller take the port down, so dead plugs go before a guest starts.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from apps.core.errors import DriverError

BRIDGE = "br-int"


@dataclass(frozen=True)
class Plug:
    interface: str  # uuid of its Interface row
    name: str
    guest: str  # uuid of the domain
    logical_port: str


def plugs(ovs_db: str) -> list[Plug]:
    """Every plug of a libvirt guest, live or dead."""
    rows = _table(ovs_db, "Interface", "_uuid", "name", "external_ids")
    return [
        Plug(row["_uuid"][1], row["name"], ids["vm-id"], ids.get("iface-id", ""))
        for row in rows
        if "vm-id" in (ids := dict(row["external_ids"][1]))
    ]


def unplug(ovs_db: str, dead: list[Plug]) -> None:
    """The plugs are gone; ports that other plugs hold as well are up again."""
    if not dead:
        return
    ports = {
        row["interfaces"][1]: row["_uuid"][1]
        for row in _table(ovs_db, "Port", "_uuid", "interfaces")
        if row["interfaces"][0] == "uuid"
    }
    # By row, not by name: libvirt gives the names of gone taps to new guests.
    for plug in dead:
        _vsctl(ovs_db, "--if-exists", "remove", "Interface", plug.interface, "external_ids", "iface-id")
    held = {plug.logical_port for plug in plugs(ovs_db)}
    shared = any(plug.logical_port in held for plug in dead)
    if shared:
        _recompute(ovs_db)
    gone = [ports[plug.interface] for plug in dead if plug.interface in ports]
    if gone:
        _vsctl(ovs_db, "--if-exists", "remove", "Bridge", BRIDGE, "ports", *gone)
    if shared:
        _recompute(ovs_db)


def userspace_datapath(ovs_db: str) -> bool:
    """Does this host's integration bridge run in ovs-vswitchd (no kernel module)?"""
    key = "external_ids:ovn-bridge-datapath-type"
    return "netdev" in _vsctl(ovs_db, "--if-exists", "get", "Open_vSwitch", ".", key)


def _table(ovs_db: str, table: str, *columns: str) -> list[dict]:
    listed = json.loads(_vsctl(ovs_db, "--format=json", f"--columns={','.join(columns)}", "list", table))
    return [dict(zip(listed["headings"], row, strict=True)) for row in listed["data"]]


def _vsctl(ovs_db: str, *command: str) -> str:
    # --no-wait: ovs-vswitchd may hang; what counts is the database.
    return _run("ovs-vsctl", f"--db={ovs_db}", "--timeout=5", "--no-wait", *command)


def _recompute(ovs_db: str) -> None:
    """ovn-controller binds every port anew; it has its control socket beside the switch's directory."""
    run = Path(ovs_db.removeprefix("unix:")).parent.parent / "ovn"
    for control in run.glob("ovn-controller.*.ctl"):
        _run("ovn-appctl", "--timeout=5", "-t", str(control), "inc-engine/recompute")


def _run(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DriverError(f"Open vSwitch cannot be asked: {error}") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"{argv[0]} ended with {done.returncode}"]
        raise DriverError(f"Open vSwitch does not answer: {reason[0][-300:]}")
    return done.stdout
