"""Somebody of another project sees and reaches nothing of ours: lists, shows, consoles, pages, live messages."""

import json

import pytest
from openstack import exceptions as refusals
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.cloud import URL
from tests.wire.conftest import Browser, unique

LIVE = URL.replace("http", "ws") + "/ws/live"


@pytest.fixture
def stranger_name(stranger):
    return stranger.session.auth.get_access(stranger.session).username


def live(browser: Browser):
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    return connect(LIVE, additional_headers={"Cookie": cookies}, origin=URL, open_timeout=10)


def heard(socket, wanted: str, seconds: float = 20) -> list[dict]:
    """Messages until one is about `wanted`, or until it is quiet for `seconds`."""
    messages = []
    while True:
        try:
            messages.append(json.loads(socket.recv(timeout=seconds)))
        except TimeoutError:
            return messages
        if messages[-1].get("id") == wanted:
            return messages


def test_the_apis_show_a_stranger_nothing(demo, stranger, make_server):
    server = make_server()
    port = next(demo.network.ports(device_id=server.id))
    private = demo.network.find_network("private")
    group = demo.network.find_security_group("default")
    router = demo.network.find_router("router1")
    assert list(stranger.compute.servers()) == []
    assert [network.name for network in stranger.network.networks()] == ["public"]
    assert port.id not in {row.id for row in stranger.network.ports()}
    assert list(stranger.network.routers()) == []
    reads = [
        (stranger.compute.get_server, server.id),
        (stranger.compute.get_server_console_output, server.id),
        (stranger.network.get_port, port.id),
        (stranger.network.get_network, private.id),
        (stranger.network.get_security_group, group.id),
        (stranger.network.get_router, router.id),
    ]
    writes = [
        (stranger.compute.stop_server, server.id),
        (stranger.network.delete_network, private.id),
        (stranger.network.delete_router, router.id),
        (stranger.network.delete_port, port.id),
    ]
    for call, what in reads:
        with pytest.raises(refusals.NotFoundException):
            call(what)
    for call, what in writes:
        with pytest.raises(refusals.NotFoundException):
            call(what, **({"ignore_missing": False} if "delete" in call.__name__ else {}))
    with pytest.raises(refusals.NotFoundException):
        stranger.compute.delete_server(server.id, ignore_missing=False)
    for kind in ("novnc", "serial"):
        with pytest.raises(refusals.NotFoundException):
            stranger.compute.create_console(server.id, console_type=kind)
    with pytest.raises(refusals.BadRequestException):
        stranger.compute.create_server(
            name="thief", image_id=server.image.id, flavor_id="42", networks=[{"port": port.id}]
        )
    assert demo.compute.get_server(server.id).status == "ACTIVE"


def test_the_pages_show_a_stranger_nothing(stranger_name, log_in, make_server, demo):
    server = make_server(name=unique("secret"))
    mine, theirs = log_in("demo"), log_in(stranger_name)
    private = demo.network.find_network("private")
    group = demo.network.find_security_group("default")
    pages = [
        f"/instances/{server.id}/{tab}"
        for tab in ("", "panel/", "activity/", "console/", "console/text/", "log/")
    ]
    pages += [f"/networks/{private.id}/", f"/security-groups/{group.id}/"]
    for page in pages:
        assert mine.get(page).status_code == 200, page
        assert theirs.get(page).status_code == 404, page
    for page in ("/instances/", f"/instances/rows/?ids={server.id}", "/palette.json", "/tasks", "/networks/"):
        assert server.name not in theirs.get(page).text, page
    for path, form in (
        (f"/instances/{server.id}/action/", {"action": "delete"}),
        (f"/instances/{server.id}/console/screen/ticket/", {}),
        (f"/networks/{private.id}/delete/", {}),
    ):
        assert theirs.send_form(path, **form).status_code == 404, path
    assert demo.compute.get_server(server.id).status == "ACTIVE"


def test_a_live_socket_tells_only_of_ones_own_project(stranger_name, log_in, make_server):
    with live(log_in("demo")) as mine, live(log_in(stranger_name)) as theirs:
        assert json.loads(mine.recv(timeout=10)) == {"type": "beat"}
        assert json.loads(theirs.recv(timeout=10)) == {"type": "beat"}
        server = make_server()
        changed = [row for row in heard(mine, server.id) if row["type"] == "changed"]
        assert changed
        assert [row for row in heard(theirs, server.id, seconds=3) if row["type"] == "changed"] == []


def test_a_live_socket_needs_a_log_in_and_our_own_page(log_in):
    with connect(LIVE, origin=URL, open_timeout=10) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd.code == 4401
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in log_in("demo").cookies)
    with pytest.raises(Exception, match="403"):
        connect(LIVE, additional_headers={"Cookie": cookies}, origin="http://evil.example", open_timeout=10)


def test_a_console_s_socket_opens_with_a_ticket_once(demo, make_server):
    server = make_server()
    url = demo.compute.create_console(server, console_type="novnc")["url"]
    ticket = url.split("token=")[1]
    address = URL.replace("http", "ws") + "/ws/console"
    with connect(address, subprotocols=["binary", f"ticket.{ticket}"], open_timeout=10) as socket:
        assert socket.recv(timeout=20).startswith(b"RFB 003.008")
    for worthless in (ticket, "made-up"):
        with connect(address, subprotocols=["binary", f"ticket.{worthless}"], open_timeout=10) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=10)
            assert closed.value.rcvd.code == 4401
