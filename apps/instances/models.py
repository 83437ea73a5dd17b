"""Instances and what they are made with."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.core.context import Context
from apps.core.models import Reconciled, Resource, VisibleQuerySet


class FlavorQuerySet(models.QuerySet):
    def visible_to(self, ctx: Context):
        return self.filter(models.Q(is_public=True) | models.Q(access=ctx.project_id)).distinct()

    get_for = VisibleQuerySet.get_for


class Flavor(models.Model):
    """A size. Its id is a free string; instances keep a copy of the numbers."""

    id = models.CharField(max_length=255, primary_key=True)
    name = models.CharField(max_length=255, unique=True)
    description = models.TextField(blank=True, default="")
    vcpus = models.PositiveIntegerField()
    ram = models.PositiveIntegerField()  # MiB
    disk = models.PositiveIntegerField()  # GiB; 0: as large as the image
    ephemeral = models.PositiveIntegerField(default=0)
    swap = models.PositiveIntegerField(default=0)  # MiB
    rxtx_factor = models.FloatField(default=1.0)
    is_public = models.BooleanField(default=True)
    disabled = models.BooleanField(default=False)
    extra_specs = models.JSONField(default=dict, blank=True)
    access = models.ManyToManyField("projects.Project", blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    objects = FlavorQuerySet.as_manager()
    kind = "flavor"

    @classmethod
    def kind_name(cls) -> str:
        return "Flavor"

    def __str__(self) -> str:
        return self.name


class KeypairQuerySet(models.QuerySet):
    def visible_to(self, ctx: Context):
        return self.filter(user_id=ctx.user_id)


class Keypair(models.Model):
    """The public half of an SSH key; it belongs to a user, not to a project."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="keypairs")
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=8, default="ssh")
    public_key = models.TextField()
    fingerprint = models.CharField(max_length=64)  # MD5, colon separated, as the API shows it
    created_at = models.DateTimeField(default=timezone.now)

    objects = KeypairQuerySet.as_manager()
    kind = "keypair"

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="keypair_name_of_user")]

    def __str__(self) -> str:
        return self.name


class InstanceQuerySet(VisibleQuerySet):
    def visible_to(self, ctx: Context, *, deleted: bool = False):
        rows = self.filter(project_id=ctx.project_id)
        return rows if deleted else rows.exclude(status=Instance.Status.DELETED)


# What no list shows: long texts, and the kernel's own columns. A list of a hundred is a third faster without them.
NOT_IN_LISTS = (
    *("placement", "public_key", "admin_pass", "guest_password", "power_state"),
    *("due_at", "marks", "claimed_by", "claimed_until", "failures"),
)


