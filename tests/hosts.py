"""A private hypervisor host for tests: its own processes, network, mounts and name, on the machine we run on.

    with TestHost(name="host1") as host:
        host.start_ovs()
        host.start_ovn()
        host.start_libvirt()
        host.run(["ovs-vsctl", "show"])

Inside, every daemon uses its distribution's default paths (/run/ovn, /run/libvirt ...), which are bind
mounts of directories below `host.path`; outside, the same sockets are reached through `host.libvirt_uri`,
`host.ovn_nb`, `host.ovn_sb` and `host.ovs_db`. Files elsewhere (below `host.path` too) have the same path
on both sides. Everything in the host ends with its init: on `close()`, and when the test run dies.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

PRIVATE = {f"/etc/{x}": f"etc/{x}" for x in ("libvirt", "openvswitch", "ovn")}
PRIVATE |= {f"/var/lib/{x}": f"lib/{x}" for x in ("libvirt", "openvswitch", "ovn")}
PRIVATE |= {f"/var/log/{x}": f"log/{x}" for x in ("libvirt", "openvswitch", "ovn")}
PRIVATE |= {"/run": "run", "/etc/hosts": "hosts"}
RUN_DIRS = ("libvirt", "openvswitch", "ovn", "netns", "lock")

LIBVIRTD_CONF = """\
listen_tls = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0770"
host_uuid = "{uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

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

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class TestHost:
    """`path` must be short (unix socket names end at 107 bytes) and reachable by unprivileged users.

    Each `start_` verb may be repeated; none starts another.
    """

    __test__ = False  # not a test class, whatever its name

    def __init__(self, path: Path | None = None, name: str = "testhost"):
        self.name = name
        self._made = path is None
        self.path = Path(path or tempfile.mkdtemp(prefix="cph-", dir="/tmp"))
        self.pid = 0  # of the host's init, seen from outside
        self._unshare: subprocess.Popen | None = None

    libvirt_uri = property(lambda self: f"qemu:///system?socket={self.path}/run/libvirt/libvirt-sock")
    ovn_nb = property(lambda self: f"unix:{self.path}/run/ovn/ovnnb_db.sock")
    ovn_sb = property(lambda self: f"unix:{self.path}/run/ovn/ovnsb_db.sock")
    ovs_db = property(lambda self: f"unix:{self.path}/run/openvswitch/db.sock")

    def __enter__(self):
        return self.open()

    def __exit__(self, *exc):
        self.close()

    def open(self) -> "TestHost":
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o755)
        for inside in PRIVATE.values():
            if inside != "hosts":
                (self.path / inside).mkdir(parents=True, exist_ok=True)
        for name in RUN_DIRS:
            (self.path / "run" / name).mkdir(exist_ok=True)
        # The host's own name on localhost's line would make the OVN chassis "localhost".
        (self.path / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        (self.path / "etc/libvirt/libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=uuid.uuid4()))
        (self.path / "etc/libvirt/qemu.conf").write_text(QEMU_CONF)

        flags = ["-n", "-m", "-u", "-p", "-f", "--mount-proc", "--propagation", "private", "--kill-child"]
        self._unshare = subprocess.Popen(
            ["unshare", *flags, sys.executable, "-P", __file__, str(self.path), self.name],
            stdin=subprocess.PIPE,  # its end is the host's end
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if self._unshare.stdout.readline() != "ready\n":
            raise RuntimeError(f"The test host {self.name} did not start; this needs root.")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        self.pid = int(children.split()[0])
        return self

    def close(self) -> None:
        """Every process of the host is gone, and its files are if we chose the path."""
        if self._unshare:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            try:
                self._unshare.wait(10)
            except subprocess.TimeoutExpired:
                self._unshare.kill()
                self._unshare.wait()
            self._unshare.stdin.close()
            self._unshare.stdout.close()
            self._unshare = None
        if self._made:
            shutil.rmtree(self.path, ignore_errors=True)

    def argv(self, command: list[str]) -> list[str]:
        """`command` as an argument list that runs inside the host."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", *map(str, command)]

    def run(self, command: list[str], *, check: bool = True, timeout: float = 30, **kw) -> str:
        """Run a command inside (working directory /) and return what it wrote to stdout."""
        done = subprocess.run(
            self.argv(command), timeout=timeout, text=True, capture_output=True, check=False, **kw
        )
        if check and done.returncode:
            raise RuntimeError(f"{command} failed ({done.returncode}): {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def enter_netns(self):
        """Sockets that this thread makes meanwhile belong to the host's network."""
        with open("/proc/thread-self/ns/net") as before, open(f"/proc/{self.pid}/ns/net") as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())

    def start_ovs(self) -> None:
        self.run(["/usr/share/openvswitch/scripts/ovs-ctl", f"--system-id={self.name}", "start"])
        self.run(
            ["ovs-vsctl", "--timeout=10", "set", "Open_vSwitch", ".",
             "external_ids:ovn-bridge-datapath-type=netdev"]
        )  # fmt: skip

    def add_bridge(self, name: str = "br-int") -> None:
        """A bridge of the userspace datapath; OVN makes its br-int itself."""
        self.run(
            ["ovs-vsctl", "--timeout=10", "--may-exist", "add-br", name,
             "--", "set", "bridge", name, "datapath_type=netdev"]
        )  # fmt: skip

    def start_ovn(self, public: str = "203.0.113.1/24") -> None:
        """Central and controller; physnet1 is br-ex with the address `public`. Needs Open vSwitch."""
        if self.alive("ovn/ovn-controller.pid"):
            return
        self.run(["/usr/share/ovn/scripts/ovn-ctl", "start_northd"])
        self.run(
            ["ovs-vsctl", "--timeout=10", "set", "Open_vSwitch", ".",
             "external_ids:ovn-remote=unix:/run/ovn/ovnsb_db.sock",
             "external_ids:ovn-encap-type=geneve",
             "external_ids:ovn-encap-ip=127.0.0.1",
             "external_ids:ovn-bridge-mappings=physnet1:br-ex"]
        )  # fmt: skip
        self.add_bridge("br-ex")
        self.run(["/usr/share/ovn/scripts/ovn-ctl", "start_controller"])
        self.run(["ovn-nbctl", "--timeout=20", "--wait=hv", "sync"])
        self.run(["ip", "addr", "replace", public, "dev", "br-ex"])
        self.run(["ip", "link", "set", "br-ex", "up"])

    def start_libvirt(self) -> None:
        """libvirtd answers; the guests of an earlier libvirtd are found again."""
        path = f"{self.path}/run/libvirt/libvirt-sock"
        if self.alive("libvirt/libvirtd.pid"):
            return
        self.run(["libvirtd", "-d", "-p", "/run/libvirt/libvirtd.pid"])
        deadline = time.monotonic() + 30
        while True:
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(path)
                break
            if time.monotonic() > deadline:
                raise RuntimeError("libvirtd does not answer; see log/libvirt/libvirtd.log of the test host.")
            time.sleep(0.02)

    def pid_of(self, pid_file: str) -> int:
        """The pid (inside) that the file /run/`pid_file` names, such as libvirt/libvirtd.pid."""
        return int((self.path / "run" / pid_file).read_text())

    def alive(self, pid_file: str) -> bool:
        """Does the process run that /run/`pid_file` names? False without that file."""
        try:
            self.kill(self.pid_of(pid_file), "0")
        except (OSError, RuntimeError):
            return False
        return True

    def kill(self, pid: int, sig: str = "KILL") -> None:
        """Send a signal to a process by its pid inside."""
        self.run(["kill", "-s", sig, str(pid)])


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _init(path: str, name: str) -> None:
    """Pid 1 of the host: set the stage, then reap children at once until told to end."""

    def do(*command):
        subprocess.run(command, check=True)

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    do("mount", "-t", "sysfs", "sysfs", "/sys")  # else /sys/class/net shows the outer network
    for target, inside in PRIVATE.items():
        if target != "/etc/hosts":
            os.makedirs(target, exist_ok=True)
        do("mount", "--bind", f"{path}/{inside}", target)
    if os.path.exists(
        "/dev/kvm"
    ):  # as cloudpanel/platform/engines.py has it: libvirt would probe QEMU anew each time
        no_kvm = os.open(f"{path}/no-kvm", os.O_CREAT, 0o600)
        os.close(no_kvm)
        do("mount", "--bind", f"{path}/no-kvm", "/dev/kvm")
    socket.sethostname(name)
    do("ip", "link", "set", "lo", "up")

    def end_with_our_maker():
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_our_maker, daemon=True).start()
    print("ready", flush=True)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.02)  # nothing to reap; a new orphan waits for at most this long


if __name__ == "__main__":
    _init(sys.argv[1], sys.argv[2])
