"""The launch page asks for all or nothing."""

import pytest
from django.test import Client

from apps.instances.keypairs import generate
from apps.instances.models import Instance, Keypair
from tests.conftest import PASSWORD


@pytest.fixture
def page(alice):
    browser = Client()
    browser.post("/login", {"username": "alice", "password": PASSWORD, "domain": "Default"})
    return browser


def test_a_refused_launch_makes_no_key_pair(page, host, image, large, private):
    host.memory_mib = 1024
    host.save()
    asked = {"name": "big", "image": image.pk, "flavor": large.pk, "public_key": generate("k")[1]}
    answer = page.post("/instances/launch/", asked)
    assert answer.status_code == 422
    assert not Keypair.objects.exists()
    assert not Instance.objects.exists()
