"""The launch page, sent as a browser without scripts sends it: a refusal says its numbers, and nothing is made."""

import re

import pytest


@pytest.fixture
def send(newcomer, log_in, image, nano):
    """`send(flavor=...)` sends the page with a name and what else is wished; returns the answer."""
    browser = log_in(newcomer.test_name)

    def send(**wishes):
        form = {"name": "vm", "count": "1", "image": image.id, "flavor": nano.id, "reach": "project"}
        return browser.send_form("/instances/launch/", **(form | wishes))

    return send


def refusal(answer) -> str:
    """What the summary above the form says."""
    assert answer.status_code == 422
    summary = answer.text.split("data-error-summary")[1].split("</div>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", f"<{summary}").split())


def test_what_no_host_can_hold(send, newcomer, admin, huge):
    admin.compute.update_quota_set(newcomer.current_project_id, ram=-1)
    assert re.search(r"No host fits: .*16777216 MiB", refusal(send(flavor=huge.id)))
    assert list(newcomer.compute.servers()) == []


def test_more_than_the_quota(send, newcomer, admin):
    admin.compute.update_quota_set(newcomer.current_project_id, instances=2)
    words = "Instances: needs 3, 2 of 2 left. Ask an administrator for more, or free some."
    assert words in refusal(send(count="3"))
    assert list(newcomer.compute.servers()) == []


def test_a_project_without_a_network_launches_all_the_same(send, newcomer):
    assert send().status_code == 303
    (server,) = newcomer.compute.servers()
    assert newcomer.compute.wait_for_server(server, interval=0.3, wait=30).addresses == {}
