"""Connections of unmodified clients to the running cloud; with the fake engines all of this takes a minute."""

import uuid

import pytest
import requests

from tests.cloud import URL


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


class Browser(requests.Session):
    """A person's browser without scripts: cookies, and no redirects followed."""

    def request(self, method, path, **options):
        return super().request(method, URL + path, **(options | {"allow_redirects": False}))

    def send_form(self, path: str, **fields):
        return self.post(path, data=fields | {"csrfmiddlewaretoken": self.cookies["cloudpanel_csrf"]})


@pytest.fixture(scope="session")
def demo(cloud):
    return cloud.connection("demo")


@pytest.fixture(scope="session")
def admin(cloud):
    return cloud.connection("admin")


@pytest.fixture(scope="session")
def stranger(cloud):
    """A member of another project."""
    return cloud.newcomer(unique("stranger"))


@pytest.fixture(scope="session")
def image(demo):
    return next(demo.image.images())


@pytest.fixture(scope="session")
def nano(demo):
    return demo.compute.find_flavor("m1.nano", ignore_missing=False)


@pytest.fixture(scope="session")
def private(demo):
    return demo.network.find_network("private", ignore_missing=False)


@pytest.fixture
def make_server(demo, image, nano, private):
    """`make_server(name=..., ...)` is a server that is ACTIVE; gone afterwards."""
    made = []

    def make(connection=demo, **wishes):
        body = {
            "name": unique("vm"),
            "image_id": image.id,
            "flavor_id": nano.id,
            "networks": [{"uuid": private.id}],
        }
        server = connection.compute.create_server(**(body | wishes))
        made.append((connection, server))
        return connection.compute.wait_for_server(server, interval=0.3, wait=60)

    yield make
    for connection, server in made:
        connection.compute.delete_server(server)
    for connection, server in made:
        connection.compute.wait_for_delete(server, interval=0.3, wait=60)


@pytest.fixture
def log_in(cloud):
    """`log_in(user)` is a browser that has logged in."""

    def log_in(name: str) -> Browser:
        browser = Browser()
        browser.get("/login")
        answer = browser.send_form("/login", username=name, password=cloud.passwords[name], domain="Default")
        assert answer.status_code == 303
        return browser

    return log_in


@pytest.fixture
def newcomer(cloud, admin):
    """A member of a new project; whatever servers they made are gone afterwards."""
    name = unique("limits")
    connection = cloud.newcomer(name)
    connection.test_name = name
    yield connection
    servers = list(connection.compute.servers())
    for server in servers:
        connection.compute.delete_server(server)
    for server in servers:
        connection.compute.wait_for_delete(server, interval=0.3, wait=60)


@pytest.fixture
def huge(admin):
    flavor = admin.compute.create_flavor(name=unique("huge"), vcpus=1, ram=1 << 24, disk=1)
    yield flavor
    admin.compute.delete_flavor(flavor)
