"""What every resource has in common, and the one table of events."""

import uuid

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.context import Context
from apps.core.errors import NotFound


class VisibleQuerySet(models.QuerySet):
    """The only ways a view reads."""

    def visible_to(self, ctx: Context):
        """What `ctx` may see: its own project's rows."""
        return self.filter(project_id=ctx.project_id)

    def get_for(self, ctx: Context, pk):
        """The row, or NotFound: also for another project's row and for what is no id at all."""
        try:
            return self.visible_to(ctx).get(pk=pk)
        except (self.model.DoesNotExist, ValueError, ValidationError):
            raise NotFound(f"{self.model.kind_name()} {pk} could not be found.") from None


class Reconciled(models.Model):
    """A row whose status the world must match. Only `core.lifecycle` writes the columns below `status`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=32)
    status_since = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    due_at = models.DateTimeField(null=True, blank=True)  # when a worker should look; null: not owed anything
    marks = models.PositiveBigIntegerField(default=0)  # +1 for each "look at this row"
    claimed_by = models.CharField(max_length=200, blank=True, default="")  # worker/boot/run
    claimed_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)  # in a row, of the present status
    fault = models.TextField(blank=True, default="")  # why, for people
    step = models.CharField(max_length=64, blank=True, default="")
    step_since = models.DateTimeField(null=True, blank=True)
    progress = models.PositiveSmallIntegerField(null=True, blank=True)  # percent of the step

    TRANSITIONS: dict = {}  # status -> statuses it may move to
    PROMISES: dict = {}  # status that is a promise -> where a permanent failure leads, None: tried for ever

    class Meta:
        abstract = True
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(due_at__isnull=False), name="%(app_label)s_%(class)s_due"
            )
        ]

    @classmethod
    def kind_name(cls) -> str:
        """ "Security group", for messages."""
        name = str(cls._meta.verbose_name)
        return name[:1].upper() + name[1:]

    @property
    def kind(self) -> str:
        """ "securitygroup", in events and websocket messages."""
        return self._meta.model_name

    @property
    def queue(self) -> str:
        """The queue of the workers that can reach this row's part of the world."""
        return "central"

    @property
    def is_promise(self) -> bool:
        return self.status in self.PROMISES

    def __str__(self) -> str:
        return getattr(self, "name", "") or str(self.pk)


class Resource(Reconciled):
    """A reconciled row that belongs to a project."""

    project = models.ForeignKey("projects.Project", models.PROTECT, related_name="+")
    name = models.CharField(max_length=255, blank=True, default="")
    description = models.CharField(max_length=255, blank=True, default="")

    class Meta(Reconciled.Meta):
        abstract = True


class Event(models.Model):
    """Something that happened: audit trail, action history, activity tab and websocket read the same row.

    Append-only. It holds ids and names, not foreign keys, so it outlives what it tells about.
    """

    class Outcome(models.TextChoices):
        BEGUN = "begun"
        DONE = "done"
        FAILED = "failed"
        REFUSED = "refused"

    at = models.DateTimeField(default=timezone.now)
    project_id = models.CharField(max_length=64, blank=True, default="")
    user_id = models.CharField(max_length=64, blank=True, default="")
    user_name = models.CharField(max_length=255, blank=True, default="")  # "" where the cloud itself acted
    request_id = models.CharField(max_length=64, blank=True, default="")
    model = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64, blank=True, default="")
    object_name = models.CharField(max_length=255, blank=True, default="")
    action = models.CharField(max_length=64)  # "create", "stop", "active"
    status = models.CharField(max_length=32, blank=True, default="")  # after it
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.DONE)
    detail = models.TextField(blank=True, default="")
    data = models.JSONField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["project_id", "-id"], name="event_project"),
            models.Index(fields=["object_id", "-id"], name="event_object"),
            models.Index(fields=["at"], name="event_at"),
            models.Index(fields=["project_id", "at"], condition=Q(outcome="failed"), name="event_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.object_name}: {self.action}"


class Follow(models.Model):
    """`follower` (label and id) is marked once when `object_id` changes."""

    object_id = models.CharField(max_length=64)
    label = models.CharField(max_length=64)
    follower_id = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["object_id", "label", "follower_id"], name="followed_once")
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.follower_id} follows {self.object_id}"
