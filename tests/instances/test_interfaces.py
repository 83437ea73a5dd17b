"""Network interfaces of instances that exist: attached and detached while the guest runs, or is off."""

import pytest

from apps.core.errors import Conflict, DriverError, Forbidden, NotFound
from apps.core.models import Event
from apps.instances import tasks
from apps.instances.interfaces import attach_interface, detach_interface
from apps.instances.models import Instance
from apps.instances.operations import (
    delete_instance,
    lock_instance,
    start_instance,
    stop_instance,
    unlock_instance,
)
from apps.networks import operations as networks
from apps.networks.models import Port

JSON = "application/json"


@pytest.fixture
def second(alice):
    network = networks.create_network(alice, name="second")
    networks.create_subnet(alice, network=network, cidr="10.1.0.0/24")
    return network


@pytest.fixture
def instance(launch, alice, private):
    """An instance on `private`."""
    from apps.instances.operations import NicRequest

    return launch(alice, nics=[NicRequest(network=private)])


@pytest.fixture
def cards(hypervisor, instance):
    """`cards()`: the ports that the guest has cards for."""
    return lambda: [nic["port"] for nic in hypervisor.guests[str(instance.pk)]["nics"]]


@pytest.fixture
def ask(api, alice):
    """`ask(method, instance, port, body, mv, who)`: the answer of /servers/{id}/os-interface."""

    def ask(method, instance, port="", body=None, mv="2.96", who=None):
        path = f"/compute/v2.1/servers/{instance.pk}/os-interface" + (f"/{port}" if port else "")
        given = {"headers": {"OpenStack-API-Version": f"compute {mv}"}}
        if body is not None:
            given |= {"data": {"interfaceAttachment": body}, "content_type": JSON}
        return getattr(api(who or alice), method)(path, **given)

    return ask


def own_ports(instance) -> list[Port]:
    return list(Port.objects.alive().filter(device_id=str(instance.pk)).order_by("created_at"))


# Operations


def test_a_running_guest_gets_a_card_and_loses_it(
    instance, alice, second, cards, settle, network_engine, hypervisor
):
    first = own_ports(instance)[0]
    port = attach_interface(alice, instance=instance, network=second)
    assert (port.device_owner, port.host) == ("compute:nova", "hv1")
    settle()
    assert cards() == [str(first.pk), str(port.pk)]
    assert str(port.pk) in network_engine.marked()["ports"]

    detach_interface(alice, instance=instance, port=port)
    port.refresh_from_db()
    assert (port.device_id, port.leaving) == (str(instance.pk), True)
    settle()
    assert cards() == [str(first.pk)]
    assert not Port.objects.filter(pk=port.pk).exists()
    assert str(port.pk) not in network_engine.marked()["ports"]
    actions = Event.objects.filter(object_id=str(instance.pk), action__endswith="_interface").order_by("id")
    assert [(e.action, e.outcome, bool(e.user_name)) for e in actions] == [
        ("attach_interface", "done", True),
        ("detach_interface", "begun", True),
        ("detach_interface", "done", False),
    ]


def test_a_port_that_was_there_before_is_free_again(instance, alice, second, cards, settle):
    port = networks.create_port(alice, network=second, name="mine")
    attach_interface(alice, instance=instance, port=port)
    settle()
    assert str(port.pk) in cards()
    detach_interface(alice, instance=instance, port=port)
    detach_interface(alice, instance=instance, port=port)  # asked twice is asked once
    settle()
    assert str(port.pk) not in cards()
    port.refresh_from_db()
    assert (port.device_id, port.device_owner, port.host, port.leaving) == ("", "", "", False)
    attach_interface(alice, instance=instance, port=port)
    settle()
    assert str(port.pk) in cards()


def test_a_guest_that_is_off_has_the_card_when_it_starts(instance, alice, second, cards, settle):
    stop_instance(alice, instance=instance)
    settle()
    instance.refresh_from_db()
    first = own_ports(instance)[0]
    port = attach_interface(alice, instance=instance, network=second)
    detach_interface(alice, instance=instance, port=first)
    settle()
    start_instance(alice, instance=instance)
    settle()
    assert cards() == [str(port.pk)]
    assert own_ports(instance) == [port]


