"""What CloudPanel changes on this machine, step by step; `python -m cloudpanel.platform.host STEP`.

Each step may be repeated. What a step finds before it changes something is written to var/host.json first, so
that `make clean` can put it back. A step that cannot do its work ends with 1 and one line that says why.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from cloudpanel import config
from cloudpanel.platform import engines

MEMORY = config.STATE / "host.json"
BIG_FILES = Path("/var/lib/cloudpanel")  # where disks lie if QEMU's user cannot reach the state directory
BRIDGE = "br-ex"
MAPPING = f"physnet1:{BRIDGE}"
TABLE = "cloudpanel"
MARK = "cloudpanel"  # key in external_ids of what is ours in Open vSwitch
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")

# dynamic_ownership off: libvirt would give the shared base images to the user that guests run as, for good.
QEMU_CONF = """\
user = "libvirt-qemu"
group = "kvm"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
max_queued = 0
"""

LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_ro_perms = "0770"
unix_sock_rw_perms = "0770"
host_uuid = "{uuid}"
log_outputs = "3:stderr"
"""

NFT_TABLE = """\
table ip {table}
delete table ip {table}
table ip {table} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        ip saddr {network} ip daddr != {network} oifname != "{bridge}" masquerade
    }}
}}
"""


def run(*argv: object, input: str = "", check: bool = True) -> str:
    """What the command printed; CalledProcessError with its complaint if it failed and `check`."""
    done = subprocess.run(
        [str(a) for a in argv], input=input, text=True, capture_output=True, timeout=60, check=check
    )
    return done.stdout.strip()


def recall() -> dict:
    """What was remembered about the machine as it was before."""
    try:
        return json.loads(MEMORY.read_text())
    except FileNotFoundError:
        return {}


@contextlib.contextmanager
def memory():
    """The dictionary of `recall`, written back after the block; steps run at the same time take turns."""
    MEMORY.parent.mkdir(parents=True, exist_ok=True)
    with open(MEMORY.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = recall()
        yield known
        draft = MEMORY.with_suffix(".new")
        draft.write_text(json.dumps(known, indent=1))
        draft.replace(MEMORY)


def storage() -> None:
    """The state directory exists, and the user that guests run as reaches images and disks."""
    private = (config.RUN, config.SECRETS, config.STATE / "log", engines.ETC)
    for path, mode in ((config.STATE, 0o755), *((path, 0o700) for path in private)):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    if not config.DATABASE:  # SQLite gives its other files the mode of this one
        records = config.STATE / "cloudpanel.sqlite3"
        records.touch()
        records.chmod(0o600)
    reachable = all(parent.stat().st_mode & 0o001 for parent in (config.STATE, *config.STATE.parents))
    for name in ("images", "instances"):
        path = config.STATE / name
        if config.COMPUTE != "libvirt" or reachable or path.is_symlink():
            path.mkdir(exist_ok=True)
            continue
        elsewhere = BIG_FILES / name
        elsewhere.mkdir(parents=True, exist_ok=True)
        if path.exists():
            shutil.copytree(path, elsewhere, dirs_exist_ok=True)
            shutil.rmtree(path)
        path.symlink_to(elsewhere)


def libvirt() -> None:
    """The files that a libvirtd of ours is configured by; /etc/libvirt stays as it is."""
    with memory() as known:
        host = known.setdefault("host_uuid", str(uuid.uuid4()))
    (engines.ETC / "qemu.conf").write_text(QEMU_CONF)
    (engines.ETC / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=host))
    engines.NO_KVM.touch(mode=0o600)


def hypervisor() -> None:
    """libvirt can really run guests of the configured kind. (The first answer takes seconds: it asks QEMU.)"""
    run("virsh", "-q", "-c", config.LIBVIRT_URI, "domcapabilities", "--virttype", config.VIRT_TYPE)


def switch_database() -> None:
    _database(engines.OVS_DATABASE, Path("/usr/share/openvswitch/vswitch.ovsschema"), "/run/openvswitch")


