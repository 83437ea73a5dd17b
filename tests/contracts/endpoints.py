"""Stand-ins for guests: a network namespace on the test host whose veth is plugged like a guest's tap.

Run as a program inside one, this file is a DHCP client that asks once and prints the answer as JSON.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import time

from cloudpanel import config
from tests.hosts import TestHost


class Endpoint:
    """`name` is that of the namespace and of the veth's end on the host: at most 14 characters."""

    def __init__(self, host: TestHost, name: str, port: str, mac: str):
        self.host, self.name, self.port, self.mac = host, name, port, mac

    def plug(self) -> None:
        batch = f"link add {self.name} type veth peer name eth0 address {self.mac} netns {self.name}\n"
        self.host.run(["ip", "netns", "add", self.name])
        self.host.run(["ip", "-batch", "-"], input=batch + f"link set {self.name} up\n")
        self.host.run(["ip", "-n", self.name, "-batch", "-"], input="link set eth0 up\nlink set lo up\n")
        self.run(["ethtool", "-K", "eth0", "tx", "off"])
        self.host.run(
            ["ovs-vsctl", "--timeout=10", "add-port", "br-int", self.name,
             "--", "set", "interface", self.name, f"external_ids:iface-id={self.port}"]
        )  # fmt: skip

    def unplug(self) -> None:
        self.host.run(["ovs-vsctl", "--timeout=10", "--if-exists", "del-port", "br-int", self.name])
        self.host.run(["ip", "netns", "delete", self.name], check=False)

    def configure(self, lease: dict) -> None:
        """Address, MTU and routes as a DHCP client sets them; option 121 excludes the router option."""
        batch = [
            f"addr add {lease['address']}/{lease['prefix']} dev eth0",
            f"link set eth0 mtu {lease['mtu']}",
        ]
        for destination, hop in lease["routes"] or [["0.0.0.0/0", lease["router"]]]:
            batch.append(f"route add {destination} via {hop}")
        self.host.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(batch))

    def argv(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, command: list[str], **kw) -> str:
        return self.host.run(self.argv(command), **kw)

    def dhcp(self) -> dict:
        return json.loads(
            self.run([sys.executable, __file__, self.mac], env=os.environ | {"PYTHONPATH": str(config.ROOT)})
        )

    def pings(self, address: str, *options: str) -> bool:
        """Does one of a few pings come back? The first to a new peer may be lost."""
        return self._succeeds(["ping", "-c", "3", "-i", "0.2", "-W", "1", *options, address])

    def silent(self, address: str, *options: str) -> bool:
        return not self._succeeds(["ping", "-c", "2", "-i", "0.2", "-W", "1", *options, address])

    def get(self, url: str) -> str:
        """The body of the answer; "" when there is none."""
        return self.run(["curl", "-s", "-m", "2", "--retry", "2", "--retry-connrefused", url], check=False)

    def _succeeds(self, command: list[str]) -> bool:
        return (
            subprocess.run(self.host.argv(self.argv(command)), capture_output=True, timeout=20).returncode
            == 0
        )


def _ask(mac: str) -> dict:
    """DISCOVER by broadcast on eth0, with raw frames: the kernel takes no answer to an address it does not have."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    bootp = struct.pack("!BBBBIHH16x", 1, 1, 6, 0, 0x4321, 0, 0x8000) + hardware.ljust(208, b"\0")
    bootp += bytes.fromhex("63825363") + bytes([53, 1, 1, 55, 7, 1, 3, 6, 12, 26, 121, 54, 255])
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\0" * 4, b"\xff" * 4)
    total = sum(struct.unpack("!10H", ip))
    ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + ip[12:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as raw:
        raw.bind(("eth0", 0))
        raw.settimeout(0.5)
        for _ in range(20):
            raw.send(b"\xff" * 6 + hardware + b"\x08\x00" + ip + udp)
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                try:
                    frame = raw.recv(2000)
                except TimeoutError:
                    break
                if frame[23] == 17 and frame[36:38] == b"\0\x44":
                    return _answer(frame[42:])
    raise SystemExit("no DHCP offer")


def _answer(bootp: bytes) -> dict:
    options, rest = {}, bootp[240:]
    while rest and rest[0] != 255:
        options[rest[0]] = rest[2 : 2 + rest[1]]
        rest = rest[2 + rest[1] :]
    routes, packed = [], options.get(121, b"")
    while packed:
        size = (packed[0] + 7) // 8
        destination = socket.inet_ntoa(packed[1 : 1 + size].ljust(4, b"\0"))
        routes.append([f"{destination}/{packed[0]}", socket.inet_ntoa(packed[1 + size : 5 + size])])
        packed = packed[5 + size :]
    address = {code: socket.inet_ntoa(options[code][:4]) if code in options else "" for code in (3, 6, 54)}
    return {
        "address": socket.inet_ntoa(bootp[16:20]),
        "prefix": int.from_bytes(options[1], "big").bit_count(),
        "router": address[3],
        "dns": address[6],
        "server": address[54],
        "hostname": options.get(12, b"").decode(),
        "mtu": int.from_bytes(options.get(26, b""), "big"),
        "routes": routes,
    }


if __name__ == "__main__":
    print(json.dumps(_ask(sys.argv[1])))