def test_a_port_is_released_only_after_the_guest_let_go(instance, alice, hypervisor, network_engine):
    """A run that fails or is cut off before the card is gone leaves port and engine as they were."""
    port = own_ports(instance)[0]
    detach_interface(alice, instance=instance, port=port)
    hypervisor.fail_next = DriverError("The guest does not let go of a network card.")
    with pytest.raises(DriverError):
        tasks.reconcile_instance(Instance.objects.get(pk=instance.pk))
    assert own_ports(instance) == [port]
    assert str(port.pk) in network_engine.marked()["ports"]
    tasks.reconcile_instance(Instance.objects.get(pk=instance.pk))
    assert own_ports(instance) == []


def test_killed_between_card_and_port_the_next_run_releases_it(
    instance, alice, settle, monkeypatch, cards, network_engine
):
    port = own_ports(instance)[0]
    detach_interface(alice, instance=instance, port=port)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(networks, "release_ports", killed)
        with pytest.raises(KeyboardInterrupt):
            tasks.reconcile_instance(Instance.objects.get(pk=instance.pk))
    assert cards() == []
    assert str(port.pk) in network_engine.marked()["ports"]
    settle()
    assert not Port.objects.filter(pk=port.pk).exists()


def test_a_stop_right_after_a_detach_takes_the_port_along(instance, alice, settle, cards):
    port = own_ports(instance)[0]
    detach_interface(alice, instance=instance, port=port)
    stop_instance(alice, instance=instance)
    settle()
    assert cards() == []
    assert own_ports(instance) == []


def test_deletion_in_the_middle_leaves_nothing(instance, alice, second, settle, network_engine):
    detach_interface(alice, instance=instance, port=own_ports(instance)[0])
    attach_interface(alice, instance=instance, network=second)
    delete_instance(alice, instance=instance)
    settle()
    assert not Port.objects.filter(device_id=str(instance.pk)).exists()
    assert not network_engine.marked()["ports"]


def test_only_resting_unlocked_instances_change(instance, alice, second, settle, reader, mallory):
    port = own_ports(instance)[0]
    lock_instance(alice, instance=instance)
    with pytest.raises(Conflict, match="locked"):
        attach_interface(alice, instance=instance, network=second)
    with pytest.raises(Conflict, match="locked"):
        detach_interface(alice, instance=instance, port=port)
    unlock_instance(alice, instance=instance)
    for who, refusal in ((reader, Forbidden), (mallory, NotFound)):
        with pytest.raises(refusal):
            attach_interface(who, instance=instance, network=second)
        with pytest.raises(refusal):
            detach_interface(who, instance=instance, port=port)
    delete_instance(alice, instance=instance)
    with pytest.raises(Conflict, match=f"Cannot 'attach_interface' instance {instance.pk} while"):
        attach_interface(alice, instance=instance, network=second)
    settle()


# The API


def test_attach_by_network_answers_with_the_port_at_once(instance, ask, second, cards, settle):
    made = ask("post", instance, body={"net_id": str(second.pk), "fixed_ips": [{"ip_address": "10.1.0.77"}]})
    assert made.status_code == 200
    body = made.json()["interfaceAttachment"]
    assert set(body) == {"port_state", "port_id", "net_id", "mac_addr", "fixed_ips", "tag"}
    assert body["net_id"] == str(second.pk)
    assert [fixed["ip_address"] for fixed in body["fixed_ips"]] == ["10.1.0.77"]
    settle()
    shown = ask("get", instance, body["port_id"], mv="2.1").json()["interfaceAttachment"]
    assert "tag" not in shown
    assert shown["mac_addr"] == body["mac_addr"]
    assert len(ask("get", instance).json()["interfaceAttachments"]) == 2
    assert ask("delete", instance, body["port_id"]).status_code == 202
    settle()
    assert ask("get", instance, body["port_id"]).status_code == 404
    assert ask("delete", instance, body["port_id"]).status_code == 404
    assert len(cards()) == 1


def test_attach_by_port(instance, ask, alice, second, settle):
    port = networks.create_port(alice, network=second)
    answer = ask("post", instance, body={"port_id": str(port.pk)})
    assert answer.status_code == 200
    assert answer.json()["interfaceAttachment"]["port_id"] == str(port.pk)
    again = ask("post", instance, body={"port_id": str(port.pk)})
    assert again.status_code == 409
    assert again.json()["conflictingRequest"]["message"] == f"Port {port.pk} is still in use."


