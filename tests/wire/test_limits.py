"""What does not fit is refused with numbers, however many ask at once."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from openstack import exceptions as refusals


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
    assert re.search(r"No host fits: .*16777216 MiB", shown.fault["message"])
