from django.db import models

from apps.core.models import Resource, VisibleQuerySet


class Thing(Resource):
    class Status(models.TextChoices):
        MAKING = "making"
        READY = "ready"
        BROKEN = "broken"
        REMOVING = "removing"

    TRANSITIONS = {
        Status.MAKING: {Status.READY, Status.BROKEN, Status.REMOVING},
        Status.READY: {Status.MAKING, Status.REMOVING},
        Status.BROKEN: {Status.REMOVING},
    }
    PROMISES = {Status.MAKING: Status.BROKEN, Status.REMOVING: None}

    objects = VisibleQuerySet.as_manager()

    class Meta(Resource.Meta):
        app_label = "kernel"
