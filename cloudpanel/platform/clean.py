"""`make clean`: the machine is as it was before the first `make run`; installed packages and download caches stay.

Only what carries our mark is touched: guests whose metadata has our namespace, OVN rows and Open vSwitch ports
with our external_ids, our network namespaces, bridges and firewall table, our files.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

from cloudpanel import config
from cloudpanel.platform import engines, host
from cloudpanel.platform.checks import ended_well
from cloudpanel.platform.host import run, vsctl
from cloudpanel.platform.lock import become_the_supervisor, stop_supervisor
from cloudpanel.platform.supervisor import CannotStart, Supervisor

GUEST_MARK = "{urn:cloudpanel}"  # namespace of our element in a domain's metadata
NAMESPACE_PREFIX = "cloudpanel-"  # network namespaces of the metadata service
OVN_TABLES = (
    "Logical_Router",
    "Logical_Switch",
    "Port_Group",
    "Address_Set",
    "Load_Balancer",
    "DHCP_Options",
    "DNS",
)
MADE_HERE = (".venv", "node_modules", "static/vendor")  # in the project's directory, none of it in git
STATE_FILES = (
    "cloudpanel.sqlite3*", "clouds.yaml", "etc", "host.*", "images", "instances", "log", "openrc-*.sh", "run",
    "secrets", "static", "static.stamp",
)  # fmt: skip


def clean() -> int:
    os.chdir(config.ROOT)
    if os.environ.get("YES") != "1" and not _confirmed():
        print("Nothing is removed.")
        return 1
    if not stop_supervisor():
        print(f"The supervisor does not end: nothing is removed. See {config.STATE}/log.")
        return 1
    if config.COMPUTE != "fake" and _were_here():
        host.storage()
        if not become_the_supervisor():
            print("CloudPanel has just been started again: nothing is removed.")
            return 1
        try:
            asyncio.run(
                Supervisor(_table(), say=lambda line: None, show=lambda name, line: print(line)).run()
            )
        except CannotStart as error:
            print(f"Guests and networks cannot be removed: {error}")
            return 1
        _remove_databases()
    _remove_files()
    print("CloudPanel is removed from this machine.")
    return 0


def _confirmed() -> bool:
    name = socket.gethostname()
    print(f"This removes CloudPanel from {name}: all its guests, disks, images, networks, users and keys.")
    if config.DATABASE:
        print("(The database that CLOUDPANEL_DATABASE names stays; drop it yourself.)")
    try:
        return input("Type this machine's name to go on: ").strip() == name
    except EOFError:
        return False


def _were_here() -> bool:
    """Have hypervisor or network ever been touched by us? Not without our programs, nor without their records."""
    installed = shutil.which("ovs-vsctl") and shutil.which("virsh")
    records = (host.MEMORY, engines.NB_DATABASE)
    return bool(installed) and any(path.exists() for path in records)


def _table() -> list[engines.Process]:
    """The engines, without the one that would make br-int anew, and then the removal as the last step."""
    used = [p for p in engines.engines() if p.name not in ("redis", "ovn-controller")]
    # Nothing is configured now that is about to be taken back.
    used = [replace(p, settle=()) if p.name in ("ovs-vswitchd", "libvirtd") else p for p in used]
    step = engines.Process(
        "clean",
        (sys.executable, "-m", "cloudpanel.platform.clean"),
        ended_well,
        needs=tuple(p.name for p in used),
        once=True,
        patience=300,
        ours=True,
    )
    return [*used, step]


def remove() -> None:
    """With the engines running: everything of ours in them is gone."""
    known = host.recall()
    if config.COMPUTE == "libvirt":
        _remove_guests()
    if config.NETWORK == "ovn":
        _remove_networks()
        _restore_switch(known)
        if known.get("ip_forward") == "0":
            host.IP_FORWARD.write_text("0")
        run("nft", "delete", "table", "ip", host.TABLE, check=False)


def _remove_guests() -> None:
    def virsh(*argv: str, check: bool = True) -> str:
        return run("virsh", "-q", "-c", config.LIBVIRT_URI, *argv, check=check)

    for uuid in virsh("list", "--all", "--uuid").split():
        domain = ET.fromstring(virsh("dumpxml", uuid))  # noqa: S314 - from our own libvirtd
        metadata = domain.find("metadata")
        if metadata is None or not any(child.tag.startswith(GUEST_MARK) for child in metadata):
            continue
        name = domain.findtext("name")
        print(f"guest {name}", flush=True)
        virsh("destroy", uuid, check=False)
        virsh("undefine", uuid, "--managed-save", "--snapshots-metadata", "--nvram")
        Path(f"/var/log/libvirt/qemu/{name}.log").unlink(missing_ok=True)


def _remove_networks() -> None:
    for name in (line.split()[0] for line in run("ip", "netns", "list", check=False).splitlines()):
        if name.startswith(NAMESPACE_PREFIX):
            run("ip", "netns", "delete", name)
    nbctl = ("ovn-nbctl", f"--db={config.OVN_NB}", "--timeout=30")
    for table in OVN_TABLES:
        listed = json.loads(run(*nbctl, "--format=json", "--columns=_uuid,external_ids", "list", table))
        ours = [row[0][1] for row in listed["data"] if host.MARK in dict(row[1][1])]
        if ours:
            print(f"{len(ours)} rows of {table}", flush=True)
            run(*nbctl, "destroy", table, *ours)
        if len(ours) < len(listed["data"]):
            print(
                f"{len(listed['data']) - len(ours)} rows of {table} are not CloudPanel's and stay", flush=True
            )
            with host.memory() as known:
                known["databases"] = []


def _restore_switch(known: dict) -> None:
    listed = json.loads(vsctl("--format=json", "--columns=name,external_ids", "list", "Interface"))
    for name, ids in listed["data"]:
        if any(key.startswith("cloudpanel-") for key in dict(ids[1])):
            vsctl("--if-exists", "del-port", name)
    for key, value in known.get("external_ids", {}).items():
        if value is None:
            vsctl("remove", "Open_vSwitch", ".", "external_ids", key)
        else:
            vsctl("set", "Open_vSwitch", ".", f'external_ids:{key}="{value}"')
    for bridge in known.get("bridges", []):
        vsctl("--if-exists", "del-br", bridge)
    chassis = known.get("external_ids", {}).get("system-id")
    if chassis != config.HOST:
        run("ovn-sbctl", f"--db={config.OVN_SB}", "--timeout=10", "--if-exists", "chassis-del", config.HOST)


def _remove_databases() -> None:
    """The databases that we created, if nobody else has rows in them and no daemon of theirs has them open."""
    for name, control in (
        (engines.OVS_DATABASE, "/run/openvswitch/db.sock"),
        (engines.NB_DATABASE, "/run/ovn/ovnnb_db.sock"),
        (engines.SB_DATABASE, "/run/ovn/ovnsb_db.sock"),
    ):
        with socket.socket(socket.AF_UNIX) as probe:
            in_use = probe.connect_ex(control) == 0
        if str(name) in host.recall().get("databases", []) and not in_use:
            name.unlink(missing_ok=True)
            name.with_name(f".{name.name}.~lock~").unlink(missing_ok=True)
            if name == engines.NB_DATABASE:
                Path(config.OVN_LOG).unlink(missing_ok=True)


def _remove_files() -> None:
    if config.STATE == config.ROOT / "var":
        doomed = [config.STATE]
    else:  # somebody else's directory perhaps
        doomed = [path for pattern in STATE_FILES for path in config.STATE.glob(pattern)]
    doomed += [config.ROOT / name for name in MADE_HERE]
    if (config.STATE / "images").is_symlink():
        doomed.append(host.BIG_FILES)
    for path in doomed:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        remove()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd[:4])} ...: {error.stderr.strip()}")
