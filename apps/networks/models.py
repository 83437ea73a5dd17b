"""Networks, subnets, ports, routers, floating IPs and security groups, as rows; `tasks.py` makes the engine match."""

import ipaddress
import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.context import Context
from apps.core.models import Resource, VisibleQuerySet

ROUTER_INTERFACE = "network:router_interface"  # device owners of the ports that a router is plugged with
ROUTER_GATEWAY = "network:router_gateway"


class Status(models.TextChoices):
    """BUILD and DELETING are promises; ACTIVE and DOWN are what was seen. Rows in DELETING are gone for callers."""

    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    DOWN = "DOWN"
    DELETING = "DELETING"


class NetworkQuerySet(VisibleQuerySet):
    """What is DELETING exists for nobody but its reconciler."""

    gone = Q(status=Status.DELETING)

    def others(self) -> Q:
        """Which rows of other projects everybody may see."""
        return Q(pk__in=())

    def alive(self):
        return self.exclude(self.gone)

    def visible_to(self, ctx: Context):
        return self.alive().filter(Q(project_id=ctx.project_id) | self.others())

    def reachable_by(self, ctx: Context):
        """What the network API shows: as everywhere, but administrators see all projects."""
        return self.alive() if ctx.is_admin else self.visible_to(ctx)


class SharedQuerySet(NetworkQuerySet):
    def others(self) -> Q:
        return Q(shared=True) | Q(external=True)


class SubnetQuerySet(NetworkQuerySet):
    gone = Q(network__status=Status.DELETING)

    def others(self) -> Q:
        return Q(network__shared=True) | Q(network__external=True)


class RuleQuerySet(NetworkQuerySet):
    gone = Q(group__status=Status.DELETING)


class NetworkResource(Resource):
    """What every object of this API has."""

    TRANSITIONS = {
        Status.BUILD: {Status.BUILD, Status.ACTIVE, Status.DOWN, Status.DELETING},
        Status.ACTIVE: {Status.DOWN, Status.BUILD, Status.DELETING},
        Status.DOWN: {Status.ACTIVE, Status.DOWN, Status.BUILD, Status.DELETING},
    }
    PROMISES = {Status.BUILD: None, Status.DELETING: None}

    revision = models.PositiveIntegerField(default=1)
    tags = models.JSONField(default=list, blank=True)

    objects = NetworkQuerySet.as_manager()

    class Meta(Resource.Meta):
        abstract = True


class Network(NetworkResource):
    shared = models.BooleanField(default=False)
    external = models.BooleanField(default=False)
    admin_state_up = models.BooleanField(default=True)
    port_security_enabled = models.BooleanField(default=True)
    mtu = models.PositiveIntegerField(default=1442)  # octets: 1500 less 58 for Geneve
    physical_network = models.CharField(max_length=64, blank=True, default="")
    vlan = models.PositiveIntegerField(null=True, blank=True)
    is_default = models.BooleanField(default=False)

    objects = SharedQuerySet.as_manager()

    @property
    def network_type(self) -> str:
        if not self.physical_network:
            return "geneve"
        return "flat" if self.vlan is None else "vlan"


