"""The Celery tasks: thin, because everything durable is in the rows."""

from datetime import timedelta

from celery import shared_task
from django.db import close_old_connections
from django.utils import timezone

from apps.core import lifecycle
from apps.core.models import Event
from cloudpanel import config


@shared_task(name="core.reconcile", ignore_result=True)
def reconcile(label: str, pk: str) -> None:
    close_old_connections()
    lifecycle.run(label, pk)


@shared_task(name="core.sweep", ignore_result=True, expires=5)
def sweep() -> None:
    close_old_connections()
    lifecycle.sweep()


@shared_task(name="core.prune_events", ignore_result=True)
def prune_events() -> None:
    """Events older than CLOUDPANEL_EVENTS_DAYS are gone."""
    Event.objects.filter(at__lt=timezone.now() - timedelta(days=config.EVENTS_DAYS)).delete()
