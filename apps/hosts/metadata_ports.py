"""This host's foot in each network: where guests reach 169.254.169.254.

For each network that has an instance here there is a network namespace `cloudpanel-<network id>` with one veth
whose other end is plugged into br-int as OVN's localport. The metadata service listens inside, so the socket
that a request comes in on tells the network, and the source address (guarded by port security) the instance.
"""

import ctypes
import hashlib
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

from apps.core.errors import DriverError
from cloudpanel import config

ADDRESS = "169.254.169.254"
BRIDGE = "br-int"
INSIDE = "eth0"
PREFIX = "cloudpanel-"
NAMESPACES = Path("/run/netns")
TIMEOUT = 15  # seconds for one command; ovs-vsctl itself gives up after 10
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def port_name(network_id: str) -> str:
    """The logical switch port of the network that is plugged here."""
    return f"meta-{network_id}"


def mac(network_id: str) -> str:
    """The MAC address of the network's metadata port, the same on every host."""
    return "0e:" + hashlib.sha256(port_name(network_id).encode()).digest()[:5].hex(":")


def ensure_metadata_port(network_id: str, addresses: list[str]) -> None:
    """The network's namespace exists, is plugged and answers at `addresses` ("10.0.0.2/24") and 169.254.169.254.

    Cheap when nothing is to be done; repairs what a reboot or a crash in the middle has left.
    """
    namespace, outside = _namespace(network_id), _outside(network_id)
    if not (NAMESPACES / namespace).exists():
        _run("ip", "netns", "add", namespace)
    links = {link["ifname"]: link for link in json.loads(_run("ip", "-n", namespace, "-j", "addr", "show"))}
    if INSIDE not in links:
        _remove_link(outside)
        end = ["peer", "name", INSIDE, "address", mac(network_id), "netns", namespace]
        _run("ip", "link", "add", outside, "type", "veth", *end)
        # A datapath in user space does not fill in the checksums that Linux leaves to a network card.
        _run("nsenter", f"--net={NAMESPACES / namespace}", "ethtool", "-K", INSIDE, "tx", "off")
    _run("ip", "link", "set", outside, "up")

    has = {f"{a['local']}/{a['prefixlen']}" for a in links.get(INSIDE, {}).get("addr_info", [])
           if a["family"] == "inet"}  # fmt: skip
    wanted = {*addresses, f"{ADDRESS}/32"}
    batch = [f"addr del {address} dev {INSIDE}" for address in has - wanted]
    batch += [f"addr add {address} dev {INSIDE}" for address in wanted - has]
    batch += [f"link set {INSIDE} up", "link set lo up"]
    _run("ip", "-n", namespace, "-batch", "-", input="\n".join(batch))

    ids = [f"external_ids:iface-id={port_name(network_id)}", f"external_ids:cloudpanel-network={network_id}"]
    _vsctl("--may-exist", "add-port", BRIDGE, outside, "--", "set", "interface", outside, *ids)


def ensure_no_metadata_port(network_id: str) -> None:
    """Namespace, veth and plug are gone; sockets made inside hear nothing more."""
    outside = _outside(network_id)
    _vsctl("--if-exists", "del-port", BRIDGE, outside)
    _remove_link(outside)  # first, and by name: an open socket keeps a namespace alive without its name
    namespace = _namespace(network_id)
    if (NAMESPACES / namespace).exists():
        _run("ip", "netns", "delete", namespace)


def existing() -> set[str]:
    """Ids of the networks that have anything here, be it only a plug that a reboot has left without its veth."""
    ids = {path.name.removeprefix(PREFIX) for path in NAMESPACES.glob(f"{PREFIX}*")}
    found = json.loads(_vsctl("--format=json", "--columns=external_ids", "list", "interface"))
    for (_, pairs), *_ in found["data"]:
        if network := dict(pairs).get("cloudpanel-network"):
            ids.add(network)
    return ids


def listening_socket(network_id: str, port: int = 80) -> socket.socket:
    """A listening TCP socket at 169.254.169.254 inside the network's namespace; the caller stays outside.

    OSError when the namespace is not there or somebody listens already.
    """
    outcome: list[socket.socket | OSError] = []

    def inside() -> None:
        # The namespace is this thread's own, and the thread ends here.
        try:
            with open(NAMESPACES / _namespace(network_id)) as namespace:
                if _libc.setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "The namespace cannot be entered")
            outcome.append(socket.create_server((ADDRESS, port), backlog=128))
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def _namespace(network_id: str) -> str:
    return PREFIX + network_id


def _outside(network_id: str) -> str:
    """The host's end of the veth; Linux allows 15 characters."""
    return "cpm" + network_id.replace("-", "")[:12]


def _remove_link(name: str) -> None:
    if os.path.exists(f"/sys/class/net/{name}"):
        _run("ip", "link", "delete", name)


def _vsctl(*arguments: str) -> str:
    return _run("ovs-vsctl", "--timeout=10", f"--db={config.OVS_DB}", *arguments)


def _run(*command: str, input: str | None = None) -> str:
    try:
        done = subprocess.run(
            command, input=input, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DriverError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise DriverError(f"{' '.join(command)}: {done.stderr.strip()[:300]}")
    return done.stdout
