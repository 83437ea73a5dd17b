"""Every CLOUDPANEL_* setting, read once from the environment; docs/settings.md is made from this table."""

import os
import socket
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Setting:
    """One environment variable: its default, what it does, in one line."""

    table: list["Setting"] = []

    def __init__(self, name: str, default: str, meaning: str):
        self.name, self.default, self.meaning = name, default, meaning
        self.table.append(self)

    def __str__(self) -> str:
        return os.environ.get(self.name, "") or self.default

    def __int__(self) -> int:
        return int(str(self))

    def __bool__(self) -> bool:
        return str(self).lower() in ("1", "true", "yes", "on")


def _path(value: object) -> Path:
    return Path(str(value)).expanduser().resolve()


STATE = _path(
    Setting("CLOUDPANEL_STATE", str(ROOT / "var"), "Directory of everything that CloudPanel keeps.")
)
RUN = STATE / "run"
SECRETS = STATE / "secrets"
LISTEN = str(Setting("CLOUDPANEL_LISTEN", "127.0.0.1:8000", "Address and port of portal and APIs."))
DATABASE = str(
    Setting(
        "CLOUDPANEL_DATABASE",
        "",
        "postgresql://user:password@host/name; empty: SQLite in the state directory.",
    )
)
REDIS = str(
    Setting("CLOUDPANEL_REDIS", f"unix://{RUN}/redis.sock", "Redis: queue, cache and websocket groups.")
)
HOST = str(
    Setting("CLOUDPANEL_HOST", socket.gethostname(), "This hypervisor's name; also its OVN chassis name.")
)
COMPUTE = str(Setting("CLOUDPANEL_COMPUTE", "libvirt", "Hypervisor driver: libvirt or fake."))
NETWORK = str(
    Setting(
        "CLOUDPANEL_NETWORK",
        "fake" if COMPUTE == "fake" else "ovn",
        "Network driver: ovn or fake; fake by default where the hypervisor is.",
    )
)
VIRT_TYPE = str(
    Setting(
        "CLOUDPANEL_VIRT_TYPE",
        "qemu",
        "qemu (software emulation) or kvm; kvm only where a guest really boots with it.",
    )
)
LIBVIRT_URI = str(Setting("CLOUDPANEL_LIBVIRT_URI", "qemu:///system", "Connection to the hypervisor daemon."))
OVN_NB = str(Setting("CLOUDPANEL_OVN_NB", "unix:/run/ovn/ovnnb_db.sock", "OVN northbound database."))
OVN_SB = str(Setting("CLOUDPANEL_OVN_SB", "unix:/run/ovn/ovnsb_db.sock", "OVN southbound database."))
OVS_DB = str(
    Setting("CLOUDPANEL_OVS_DB", "unix:/run/openvswitch/db.sock", "Open vSwitch database of this host.")
)
OVN_LOG = str(
    Setting(
        "CLOUDPANEL_OVN_LOG",
        "/var/log/ovn/ovn-controller.log",
        "Log of ovn-controller, which tells of DHCP leases.",
    )
)
PUBLIC_CIDR = str(
    Setting(
        "CLOUDPANEL_PUBLIC_CIDR",
        "172.24.4.1/24",
        "Address of br-ex and the range of floating IPs; must overlap no route.",
    )
)
DNS = str(
    Setting(
        "CLOUDPANEL_DNS",
        "",
        "Resolvers for guests, comma separated; empty: this machine's, without loopback ones.",
    )
)
REGION = str(Setting("CLOUDPANEL_REGION", "RegionOne", "Region name in the catalogue."))
WEB_WORKERS = int(Setting("CLOUDPANEL_WEB_WORKERS", "2", "Web processes."))
WORKER_THREADS = int(Setting("CLOUDPANEL_WORKER_THREADS", "8", "Reconcilers at work at once in one worker."))
EVENTS_DAYS = int(Setting("CLOUDPANEL_EVENTS_DAYS", "400", "Days that audit events are kept."))
TOKEN_HOURS = int(Setting("CLOUDPANEL_TOKEN_HOURS", "12", "Hours until an API token ends."))
CPU_RATIO = int(Setting("CLOUDPANEL_CPU_RATIO", "16", "Virtual CPUs promised for each real one."))
DEBUG = bool(Setting("CLOUDPANEL_DEBUG", "0", "Django's debug pages; never in production."))
ALLOWED_HOSTS = str(
    Setting("CLOUDPANEL_ALLOWED_HOSTS", "*", "Host names that the portal answers to, comma separated.")
)
