"""From an image to SSH through a floating IP and back to nothing, with the unmodified openstack client."""

import http.server
import ipaddress
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cloud import until

OUTSIDE = "198.51.100.1"  # an address that only the host has; see tests/stack.py
USER_DATA = f"#!/bin/sh\nwget -q -O - http://{OUTSIDE}:8888/booted\n"


@pytest.fixture(scope="module")
def world():
    """A web server beyond the cloud's router; {path: address that asked for it}, which it also answers."""
    seen: dict[str, str] = {}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen[self.path] = self.client_address[0]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.client_address[0].encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer((OUTSIDE, 8888), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield seen
    server.shutdown()


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def ssh(key, address: str, command: str, *, seconds: int = 90) -> str:
    options = [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=5",
    ]
    deadline = time.monotonic() + seconds
    while True:
        done = subprocess.run(
            ["ssh", "-i", str(key), *options, "-o", "BatchMode=yes", f"guest@{address}", command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        if time.monotonic() > deadline:
            pytest.fail(f"no ssh to {address}: {done.stderr}")
        time.sleep(1)


@pytest.fixture(scope="module")
def server(cloud, key, world, tmp_path_factory):
    """A running server `vm1` with the key, on `private`; gone afterwards."""
    script = tmp_path_factory.mktemp("user-data") / "script"
    script.write_text(USER_DATA)
    cloud.openstack("keypair", "create", "--public-key", f"{key}.pub", "k")
    image = cloud.openstack("image", "list")[0]["Name"]
    created = cloud.openstack(
        "server", "create", "--image", image, "--flavor", "m1.nano", "--network", "private",
        "--key-name", "k", "--user-data", str(script), "--wait", "vm1",
    )  # fmt: skip
    yield created
    cloud.openstack("server", "delete", "--wait", "vm1", "--text")


def test_lists_name_what_a_new_project_has(cloud):
    assert {"m1.nano", "m1.micro", "m1.tiny", "m1.small", "m1.medium", "m1.large"} <= {
        flavor["Name"] for flavor in cloud.openstack("flavor", "list")
    }
    assert {"private", "public"} <= {network["Name"] for network in cloud.openstack("network", "list")}
    assert [image["Status"] for image in cloud.openstack("image", "list")] == ["active"]


def test_the_openrc_file_is_all_that_the_client_needs(cloud):
    """A shell, the file and the command; everywhere else its entry point is called here, which is quicker."""
    bin_ = Path(sys.executable).parent
    script = f'. "$0" && "{bin_}/openstack" flavor list -f value -c Name'
    rc = str(cloud.state / "openrc-demo.sh")
    done = subprocess.run(["sh", "-c", script, rc], capture_output=True, text=True, timeout=60, check=True)
    assert "m1.nano" in done.stdout.split()


def test_the_portal_alone_listens_on_tcp(cloud, server):
    """Neither screens nor engines have a port, on any address."""
    done = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True)
    listening = {line.split()[3] for line in done.stdout.splitlines()}
    ours = {f"{OUTSIDE}:8888"}  # of this test
    metadata = {address for address in listening if address.startswith("169.254.")}
    assert listening - ours - metadata == {"127.0.0.1:8000"}


def test_the_server_is_active_with_an_address(cloud, server):
    assert server["status"] == "ACTIVE"
    shown = cloud.openstack("server", "show", "vm1")
    assert shown["addresses"]["private"]
    assert shown["key_name"] == "k"
    assert [row["Name"] for row in cloud.openstack("server", "list")] == ["vm1"]


def test_the_console_log_reaches_the_login_prompt(cloud, server):
    until(lambda: "login:" in cloud.openstack("console", "log", "show", "vm1", "--text"), seconds=90, every=2)


def test_user_data_runs_and_reaches_the_outside_by_the_routers_address(cloud, server, world):
    asked = until(lambda: world.get("/booted"), seconds=90)
    router = cloud.openstack("router", "show", "router1")["external_gateway_info"]
    assert asked == router["external_fixed_ips"][0]["ip_address"]
    assert ipaddress.ip_address(asked) in ipaddress.ip_network("172.24.4.0/24")


def test_ssh_through_a_floating_ip(cloud, server, key):
    address = cloud.openstack("floating", "ip", "create", "public")["floating_ip_address"]
    cloud.openstack("server", "add", "floating", "ip", "vm1", address, "--text")
    assert ssh(key, address, "hostname").strip() == "vm1"
    assert ssh(key, address, f"wget -q -O - http://{OUTSIDE}:8888/").strip() == address
    # Metadata in OpenStack's and in EC2's form.
    uuid = ssh(key, address, "wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json")
    assert server["id"] in uuid
    assert "vm1" in ssh(key, address, "wget -q -O - http://169.254.169.254/latest/meta-data/hostname")
    cloud.openstack("server", "remove", "floating", "ip", "vm1", address, "--text")
    cloud.openstack("floating", "ip", "delete", address, "--text")


def test_stop_start_reboot(cloud, server):
    cloud.openstack("server", "stop", "vm1", "--text")
    until(lambda: cloud.openstack("server", "show", "vm1")["status"] == "SHUTOFF", seconds=90, every=1)
    cloud.openstack("server", "start", "vm1", "--text")
    until(lambda: cloud.openstack("server", "show", "vm1")["status"] == "ACTIVE", seconds=90, every=1)
    cloud.openstack("server", "reboot", "--hard", "--wait", "vm1", "--text")


def test_deletion_leaves_nothing(cloud, key, server):
    """Domain, disk, OVN rows, tap and files of another server are gone with it."""
    before = everything(cloud)
    image = cloud.openstack("image", "list")[0]["Name"]
    cloud.openstack(
        "server", "create", "--image", image, "--flavor", "m1.nano", "--network", "private",
        "--config-drive", "True", "--wait", "vm2",
    )  # fmt: skip
    assert everything(cloud) != before
    cloud.openstack("server", "delete", "--wait", "vm2", "--text")
    until(lambda: everything(cloud) == before, seconds=30)


def everything(cloud) -> dict:
    def lines(*command: str) -> list[str]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return sorted(filter(None, done.stdout.split("\n")))

    def column(*command: str) -> list[str]:
        return lines(*command)

    return {
        "domains": column("virsh", "-c", "qemu:///system", "list", "--all", "--name"),
        "ports": column(
            "ovn-nbctl", "--timeout=10", "--bare", "--columns=name", "list", "Logical_Switch_Port"
        ),
        "plugs": column("ovs-vsctl", "--timeout=10", "list-ports", "br-int"),
        "taps": [line.split(":")[1] for line in lines("ip", "-o", "link") if "vnet" in line],
        "files": sorted(
            str(path)
            for path in (cloud.state / "instances").rglob("*")
            if path.is_file() and "_base" not in path.parts
        ),
        "logs": sorted(str(path) for path in (cloud.state / "log").parent.glob("libvirt/qemu/*")),
    }
