"""/healthz: whether this web process can work."""

import logging
from concurrent.futures import ThreadPoolExecutor, wait

from django.db import close_old_connections
from django.http import HttpRequest, JsonResponse
from redis import Redis

from apps.core.models import Event
from cloudpanel import config

log = logging.getLogger(__name__)

PATIENCE = 1.0  # s

_pool = ThreadPoolExecutor(4, thread_name_prefix="health")


def ask_database() -> None:
    try:
        Event.objects.order_by("pk").values_list("pk").first()
    finally:
        close_old_connections()


def ask_redis() -> None:
    with Redis.from_url(config.REDIS, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE) as redis:
        redis.ping()


def healthz(request: HttpRequest) -> JsonResponse:
    """200 {"status": "ok"} when database and Redis answer within 1 s, else 503 naming those that do not."""
    asked = {_pool.submit(ask_database): "database", _pool.submit(ask_redis): "redis"}
    wait(asked, timeout=PATIENCE)
    failed = []
    for future, name in asked.items():
        if not future.done() or future.exception():
            failed.append(name)
            log.warning("%s: %s", name, future.exception() if future.done() else "no answer within 1 s")
    if failed:
        return JsonResponse({"status": "failed", "failed": sorted(failed)}, status=503)
    return JsonResponse({"status": "ok"})
