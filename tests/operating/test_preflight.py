"""Each obstacle is one line with a remedy; a good machine has none."""

import ipaddress
import socket

import pytest

from cloudpanel import config
from cloudpanel.platform import preflight


@pytest.fixture(autouse=True)
def laptop(monkeypatch, tmp_path):
    """A machine that could run the fake cloud."""
    monkeypatch.setattr(config, "COMPUTE", "fake")
    monkeypatch.setattr(config, "NETWORK", "fake")
    monkeypatch.setattr(config, "STATE", tmp_path / "var")
    monkeypatch.setattr(config, "RUN", tmp_path / "var/run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(config, "LISTEN", f"127.0.0.1:{free.getsockname()[1]}")


def only_problem() -> str:
    [problem] = preflight.problems()
    assert "\n" not in problem
    return problem


def test_nothing_is_wrong():
    assert list(preflight.problems()) == []


def test_port_in_use(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(config, "LISTEN", f"127.0.0.1:{taken.getsockname()[1]}")
        assert "Address already in use" in only_problem()


@pytest.mark.parametrize("listen", ["", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:99999"])
def test_unreadable_address(monkeypatch, listen):
    monkeypatch.setattr(config, "LISTEN", listen)
    assert "127.0.0.1" in only_problem()


def test_no_disk_space(monkeypatch):
    monkeypatch.setattr(preflight, "FIRST_GIB", 10**6)
    monkeypatch.setattr(preflight, "LATER_GIB", 10**6)
    assert "make room" in only_problem()


def test_path_too_long_for_a_socket(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "RUN", tmp_path / ("x" * 100))
    assert "shorter" in only_problem()


ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0
eth0 000418AC 00000000 0001 0 0 0 00FFFFFF 0 0 0
br-ex 000518AC 00000000 0001 0 0 0 00FFFFFF 0 0 0
"""


@pytest.mark.parametrize(
    ("cidr", "says"),
    [
        ("172.24.4.1/24", "overlaps the route 172.24.4.0/24 of eth0"),
        ("172.24.4.1/16", "overlaps the route 172.24.4.0/24 of eth0"),
        ("172.24.6.0/24", "must be an IPv4 address of the host"),
        ("172.24.6.1/30", "in a range of 16 or more"),
        ("172.24.5.1/24", ""),
    ],
)
def test_public_range(monkeypatch, tmp_path, cidr, says):
    table = tmp_path / "route"
    table.write_text(ROUTES)
    monkeypatch.setattr(preflight, "ROUTES", table)
    found = list(preflight._routes(ipaddress.ip_interface(cidr)))
    assert (says in found[0] and len(found) == 1) if says else not found
