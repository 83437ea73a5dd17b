"""Images through openstacksdk and the client."""

import pytest
from openstack import exceptions as refusals


def test_list_and_show(demo, cloud, image):
    assert image.status == "active"
    assert (image.disk_format, image.container_format) == ("qcow2", "bare")
    assert demo.image.get_image(image.id).size == image.size
    assert demo.image.find_image(image.name).id == image.id
    assert [row.id for row in demo.image.images(name=image.name)] == [image.id]
    assert list(demo.image.images(name="none such")) == []
    shown = cloud.openstack("image", "show", image.name)
    assert shown["id"] == image.id


def test_what_a_client_needs_to_check_a_download(image):
    assert image.hash_algo == "sha512"
    assert len(image.hash_value) == 128
    assert image.size > 0


def test_unknown_images(demo):
    with pytest.raises(refusals.NotFoundException):
        demo.image.get_image("5f0c9e3c-0000-4000-8000-000000000000")
    assert demo.image.find_image("none such") is None
