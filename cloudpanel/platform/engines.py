"""The processes of a running cloud, as one table: supervisor and systemd units are made from it."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cloudpanel import config
from cloudpanel.platform.checks import (
    Check,
    all_of,
    ended_well,
    listens,
    portal_answers,
    redis_answers,
    succeeds,
    wrote_pid,
)

ETC = config.STATE / "etc"
NO_KVM = ETC / "no-kvm"  # an empty file, open to root alone
OVS_DATABASE = Path("/var/lib/openvswitch/conf.db")
NB_DATABASE = Path("/var/lib/ovn/ovnnb_db.db")
SB_DATABASE = Path("/var/lib/ovn/ovnsb_db.db")
CACHE = Path("~/.cache/cloudpanel").expanduser()  # downloads, kept by `make clean`
GUEST_IMAGE = config.STATE / "images/demo/demo.qcow2"
GUEST_BUILD = (
    "env",
    f"CACHE={CACHE}/debs",
    str(config.ROOT / "apps/images/guest/build.sh"),
    str(GUEST_IMAGE.parent),
)


@dataclass(frozen=True)
class Process:
    """One line of the table. Commands are argument lists, run in the project's directory."""

    name: str
    argv: tuple[str, ...]
    ready: Check
    needs: tuple[str, ...] = ()  # what must be ready before
    once: bool = False  # a step: runs to its end, is ready then, is not started again
    prepare: tuple[str, ...] = ()  # run before each start
    settle: tuple[str, ...] = ()  # run after each start, once ready
    elsewhere: Check | None = None  # is there one that we did not start? It is used as it is then
    stop: tuple[str, ...] = ()  # asks it to end in a better way than TERM does
    patience: float = 60  # s until it must be ready
    ours: bool = False  # CloudPanel's own code: its log is shown by `make run`, it is a systemd unit
    listens: bool = False  # gets the portal's listening socket


def _python(module: str, *args: object) -> tuple[str, ...]:
    return (sys.executable, "-m", f"cloudpanel.platform.{module}", *map(str, args))


def _celery(*args: object) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-q", "-A", "cloudpanel.celery", *map(str, args))


def table() -> list[Process]:
    """Every process of the configured cloud, each after what it needs."""
    used = engines()
    return used + _own(needs=tuple(p.name for p in used))


def engines() -> list[Process]:
    """Queue, hypervisor and network.

    An engine whose address is not the default one belongs to somebody else, perhaps on another machine:
    it is neither started nor in the table.
    """
    used = []
    if f"unix://{config.RUN}/redis.sock" == config.REDIS:
        used += [_redis()]
    if config.COMPUTE == "libvirt" and config.LIBVIRT_URI == "qemu:///system":
        used += [_libvirtd()]
    if config.NETWORK == "ovn" and config.OVS_DB == "unix:/run/openvswitch/db.sock":
        network = _open_vswitch()
        if config.OVN_NB == "unix:/run/ovn/ovnnb_db.sock":
            network += _ovn_central()
        used += [*network, _ovn_controller(needs=tuple(p.name for p in network))]
    return used


def _redis() -> Process:
    return Process(
        "redis",
        # Nothing in it must outlast it: no file, no TCP port.
        ("redis-server", "--port", "0", "--unixsocket", f"{config.RUN}/redis.sock", "--unixsocketperm", "700",
         "--save", "", "--appendonly", "no", "--dir", str(config.RUN), "--daemonize", "no"),
        ready=redis_answers,
        prepare=_python("host", "storage"),
    )  # fmt: skip


def _libvirtd() -> Process:
    files = [f"{ETC}/qemu.conf=/etc/libvirt/qemu.conf"]
    if config.VIRT_TYPE == "qemu" and Path("/dev/kvm").exists():
        # QEMU is asked for its abilities with rights that it later lacks. Where only root can open /dev/kvm, libvirt
        # finds "KVM was enabled when probing, but is not available now" and asks again before each start of a
        # guest, for seconds. A file that neither can use as KVM gives both times the same answer.
        files.append(f"{NO_KVM}=/dev/kvm")
    return Process(
        "libvirtd",
        _python("bound", *files,
                "libvirtd", "-f", ETC / "libvirtd.conf", "-p", "/run/libvirtd.pid"),
        ready=succeeds("virsh", "-q", "-c", config.LIBVIRT_URI, "version"),
        elsewhere=listens("/run/libvirt/libvirt-sock"),
        prepare=_python("host", "libvirt"),
        settle=_python("host", "hypervisor"),
    )  # fmt: skip


# Debian's own start scripts detach the daemons, and a detached daemon's death is noticed by nobody: so they
# are run here with the options that the scripts give them, in the foreground.
LOG = ("-vconsole:info", "-vsyslog:off", "-vfile:off")