def northbound_database() -> None:
    _database(engines.NB_DATABASE, Path("/usr/share/ovn/ovn-nb.ovsschema"), "/run/ovn")


def southbound_database() -> None:
    _database(engines.SB_DATABASE, Path("/usr/share/ovn/ovn-sb.ovsschema"), "/run/ovn")


def _database(file: Path, schema: Path, sockets: str) -> None:
    """The database exists in the installed version's schema, and so does the directory of its sockets."""
    Path(sockets).mkdir(exist_ok=True)
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        with memory() as known:
            known["databases"] = sorted({*known.get("databases", []), str(file)})
        run("ovsdb-tool", "create", file, schema)
    elif run("ovsdb-tool", "needs-conversion", file, schema) == "yes":
        shutil.copy2(file, f"{file}.before-conversion")
        run("ovsdb-tool", "convert", file, schema)


def network() -> None:
    """This host is an OVN chassis, and br-ex is the public network's way out: addressed, routed, masqueraded."""
    netdev = not kernel_datapath()
    ids = external_ids()
    wanted = {
        "system-id": config.HOST,
        "ovn-remote": config.OVN_SB,
        "ovn-encap-type": ids.get("ovn-encap-type", "geneve"),
        "ovn-encap-ip": ids.get("ovn-encap-ip", "127.0.0.1"),
        "ovn-bridge-mappings": MAPPING,
        MARK: "host",
    }
    if netdev:
        wanted["ovn-bridge-datapath-type"] = "netdev"
    if MARK not in ids:
        with memory() as known:
            known["external_ids"] = {key: ids.get(key) for key in wanted}
            known["bridges"] = [b for b in ("br-int", BRIDGE) if b not in vsctl("list-br").split()]
    vsctl("set", "Open_vSwitch", ".", *(f'external_ids:{key}="{value}"' for key, value in wanted.items()))
    datapath = [f"datapath_type={'netdev' if netdev else 'system'}"]
    vsctl(
        "--may-exist",
        "add-br",
        BRIDGE,
        "--",
        "set",
        "bridge",
        BRIDGE,
        *datapath,
        f"external_ids:{MARK}=public",
    )

    address = ipaddress.ip_interface(config.PUBLIC_CIDR)
    with memory() as known:
        if known.get("address", str(address)) != str(address):
            run("ip", "address", "delete", known["address"], "dev", BRIDGE, check=False)
        known["address"] = str(address)
        known.setdefault("ip_forward", IP_FORWARD.read_text().strip())
    run("ip", "address", "replace", address, "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    IP_FORWARD.write_text("1")
    run("nft", "-f", "-", input=NFT_TABLE.format(table=TABLE, network=address.network, bridge=BRIDGE))


def kernel_datapath() -> bool:
    """Does this kernel switch packets itself? Else Open vSwitch does it in user space."""
    subprocess.run(["modprobe", "-q", "openvswitch"], capture_output=True, check=False)
    return Path("/sys/module/openvswitch").exists()


def vsctl(*argv: str) -> str:
    return run("ovs-vsctl", "--timeout=20", *argv)


def external_ids() -> dict[str, str]:
    """The keys that Open vSwitch's own row has, system-id, ovn-remote and so on."""
    row = json.loads(vsctl("--format=json", "--columns=external_ids", "list", "Open_vSwitch"))
    return dict(row["data"][0][0][1])


STEPS = {
    "storage": storage,
    "libvirt": libvirt,
    "hypervisor": hypervisor,
    "switch-database": switch_database,
    "ovn-nb-database": northbound_database,
    "ovn-sb-database": southbound_database,
    "network": network,
}


def main(step: str) -> int:
    os.umask(0o022)
    try:
        STEPS[step]()
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(error.cmd[:3])} ...: {error.stderr.strip()}")
    except (OSError, subprocess.TimeoutExpired) as error:
        print(error)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
