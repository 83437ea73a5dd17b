"""Hypervisor hosts: what they have, and whether they are there."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

HEARTBEAT = timedelta(seconds=10)
DOWN_AFTER = timedelta(seconds=30)


class Host(models.Model):
    """One hypervisor; its agent writes the row. `name` is its queue's, its chassis' and its agent's name."""

    name = models.CharField(max_length=255, unique=True)
    enabled = models.BooleanField(default=True)  # takes new instances
    disabled_reason = models.CharField(max_length=255, blank=True, default="")
    availability_zone = models.CharField(max_length=64, default="nova")
    seen_at = models.DateTimeField(null=True, blank=True)  # the agent's last heartbeat
    vcpus = models.PositiveIntegerField(default=0)
    memory_mib = models.PositiveIntegerField(default=0)
    disk_gib = models.PositiveIntegerField(default=0)
    disk_free_gib = models.PositiveIntegerField(default=0)
    reserved_memory_mib = models.PositiveIntegerField(default=1024)  # kept for the host itself
    cpu_ratio = models.FloatField(default=16.0)  # virtual CPUs for a real one
    hypervisor = models.CharField(max_length=64, blank=True, default="")
    hypervisor_version = models.CharField(max_length=64, blank=True, default="")
    cpu_model = models.CharField(max_length=128, blank=True, default="")
    virt_type = models.CharField(max_length=16, blank=True, default="")
    agent_address = models.CharField(
        max_length=255, blank=True, default=""
    )  # unix:/path of its console relay
    created_at = models.DateTimeField(default=timezone.now)

    kind = "host"

    def __str__(self) -> str:
        return self.name

    @property
    def is_up(self) -> bool:
        return self.seen_at is not None and timezone.now() - self.seen_at < DOWN_AFTER