def _open_vswitch() -> list[Process]:
    return [
        Process(
            "ovsdb-server",
            ("ovsdb-server", str(OVS_DATABASE), "--remote=punix:/run/openvswitch/db.sock",
             "--remote=db:Open_vSwitch,Open_vSwitch,manager_options", "--pidfile", *LOG),
            ready=succeeds("ovs-vsctl", "--timeout=5", "--no-wait", "list-br"),
            elsewhere=succeeds("ovs-appctl", "--timeout=2", "-t", "ovsdb-server", "version"),
            prepare=_python("host", "switch-database"),
            settle=("ovs-vsctl", "--timeout=10", "--no-wait", "init"),
        ),
        Process(
            "ovs-vswitchd",
            ("ovs-vswitchd", "unix:/run/openvswitch/db.sock", "--pidfile", *LOG),
            ready=succeeds("ovs-appctl", "--timeout=5", "-t", "ovs-vswitchd", "version"),
            needs=("ovsdb-server",),
            elsewhere=succeeds("ovs-appctl", "--timeout=2", "-t", "ovs-vswitchd", "version"),
            settle=_python("host", "network"),
        ),
    ]  # fmt: skip


def _ovn_central() -> list[Process]:
    def database(name: str, file: Path, schema: str, settle: tuple[str, ...]) -> Process:
        control = f"/run/ovn/{file.stem}.ctl"
        return Process(
            name,
            ("ovsdb-server", str(file), f"--remote=punix:/run/ovn/{file.stem}.sock",
             f"--remote=db:{schema},connections", f"--unixctl={control}",
             f"--pidfile=/run/ovn/{file.stem}.pid", *LOG),
            ready=succeeds("ovs-appctl", "--timeout=5", "-t", control, "version"),
            elsewhere=succeeds("ovs-appctl", "--timeout=2", "-t", control, "version"),
            prepare=_python("host", f"{name}-database"),
            settle=settle,
        )  # fmt: skip

    return [
        database("ovn-nb", NB_DATABASE, "OVN_Northbound,NB_Global", ("ovn-nbctl", "--timeout=10", "init")),
        database("ovn-sb", SB_DATABASE, "OVN_Southbound,SB_Global", ("ovn-sbctl", "--timeout=10", "init")),
        Process(
            "ovn-northd",
            ("ovn-northd", f"--ovnnb-db={config.OVN_NB}", f"--ovnsb-db={config.OVN_SB}",
             "--pidfile=/run/ovn/ovn-northd.pid", *LOG),
            ready=succeeds("ovn-appctl", "--timeout=5", "-t", "ovn-northd", "status", says="active"),
            needs=("ovn-nb", "ovn-sb"),
            elsewhere=succeeds("ovn-appctl", "--timeout=2", "-t", "ovn-northd", "version"),
        ),
    ]  # fmt: skip


def _ovn_controller(needs: tuple[str, ...]) -> Process:
    connected = succeeds(
        "ovn-appctl", "--timeout=5", "-t", "ovn-controller", "connection-status", says="connected"
    )
    # All of OVN in one question: northbound, northd, southbound and this host have agreed.
    agreed = succeeds("ovn-nbctl", f"--db={config.OVN_NB}", "--timeout=5", "--wait=hv", "sync")
    return Process(
        "ovn-controller",
        # The host agent learns of DHCP leases from its log file.
        ("ovn-controller", "unix:/run/openvswitch/db.sock", "--pidfile=/run/ovn/ovn-controller.pid",
         f"--log-file={config.OVN_LOG}", "-vfile:info", "-vconsole:off", "-vsyslog:off"),
        ready=all_of(connected, agreed),
        needs=needs,
        elsewhere=succeeds("ovn-appctl", "--timeout=2", "-t", "ovn-controller", "version"),
        # TERM would take back its chassis and its flows: guests would lose their network.
        stop=("ovn-appctl", "--timeout=5", "-t", "ovn-controller", "exit", "--restart"),
    )  # fmt: skip


def _own(needs: tuple[str, ...]) -> list[Process]:
    redis = tuple(name for name in needs if name == "redis")
    image = Process(
        "demo-image",
        GUEST_BUILD,
        ended_well,
        once=True,
        patience=600,
        ours=True,
    )
    images = [image] if not GUEST_IMAGE.exists() and can_build_guest() else []
    records = Process(
        "records",
        _python("records"),
        ended_well,
        needs=(*redis, *(p.name for p in images)),
        once=True,
        patience=300,
        ours=True,
    )
    needs = (*needs, "records")
    web = [
        Process(
            f"web{n}",
            _python("web", f"web{n}"),
            ready=all_of(wrote_pid(f"web{n}"), portal_answers),
            needs=(*redis, "records"),
            ours=True,
            listens=True,
        )
        for n in range(1, config.WEB_WORKERS + 1)
    ]
    return [
        *images,
        records,
        *web,
        Process(
            "worker",
            _celery("worker", "-Q", f"central,host.{config.HOST}", "-n", f"worker@{config.HOST}",
                    "--without-gossip", "--without-mingle", "--without-heartbeat"),
            ready=wrote_pid("worker"),
            needs=needs,
            ours=True,
        ),
        Process(
            "beat",
            _celery("beat", "-s", config.RUN / "beat-schedule", "--pidfile="),
            ready=wrote_pid("beat"),
            needs=(*redis, "records"),
            ours=True,
        ),
        Process(
            "agent",
            (sys.executable, "manage.py", "agent"),
            ready=wrote_pid("agent"),
            needs=needs,
            ours=True,
        ),
    ]  # fmt: skip


def can_build_guest() -> bool:
    """With the fake hypervisor the demo image is worth having, but not worth a refusal."""
    return config.COMPUTE != "fake" or all(
        shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")
        for tool in ("cpio", "mke2fs", "qemu-img", "sfdisk", "zstd")
    )
