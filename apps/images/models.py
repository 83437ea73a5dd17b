"""Image: what an instance's first disk is made from."""

from django.db import models
from django.db.models import Q

from apps.core.context import Context
from apps.core.models import Resource, VisibleQuerySet


class ImageQuerySet(VisibleQuerySet):
    def visible_to(self, ctx: Context):
        """Public and community ones, and the project's own."""
        return self.exclude(status=Image.Status.DELETED).filter(
            Q(visibility__in=("public", "community")) | Q(project_id=ctx.project_id)
        )


class Image(Resource):
    class Status(models.TextChoices):
        QUEUED = "queued"
        SAVING = "saving"
        ACTIVE = "active"
        DEACTIVATED = "deactivated"
        KILLED = "killed"
        DELETED = "deleted"

    class Visibility(models.TextChoices):
        PUBLIC = "public"
        PRIVATE = "private"
        SHARED = "shared"
        COMMUNITY = "community"

    TRANSITIONS = {
        Status.QUEUED: {Status.SAVING, Status.ACTIVE, Status.DELETED},
        Status.SAVING: {Status.ACTIVE, Status.QUEUED, Status.KILLED, Status.DELETED},
        Status.ACTIVE: {Status.DEACTIVATED, Status.DELETED},
        Status.DEACTIVATED: {Status.ACTIVE, Status.DELETED},
        Status.KILLED: {Status.DELETED},
    }

    visibility = models.CharField(max_length=16, choices=Visibility.choices, default=Visibility.SHARED)
    protected = models.BooleanField(default=False)
    os_hidden = models.BooleanField(default=False)
    disk_format = models.CharField(max_length=16, default="qcow2")
    container_format = models.CharField(max_length=16, default="bare")
    min_disk = models.PositiveIntegerField(default=0)  # GiB
    min_ram = models.PositiveIntegerField(default=0)  # MiB
    size = models.PositiveBigIntegerField(null=True, blank=True)  # octets of the file
    virtual_size = models.PositiveBigIntegerField(null=True, blank=True)  # octets of the disk
    checksum = models.CharField(max_length=32, blank=True, default="")  # MD5
    os_hash_value = models.CharField(max_length=128, blank=True, default="")  # SHA-512
    tags = models.JSONField(default=list, blank=True)
    properties = models.JSONField(default=dict, blank=True)  # every other key of the image

    objects = ImageQuerySet.as_manager()

    class Meta(Resource.Meta):
        indexes = [
            *Resource.Meta.indexes,
            models.Index(fields=["project", "-created_at"], name="image_project"),
        ]

    @property
    def login_user(self) -> str:
        """Who logs in by SSH, by the image's property `os_admin_user`."""
        return self.properties.get("os_admin_user", "")

    @property
    def min_disk_gib(self) -> int:
        """The smallest root disk in GiB that holds it."""
        return max(self.min_disk, -(-(self.virtual_size or 0) // 2**30))
