"""`manage.py seed`: the first records of a cloud, and the files to log in with."""

import ipaddress
import json
import subprocess

import pytest
from django.core.management import call_command

from apps.core.models import Event
from apps.dashboard import credentials
from apps.dashboard.management.commands import seed as command
from apps.images.models import Image
from apps.instances.models import Flavor
from apps.networks.models import Network, Router, SecurityGroup
from apps.projects import tokens
from apps.projects.models import Assignment, Project, User
from apps.projects.operations import authenticate
from cloudpanel import config


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "STATE", tmp_path)
    monkeypatch.setattr(credentials, "PASSWORDS", tmp_path / "secrets" / "passwords.json")
    return tmp_path


@pytest.fixture
def seeded(host, state, settings, settle):
    settings.IMAGES_DIR = state / "images"
    call_command("seed", verbosity=0)
    settle()
    return state


def rows() -> list:
    models = (User, Project, Assignment, Flavor, Network, Router, SecurityGroup, Image, Event)
    return [sorted(model.objects.values_list("pk", flat=True)) for model in models]


def test_the_first_users_can_log_in_and_do_what_they_should(seeded):
    known = json.loads((seeded / "secrets" / "passwords.json").read_text())
    assert list(known) == ["admin", "demo"]
    assert all(len(password) >= 16 for password in known.values())
    found = {}
    for user in known:
        row = authenticate(user, known[user])
        for project in tokens.available_projects(row.pk):
            found[user, project.name] = tokens.context_for(row.pk, project.pk).roles
        system = tokens.standing(row.pk, "system")
        found[user, "system"] = system.context().roles if system else None
    everything = {"admin", "manager", "member", "reader"}
    assert found == {
        ("admin", "admin"): everything,
        ("admin", "demo"): everything,
        ("admin", "system"): everything,
        ("demo", "demo"): {"member", "reader"},
        ("demo", "system"): None,
    }


def test_a_second_time_changes_nothing(seeded):
    before, passwords = rows(), (seeded / "secrets" / "passwords.json").read_text()
    call_command("seed", verbosity=0)
    assert rows() == before
    assert (seeded / "secrets" / "passwords.json").read_text() == passwords


def test_what_was_removed_stays_removed(seeded):
    Flavor.objects.filter(name="m1.large").delete()
    User.objects.filter(name="demo").delete()
    call_command("seed", verbosity=0)
    assert not Flavor.objects.filter(name="m1.large").exists()
    assert not User.objects.filter(name="demo").exists()


def test_flavors(seeded):
    assert dict(Flavor.objects.values_list("name", "ram"))["m1.nano"] == 128
    assert len(set(Flavor.objects.values_list("pk", flat=True))) == 6


def test_networks(seeded):
    public = Network.objects.get(name="public")
    assert (public.external, public.physical_network, public.project.name) == (True, "physnet1", "admin")
    subnet = public.subnets.get()
    assert (subnet.cidr, subnet.gateway_ip, subnet.enable_dhcp) == ("172.24.4.0/24", "172.24.4.1", False)
    assert subnet.allocation_pools == [{"start": "172.24.4.2", "end": "172.24.4.254"}]
    private = Network.objects.get(name="private")
    assert (private.status, private.project.name) == ("ACTIVE", "demo")
    router = Router.objects.get(name="router1")
    assert (router.status, router.external_network) == ("ACTIVE", public)
    assert router.ports.filter(network=private).exists()


def test_ssh_and_ping_come_in_to_demo_alone(seeded):
    group = SecurityGroup.objects.get(project__name="demo", name="default")
    opened = group.rules.filter(direction="ingress", remote_prefix="0.0.0.0/0")
    assert set(opened.values_list("protocol", "port_min", "port_max")) == {
        ("tcp", 22, 22),
        ("icmp", None, None),
    }
    assert not SecurityGroup.objects.filter(project__name="admin", rules__remote_prefix="0.0.0.0/0").exists()


@pytest.mark.parametrize(
    ("bridge", "pools"),
    [
        ("10.0.0.1/24", [("10.0.0.2", "10.0.0.254")]),
        ("10.0.0.254/24", [("10.0.0.1", "10.0.0.253")]),
        ("10.0.0.10/28", [("10.0.0.1", "10.0.0.9"), ("10.0.0.11", "10.0.0.14")]),
    ],
)
def test_pools_leave_out_the_bridges_own_address(bridge, pools):
    made = command.pools_around(ipaddress.ip_interface(bridge))
    assert [(pool["start"], pool["end"]) for pool in made] == pools


def test_files_are_for_their_owner_alone_and_a_shell_reads_them(seeded, monkeypatch):
    for name in ("openrc-admin.sh", "openrc-demo.sh", "clouds.yaml", "secrets/passwords.json"):
        assert (seeded / name).stat().st_mode & 0o777 == 0o600, name
    script = f". {seeded}/openrc-demo.sh; env -0"
    shell = subprocess.run(["sh", "-c", script], env={"OS_CLOUD": "x"}, capture_output=True, check=True)
    values = dict(line.split("=", 1) for line in shell.stdout.decode().split("\0") if line.startswith("OS_"))
    assert values == {
        "OS_AUTH_URL": "http://127.0.0.1:8000/identity/v3",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": "demo",
        "OS_PASSWORD": credentials.passwords()["demo"],
        "OS_PROJECT_NAME": "demo",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": "RegionOne",
    }


def test_the_openstack_libraries_read_clouds_yaml(seeded):
    from openstack.config import OpenStackConfig

    cloud = OpenStackConfig(config_files=[str(seeded / "clouds.yaml")]).get_one("demo")
    assert cloud.get_auth_args()["username"] == "demo"
    assert cloud.region_name == "RegionOne"


def test_files_say_where_the_cloud_listens_now(seeded, monkeypatch):
    monkeypatch.setattr(config, "LISTEN", "0.0.0.0:9000")
    call_command("seed", verbosity=0)
    assert "http://127.0.0.1:9000/identity/v3" in (seeded / "openrc-admin.sh").read_text()