def test_attach_without_a_wish_takes_the_only_network(instance, ask, private, alice):
    answer = ask("post", instance, body={})
    assert (answer.status_code, answer.json()["interfaceAttachment"]["net_id"]) == (200, str(private.pk))
    other = networks.create_network(alice, name="third")
    networks.create_subnet(alice, network=other, cidr="10.3.0.0/24")
    assert ask("post", instance, body={}).status_code == 400


NOBODY = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"net_id": NOBODY}, 404),
        ({"port_id": NOBODY}, 404),
        ({"port_id": "no-id"}, 404),
        ({"net_id": NOBODY, "port_id": NOBODY}, 400),
        ({"fixed_ips": [{"ip_address": "10.0.0.9"}]}, 400),
        ({"port_id": 7}, 400),
        ({"net_id": ["a"]}, 400),
        ({"net_id": NOBODY, "fixed_ips": "10.0.0.9"}, 400),
        ({"net_id": NOBODY, "fixed_ips": ["10.0.0.9"]}, 400),
        ({"net_id": NOBODY, "fixed_ips": [{"ip_address": 9}]}, 400),
        ({"net_id": NOBODY, "fixed_ips": [{"ip_address": "10.0.0.8"}, {"ip_address": "10.0.0.9"}]}, 400),
        ({"net_id": "private", "fixed_ips": [{"ip_address": "hello"}]}, 400),
        ({"net_id": "private", "fixed_ips": [{"ip_address": "192.0.2.1"}]}, 400),
        ({"net_id": "private", "tag": "web"}, 400),
        ({"net_id": "private", "colour": "red"}, 400),
        ("private", 400),
    ],
)
def test_what_is_wrong_is_said(instance, ask, private, body, status):
    if isinstance(body, dict) and body.get("net_id") == "private":
        body = body | {"net_id": str(private.pk)}
    assert ask("post", instance, body=body).status_code == status
    assert len(own_ports(instance)) == 1


def test_a_network_without_a_subnet_is_refused(instance, ask, alice):
    bare = networks.create_network(alice, name="bare")
    answer = ask("post", instance, body={"net_id": str(bare.pk)})
    assert answer.status_code == 400
    assert "requires a subnet" in answer.json()["badRequest"]["message"]


def test_a_taken_address_is_a_conflict(instance, ask, private):
    taken = own_ports(instance)[0].fixed_ips.get().address
    body = {"net_id": str(private.pk), "fixed_ips": [{"ip_address": taken}]}
    assert ask("post", instance, body=body).status_code == 409


def test_a_stranger_finds_nothing(instance, ask, private, second, mallory, reader):
    port = own_ports(instance)[0]
    assert ask("post", instance, body={"net_id": str(second.pk)}, who=mallory).status_code == 404
    assert ask("delete", instance, port.pk, who=mallory).status_code == 404
    assert ask("get", instance, port.pk, who=mallory).status_code == 404
    assert ask("post", instance, body={"net_id": str(second.pk)}, who=reader).status_code == 403
    assert ask("delete", instance, port.pk, who=reader).status_code == 403


def test_a_strangers_network_and_port_are_not_found(instance, ask, mallory):
    network = networks.create_network(mallory, name="theirs")
    networks.create_subnet(mallory, network=network, cidr="10.9.0.0/24")
    port = networks.create_port(mallory, network=network)
    assert ask("post", instance, body={"net_id": str(network.pk)}).status_code == 404
    assert ask("post", instance, body={"port_id": str(port.pk)}).status_code == 404
    assert ask("delete", instance, port.pk).status_code == 404


def test_what_an_administrator_attaches_belongs_to_the_instances_project(instance, ada, lab):
    shared = networks.create_network(ada, name="shared", shared=True)
    networks.create_subnet(ada, network=shared, cidr="10.7.0.0/24")
    port = attach_interface(ada, instance=instance, network=shared)
    assert port.project_id == lab.pk
    assert [group.project_id for group in port.security_groups.all()] == [lab.pk]


def test_an_address_in_anothers_network_is_not_chosen(instance, alice, ada):
    shared = networks.create_network(ada, name="shared", shared=True)
    networks.create_subnet(ada, network=shared, cidr="10.7.0.0/24")
    with pytest.raises(Forbidden):
        attach_interface(alice, instance=instance, network=shared, fixed_ip="10.7.0.1")
    assert attach_interface(alice, instance=instance, network=shared).project_id == alice.project_id
