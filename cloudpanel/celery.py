"""The Celery app: a doorbell. The rows remember what is owed; a message only makes the work start sooner."""

import logging.config
import os
import warnings

from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.schedules import crontab
from kombu import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpanel.settings")

from django.conf import settings

from cloudpanel import config


class PromptConnection(Connection):
    """Looks for a lost broker once a second: Celery's 2, 4, 6 ... 30 s would outlast a restart of Redis."""

    def ensure_connection(self, errback=None, max_retries=None, interval_start=0.2, interval_step=0.2,
                          interval_max=1, **options):  # fmt: skip
        return super().ensure_connection(
            errback, max_retries, interval_start, interval_step, interval_max, **options
        )


app = Celery("cloudpanel")
app.amqp.Connection = PromptConnection
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # for ever
    broker_transport_options={"socket_connect_timeout": 0.5, "max_retries": 0},  # of a publisher, that is:
    task_publish_retry=False,  # it never waits, since the sweep rings again
    task_ignore_result=True,
    task_default_queue="central",
    worker_pool="threads",
    worker_concurrency=config.WORKER_THREADS,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_enable_prefetch_count_reduction=False,  # after a lost connection too, all threads take work
    worker_cancel_long_running_tasks_on_connection_loss=False,
    beat_schedule={
        "sweep": {"task": "core.sweep", "schedule": 5.0, "options": {"expires": 5}},
        "prune events": {"task": "core.prune_events", "schedule": crontab(hour=3, minute=17)},
    },
)
app.autodiscover_tasks()


# A host's worker must be root; and a lost connection is explained once, not with a page about Celery 6.
warnings.filterwarnings("ignore", category=SecurityWarning)
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


@signals.setup_logging.connect
def _log_as_django_does(**kwargs):
    logging.config.dictConfig(settings.LOGGING)


@signals.worker_init.connect
def _free_earlier_claims(sender, **kwargs):
    """Before the first message: what an earlier incarnation of this worker had claimed is free again."""
    from apps.core import lifecycle

    app.loader.import_default_modules()  # the reconcilers must be known
    lifecycle.start_worker(sender.hostname)


@signals.worker_ready.connect
def _worker_is_ready(**kwargs):
    (config.RUN / "worker.ready").write_text(str(os.getpid()))


@signals.beat_init.connect
def _beat_is_ready(**kwargs):
    (config.RUN / "beat.ready").write_text(str(os.getpid()))
