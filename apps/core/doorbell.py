"""Ring a worker: a Celery message that only makes work start sooner. Lost rings cost seconds: the sweep rings again."""

import logging
import time

from django.conf import settings
from django.db import transaction

log = logging.getLogger(__name__)

PAUSE = 2.0  # s without a try after the broker did not answer
_silent_until = 0.0


def ring(label: str, pk, queue: str) -> None:
    """After the commit, ask `queue` to look at the row."""
    transaction.on_commit(lambda: publish(label, str(pk), queue), robust=True)


def publish(label: str, pk: str, queue: str) -> None:
    """Ring now; for callers that are in no transaction. A broker that does not answer is left alone for a while."""
    global _silent_until
    if not settings.DOORBELL or time.monotonic() < _silent_until:
        return
    from cloudpanel.celery import app

    try:
        app.send_task("core.reconcile", args=[label, pk], queue=queue, retry=False)
    except Exception as error:  # any broker fault: the row remembers what is owed
        _silent_until = time.monotonic() + PAUSE
        log.warning("Worker not rung, the sweep will: %s", error)
