"""Tell open pages that something changed. Never waits, never fails its caller: pages also refetch on reconnect."""

import asyncio
import logging
import threading

from channels.layers import get_channel_layer
from django.db import transaction

log = logging.getLogger(__name__)

_loop: asyncio.AbstractEventLoop | None = None
_start = threading.Lock()


def project_group(project_id: str) -> str:
    return f"project.{project_id}"


def user_group(user_id: str) -> str:
    return f"user.{user_id}"


ADMIN_GROUP = "admin"


def _running_loop() -> asyncio.AbstractEventLoop:
    """This process's loop for sending; the layer's connections belong to it."""
    global _loop
    with _start:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="live", daemon=True).start()
        return _loop


async def _send(group: str, message: dict) -> None:
    try:
        await asyncio.wait_for(get_channel_layer().group_send(group, message), 0.5)
    except Exception as error:  # Redis may be down; the page fetches again when its socket is back
        log.warning("Page update not sent: %s", error)


def tell(project_id: str, payload: dict, user_id: str = "") -> None:
    """After the commit, send `payload` to the pages of the project; without one to the user's, or to administrators."""
    group = project_group(project_id) if project_id else user_group(user_id) if user_id else ADMIN_GROUP
    _send_on_commit(group, {"type": "changed", "payload": payload})


def recheck(user_id: str) -> None:
    """After the commit, the sockets of the user's sessions look whether their log-in still holds."""
    _send_on_commit(user_group(user_id), {"type": "check"})


def _send_on_commit(group: str, message: dict) -> None:
    transaction.on_commit(
        lambda: asyncio.run_coroutine_threadsafe(_send(group, message), _running_loop()) and None, robust=True
    )
