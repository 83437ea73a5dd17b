"""What does not fit is refused with numbers, however many ask at once."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from openstack import exceptions as refusals

from tests.wire.conftest import unique


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
    flavor = admin.compute.create_flavor(name=unique("huge"), vcpus=1, ram=1 << 20, disk=1)
    yield flavor
    admin.compute.delete_flavor(flavor)


def test_ten_launches_at_once_against_a_quota_of_five(newcomer, admin, image, nano):
    admin.compute.update_quota_set(newcomer.current_project_id, instances=5)

    def launch(number: int) -> str:
        try:
            newcomer.compute.create_server(
                name=f"at-once-{number}", image_id=image.id, flavor_id=nano.id, networks="none"
            )
        except refusals.ForbiddenException as refusal:
            return str(refusal)
        return "accepted"

    list(newcomer.compute.servers())  # one token for all
    with ThreadPoolExecutor(10) as together:
        answers = list(together.map(launch, range(10)))
    assert answers.count("accepted") == 5
    refused = [answer for answer in answers if answer != "accepted"]
    words = "Quota exceeded for instances: Requested 1, but already used 5 of 5 instances"
    assert all(words in answer for answer in refused), refused
    assert len(list(newcomer.compute.servers())) == 5


def test_what_no_host_can_hold_is_a_server_in_error_that_says_why(newcomer, admin, image, huge):
    admin.compute.update_quota_set(newcomer.current_project_id, ram=-1)
    server = newcomer.compute.create_server(
        name="too-big", image_id=image.id, flavor_id=huge.id, networks="none"
    )
    with pytest.raises(refusals.ResourceFailure):
        newcomer.compute.wait_for_server(server, interval=0.3, wait=30)
    shown = newcomer.compute.get_server(server)
    assert shown.status == "ERROR"
    assert re.search(r"No host fits: .*1048576 MiB", shown.fault["message"])


def test_the_form_refuses_it_before_anything_is_made(newcomer, admin, image, huge, log_in):
    admin.compute.update_quota_set(newcomer.current_project_id, ram=-1)
    browser = log_in(newcomer.test_name)
    form = {"name": "too-big", "count": "1", "image": image.id, "flavor": huge.id, "reach": "project"}
    assert browser.get("/instances/launch/").status_code == 200
    answer = browser.send_form("/instances/launch/", **form)
    assert answer.status_code == 422
    assert re.search(r"No host fits: [^<]*1048576 MiB", answer.text)
    assert list(newcomer.compute.servers()) == []


def test_the_form_refuses_more_than_the_quota_with_numbers(newcomer, admin, image, nano, log_in):
    admin.compute.update_quota_set(newcomer.current_project_id, instances=2)
    network = newcomer.network.create_network(name="net")
    newcomer.network.create_subnet(network_id=network.id, ip_version=4, cidr="192.0.2.0/24")
    browser = log_in(newcomer.test_name)
    form = {"name": "many", "count": "3", "image": image.id, "flavor": nano.id, "reach": "project"}
    answer = browser.send_form("/instances/launch/", **form)
    assert answer.status_code == 422
    said = " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
    assert "Instances: needs 3, 2 of 2 left. Ask an administrator for more, or free some." in said
    assert list(newcomer.compute.servers()) == []
