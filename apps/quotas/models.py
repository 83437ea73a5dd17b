from django.db import models


class Limit(models.Model):
    """A project's own limit for a resource; without one the default of `apps.quotas.limits` holds. -1: unlimited."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="limits")
    resource = models.CharField(max_length=64)
    limit = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "resource"], name="one_limit_a_resource")]

    def __str__(self) -> str:
        return f"{self.project}: {self.limit} {self.resource}"