class Instance(Resource):
    """A virtual machine. Upper-case statuses are Nova's own; lower-case ones are promises, Nova's task states."""

    class Status(models.TextChoices):
        BUILD = "BUILD"
        ACTIVE = "ACTIVE"
        SHUTOFF = "SHUTOFF"
        ERROR = "ERROR"
        DELETED = "DELETED"
        POWERING_OFF = "powering-off"
        POWERING_ON = "powering-on"
        REBOOTING = "rebooting"
        REBOOTING_HARD = "rebooting-hard"
        DELETING = "deleting"

    TRANSITIONS = {
        Status.BUILD: {Status.ACTIVE, Status.ERROR, Status.DELETING},
        Status.ACTIVE: {
            Status.POWERING_OFF,
            Status.REBOOTING,
            Status.REBOOTING_HARD,
            Status.SHUTOFF,
            Status.ERROR,
            Status.DELETING,
        },
        Status.SHUTOFF: {
            Status.POWERING_ON,
            Status.REBOOTING_HARD,
            Status.ACTIVE,
            Status.ERROR,
            Status.DELETING,
        },
        Status.ERROR: {Status.DELETING, Status.REBOOTING_HARD, Status.POWERING_ON, Status.POWERING_OFF},
        Status.POWERING_OFF: {Status.SHUTOFF, Status.ERROR, Status.DELETING},
        Status.POWERING_ON: {Status.ACTIVE, Status.ERROR, Status.DELETING},
        Status.REBOOTING: {
            Status.ACTIVE,
            Status.REBOOTING_HARD,
            Status.SHUTOFF,
            Status.ERROR,
            Status.DELETING,
        },
        Status.REBOOTING_HARD: {Status.ACTIVE, Status.ERROR, Status.DELETING},
        Status.DELETING: {Status.DELETED},
    }
    PROMISES = {
        Status.BUILD: Status.ERROR,
        Status.POWERING_OFF: Status.ERROR,
        Status.POWERING_ON: Status.ERROR,
        Status.REBOOTING: Status.ERROR,
        Status.REBOOTING_HARD: Status.ERROR,
        Status.DELETING: None,
    }
    # The steps of a boot, in order; BootStep rows hold when each was reached.
    STEPS = ("placed", "disk", "port", "started", "address", "metadata", "ready")

    user_id = models.CharField(max_length=64)
    host = models.ForeignKey("hosts.Host", models.PROTECT, null=True, blank=True, related_name="instances")
    availability_zone = models.CharField(max_length=64, blank=True, default="")  # asked for
    image = models.ForeignKey("images.Image", models.PROTECT, related_name="+")
    flavor_id = models.CharField(max_length=255)
    flavor_name = models.CharField(max_length=255)
    vcpus = models.PositiveIntegerField()
    ram = models.PositiveIntegerField()  # MiB
    disk = models.PositiveIntegerField()  # GiB; 0: as large as the image
    flavor_extra = models.JSONField(default=dict, blank=True)  # swap, ephemeral, extra_specs at launch
    key_name = models.CharField(max_length=255, blank=True, default="")
    public_key = models.TextField(blank=True, default="")
    hostname = models.CharField(max_length=255)
    metadata = models.JSONField(default=dict, blank=True)
    tags = models.JSONField(default=list, blank=True)
    user_data = models.TextField(blank=True, default="")  # base64, as given
    config_drive = models.BooleanField(default=False)
    admin_pass = models.CharField(max_length=255, blank=True, default="")  # encrypted; given to the guest
    guest_password = models.CharField(
        max_length=1020, blank=True, default=""
    )  # set once by the guest, encrypted by it
    access_ipv4 = models.CharField(max_length=64, blank=True, default="")
    access_ipv6 = models.CharField(max_length=64, blank=True, default="")
    disk_config = models.CharField(max_length=8, default="MANUAL")
    reservation_id = models.CharField(max_length=16, blank=True, default="")
    launch_index = models.PositiveIntegerField(default=0)
    locked = models.BooleanField(default=False)
    locked_reason = models.CharField(max_length=255, blank=True, default="")
    power_state = models.CharField(max_length=16, blank=True, default="")  # what the hypervisor last said
    placement = models.JSONField(null=True, blank=True)  # the decision record
    boot_started_at = models.DateTimeField(null=True, blank=True)  # when the last boot was asked for
    launched_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = InstanceQuerySet.as_manager()

    class Meta(Resource.Meta):
        indexes = [
            *Resource.Meta.indexes,
            models.Index(fields=["project", "-created_at", "-id"], name="instance_project"),
            models.Index(fields=["host", "status"], name="instance_host"),
        ]

    @property
    def queue(self) -> str:
        return f"host.{self.host.name}" if self.host_id else "central"

    @property
    def timeline(self) -> list[tuple[str, str]]:
        """[(step, ISO time)] of the last boot; lists prefetch `boot_steps`."""
        return [(reached.step, reached.at.isoformat()) for reached in self.boot_steps.all()]


class BootStep(models.Model):
    """When a step of the instance's last boot was reached; reconciler and agent write without meeting."""

    instance = models.ForeignKey(Instance, models.CASCADE, related_name="boot_steps")
    step = models.CharField(max_length=16)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["instance", "step"], name="step_once_a_boot")]

    def __str__(self) -> str:
        return f"{self.instance}: {self.step}"


class CachedImage(Reconciled):
    """The promise that a host has an image's data. Fetching copies, so it has its own row and its own lane."""

    class Status(models.TextChoices):
        FETCHING = "fetching"
        READY = "ready"
        FAILED = "failed"
        REMOVING = "removing"

    TRANSITIONS = {
        Status.FETCHING: {Status.READY, Status.FAILED, Status.REMOVING},
        Status.READY: {Status.FETCHING, Status.REMOVING},
        Status.FAILED: {Status.FETCHING, Status.REMOVING},
    }
    PROMISES = {Status.FETCHING: Status.FAILED, Status.REMOVING: None}

    host = models.ForeignKey("hosts.Host", models.CASCADE, related_name="cached_images")
    image = models.ForeignKey("images.Image", models.PROTECT, related_name="+")

    class Meta(Reconciled.Meta):
        constraints = [models.UniqueConstraint(fields=["host", "image"], name="cached_once")]

    @property
    def queue(self) -> str:
        return f"host.{self.host.name}"

    def __str__(self) -> str:
        return f"{self.image} on {self.host}"