class Subnet(models.Model):
    """A range of addresses on a network. It has no status: its network's reconciler carries it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey("projects.Project", models.PROTECT, related_name="+")
    network = models.ForeignKey(Network, models.CASCADE, related_name="subnets")
    name = models.CharField(max_length=255, blank=True, default="")
    description = models.CharField(max_length=255, blank=True, default="")
    cidr = models.CharField(max_length=64)
    ip_version = models.PositiveSmallIntegerField(default=4)
    gateway_ip = models.CharField(max_length=64, blank=True, default="")
    enable_dhcp = models.BooleanField(default=True)
    metadata_ip = models.CharField(
        max_length=64, blank=True, default=""
    )  # 169.254.169.254 is reached through it
    allocation_pools = models.JSONField(default=list)  # [{"start", "end"}]
    dns_nameservers = models.JSONField(default=list, blank=True)
    host_routes = models.JSONField(default=list, blank=True)  # [{"destination", "nexthop"}]
    revision = models.PositiveIntegerField(default=1)
    tags = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = SubnetQuerySet.as_manager()
    kind = "subnet"

    @classmethod
    def kind_name(cls) -> str:
        return "Subnet"

    def contains(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        return ip.version == self.ip_version and ip in ipaddress.ip_network(self.cidr)

    def __str__(self) -> str:
        return self.name or self.cidr


class SecurityGroup(NetworkResource):
    stateful = models.BooleanField(default=True)

    class Meta(NetworkResource.Meta):
        verbose_name = "security group"
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(name="default"), name="one_default_group_a_project"
            )
        ]


class SecurityGroupRule(models.Model):
    """Lets traffic in or out; without a rule nothing passes. Its group's reconciler carries it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey("projects.Project", models.PROTECT, related_name="+")
    group = models.ForeignKey(SecurityGroup, models.CASCADE, related_name="rules")
    direction = models.CharField(max_length=8)  # ingress, egress
    ethertype = models.CharField(max_length=4, default="IPv4")
    protocol = models.CharField(max_length=16, blank=True, default="")
    port_min = models.IntegerField(null=True, blank=True)
    port_max = models.IntegerField(null=True, blank=True)
    remote_prefix = models.CharField(max_length=64, blank=True, default="")
    remote_group = models.ForeignKey(SecurityGroup, models.CASCADE, null=True, blank=True, related_name="+")
    description = models.CharField(max_length=255, blank=True, default="")
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = RuleQuerySet.as_manager()
    kind = "securitygrouprule"

    @classmethod
    def kind_name(cls) -> str:
        return "Security group rule"

    def __str__(self) -> str:
        return f"{self.direction} {self.ethertype} {self.protocol or 'any'}"


class Router(NetworkResource):
    admin_state_up = models.BooleanField(default=True)
    external_network = models.ForeignKey(
        Network, models.PROTECT, null=True, blank=True, related_name="gateway_routers"
    )
    enable_snat = models.BooleanField(default=True)
    routes = models.JSONField(default=list, blank=True)  # [{"destination", "nexthop"}]


class Port(NetworkResource):
    """A place in a network. `device_owner` says whose: compute:<zone>, network:router_interface, ..."""

    network = models.ForeignKey(Network, models.PROTECT, related_name="ports")
    mac_address = models.CharField(max_length=17)
    admin_state_up = models.BooleanField(default=True)
    port_security_enabled = models.BooleanField(default=True)
    device_id = models.CharField(max_length=255, blank=True, default="", db_index=True)
    device_owner = models.CharField(max_length=255, blank=True, default="")
    router = models.ForeignKey(Router, models.PROTECT, null=True, blank=True, related_name="ports")
    host = models.CharField(max_length=255, blank=True, default="")  # where it may be plugged
    dns_name = models.CharField(max_length=63, blank=True, default="")  # DHCP tells it the guest
    preserve_on_delete = models.BooleanField(default=False)  # it was there before its instance, and stays
    leaving = models.BooleanField(default=False)  # its device is giving it up, and has it until then
    security_groups = models.ManyToManyField(SecurityGroup, related_name="ports", blank=True)

    class Meta(NetworkResource.Meta):
        constraints = [models.UniqueConstraint(fields=["network", "mac_address"], name="mac_once_in_network")]


class FixedIP(models.Model):
    """An address of a subnet, held by a port."""

    port = models.ForeignKey(Port, models.CASCADE, related_name="fixed_ips")
    subnet = models.ForeignKey(Subnet, models.PROTECT, related_name="fixed_ips")
    address = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["subnet", "address"], name="address_once_in_subnet")]

    def __str__(self) -> str:
        return self.address


class FloatingIP(NetworkResource):
    """An address of a provider network that points to a fixed address, or nowhere (DOWN)."""

    network = models.ForeignKey(Network, models.PROTECT, related_name="floating_ips")
    subnet = models.ForeignKey(Subnet, models.PROTECT, related_name="floating_ips")
    address = models.CharField(max_length=64)
    port = models.ForeignKey(Port, models.SET_NULL, null=True, blank=True, related_name="floating_ips")
    fixed_address = models.CharField(max_length=64, blank=True, default="")
    router = models.ForeignKey(Router, models.PROTECT, null=True, blank=True, related_name="floating_ips")
    mac_address = models.CharField(max_length=17)

    class Meta(NetworkResource.Meta):
        verbose_name = "floating IP"
        constraints = [
            models.UniqueConstraint(fields=["subnet", "address"], name="floating_address_once"),
            models.UniqueConstraint(
                fields=["port", "fixed_address"], condition=Q(port__isnull=False), name="one_floating_ip_each"
            ),
        ]

    def __str__(self) -> str:
        return self.address
