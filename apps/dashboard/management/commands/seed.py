"""The first records of a cloud: people, flavors, networks, an image. What an administrator removed stays removed."""

import ipaddress
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from apps.core import events
from apps.core.context import Context
from apps.dashboard import credentials
from apps.images.models import Image
from apps.images.operations import register_file
from apps.instances.models import Flavor
from apps.networks import operations as networks
from apps.networks.models import Network
from apps.projects.models import Domain, Project, Role, User
from apps.projects.operations import assign, create_project, create_user
from cloudpanel import config

ROLES = ("admin", "manager", "member", "reader", "service")
GRANTS = (
    ("admin", "admin", "admin"),
    ("admin", "admin", "demo"),
    ("admin", "admin", None),
    ("demo", "member", "demo"),
)
FLAVORS = (  # id, name, vCPUs, MiB, GiB; ids as OpenStack's own tutorials have them
    ("42", "m1.nano", 1, 128, 1),
    ("84", "m1.micro", 1, 256, 1),
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
)
PRIVATE_CIDR = "10.10.0.0/24"
PHYSICAL_NETWORK = "physnet1"
DEMO_IMAGE = Path("demo/demo.qcow2")  # below settings.IMAGES_DIR


class Command(BaseCommand):
    help = "Give a new cloud its first users, flavors, networks and image. Doing it again changes nothing."

    def handle(self, *args, **options):
        steps = (people, flavors, public_network, demo_network, demo_image)
        for step in steps:
            with transaction.atomic():
                done = step()
            if done:
                self.stdout.write(done)
        credentials.write()


def cloud(project: Project | None = None) -> Context:
    """The cloud itself acts, in the project."""
    return Context(
        user_id="",
        user_domain_id="default",
        project_id=project.pk if project else "",
        project_name=project.name if project else "",
        project_domain_id="default",
        roles=Role.with_implied(["admin"]),
    )


def people() -> str:
    """Domain, roles, projects and users; on a cloud that has users, only roles that are missing."""
    for name in ROLES:
        Role.objects.get_or_create(name=name)
    if User.objects.exists():
        return ""
    domain, _ = Domain.objects.get_or_create(id="default", defaults={"name": "Default"})
    ctx = cloud()
    projects = {name: create_project(ctx, name=name, domain=domain) for name in ("admin", "demo")}
    users = {
        name: create_user(
            ctx,
            name=name,
            password=password,
            domain=domain,
            default_project=projects[credentials.PROJECTS[name]],
        )
        for name, password in credentials.passwords().items()
    }
    for user, role, project in GRANTS:
        assign(ctx, user=users[user], role=Role.objects.get(name=role), project=projects.get(project))
    return "first users: admin and demo"


def flavors() -> str:
    if Flavor.objects.exists():
        return ""
    for id, name, vcpus, ram, disk in FLAVORS:
        flavor = Flavor.objects.create(id=id, name=name, vcpus=vcpus, ram=ram, disk=disk)
        events.record(flavor, "create", by=cloud())
    return "flavors: " + ", ".join(name for _, name, *_ in FLAVORS)


def public_network() -> str:
    """`public` leads outside: its gateway is the address of this machine's bridge, all others are for floating IPs."""
    project = Project.objects.filter(name="admin", domain="default").first()
    if project is None or Network.objects.filter(external=True).exists():
        return ""
    ctx = cloud(project)
    bridge = ipaddress.IPv4Interface(config.PUBLIC_CIDR)
    network = networks.create_network(ctx, name="public", external=True, physical_network=PHYSICAL_NETWORK)
    networks.create_subnet(
        ctx,
        network=network,
        name="public",
        cidr=str(bridge.network),
        gateway_ip=str(bridge.ip),
        enable_dhcp=False,
        allocation_pools=pools_around(bridge),
    )
    return f"network: public, {bridge.network}"


def pools_around(bridge: ipaddress.IPv4Interface) -> list[dict[str, str]]:
    """Every address of the bridge's network that a machine can have, but its own."""
    first, last = bridge.network[1], bridge.network[-2]
    pools = ((first, bridge.ip - 1), (bridge.ip + 1, last))
    return [{"start": str(start), "end": str(end)} for start, end in pools if start <= end]


def demo_network() -> str:
    """`private` with a router to `public`; the default security group of demo, alone, lets SSH and ping in."""
    project = Project.objects.filter(name="demo", domain="default").first()
    if project is None or Network.objects.filter(project=project).exists():
        return ""
    ctx = cloud(project)
    network = networks.create_network(ctx, name="private")
    subnet = networks.create_subnet(ctx, network=network, name="private", cidr=PRIVATE_CIDR)
    public = Network.objects.filter(external=True, name="public").first()
    router = networks.create_router(ctx, name="router1", external_network=public)
    networks.add_router_interface(ctx, router=router, subnet=subnet)
    group = networks.default_security_group(project.pk)
    for protocol, port in (("tcp", 22), ("icmp", None)):
        networks.create_security_group_rule(
            ctx,
            group=group,
            direction="ingress",
            protocol=protocol,
            port_min=port,
            port_max=port,
            remote_prefix="0.0.0.0/0",
            description="Made with the project demo: remove it where it is too open",
        )
    return f"network: private, {PRIVATE_CIDR}, with router1 to public"


def demo_image() -> str:
    path = Path(settings.IMAGES_DIR) / DEMO_IMAGE
    project = Project.objects.filter(name="admin", domain="default").first()
    if project is None or not path.exists() or Image.objects.exists():
        return ""
    register_file(
        cloud(project),
        name="mini",
        path=path,
        visibility=Image.Visibility.PUBLIC,
        min_ram=96,
        properties={
            "os_type": "linux",
            "os_distro": "cloudpanel-mini",
            "os_admin_user": "guest",
            "hw_qemu_guest_agent": "yes",
        },
    )
    return "image: mini"
