"""Consoles: tickets that open one, once, and the log of what a guest said on its serial line."""

import hashlib
import logging
import re
import secrets
from datetime import datetime

from django.core.cache import cache
from django.utils import timezone
from redis.exceptions import RedisError

from apps.core import events
from apps.core.context import Context
from apps.core.errors import Conflict, Unavailable
from apps.core.policy import enforce
from apps.hosts import relay
from apps.instances.models import Instance
from apps.projects import tokens

log = logging.getLogger(__name__)

SCREEN, SERIAL = "screen", "serial"  # a picture over RFB; text as the guest's first serial port sends it
PAGES = {SCREEN: "/console/novnc", SERIAL: "/console/serial"}
TICKET_SECONDS = 60
LOG_BYTES = 100 << 10  # of the log's end; what Nova gives

GUEST_OFF = {
    Instance.Status.SHUTOFF,
    Instance.Status.ERROR,
    Instance.Status.DELETING,
    Instance.Status.DELETED,
}

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_LINE_END = re.compile(r"\r*\n|\r+")  # a getty says \r\r\n
_CONTROL = re.compile(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]")


def issue(ctx: Context, instance: Instance, kind: str) -> str:
    """A ticket that opens the console of `kind` once, within 60 s; its holder needs no log-in.

    Conflict when the guest is off, Unavailable when the cache does not answer.
    """
    enforce(ctx, "os_compute_api:os-remote-consoles", instance)
    if instance.host_id is None or instance.status in GUEST_OFF:
        raise Conflict(
            f"Cannot open a console of instance {instance} while it is {instance.status}; start it first.",
            kind="instanceNotReady",
        )
    ticket = secrets.token_urlsafe(32)
    value = {
        "user": ctx.user_id,
        "project": ctx.project_id,
        "audit": ctx.audit_id,
        "issued": timezone.now().isoformat(),
        "instance": str(instance.pk),
        "kind": kind,
    }
    try:
        cache.set(_key(ticket), value, TICKET_SECONDS)
    except RedisError as error:
        raise _no_cache(error) from error
    events.record(instance, "console", by=ctx, detail=kind)
    return ticket


def page_path(kind: str, ticket: str) -> str:
    """The path and query of the page that shows the console to whoever has the ticket."""
    return f"{PAGES[kind]}?token={ticket}"


def peek(ticket: str) -> dict | None:
    """What the ticket is for: {"user", "project", "audit", "issued", "instance", "kind"}; None when it is worthless."""
    try:
        return cache.get(_key(ticket)) if ticket else None
    except RedisError as error:
        raise _no_cache(error) from error


def spend(ticket: str) -> dict | None:
    """As `peek`, and the ticket is worthless afterwards. Of several callers one gets the answer."""
    value = peek(ticket)
    try:
        return value if value and cache.delete(_key(ticket)) else None  # only one deletes it
    except RedisError as error:
        raise _no_cache(error) from error


def holder(value: dict) -> Context | None:
    """Who holds the ticket, with the rights they have now; None when they have lost them since."""
    issued = datetime.fromisoformat(value["issued"])
    return tokens.context_for(value["user"], value["project"], issued, value["audit"])


def console_log(ctx: Context, instance: Instance, lines: int | None = None) -> str:
    """The last `lines` (None: as many as 100 KiB hold) that the guest wrote to its serial line, "" when it never ran.

    Unavailable, with the hop that failed, when its host cannot be asked.
    """
    enforce(ctx, "os_compute_api:os-console-output", instance)
    if instance.host is None:
        return ""
    text = relay.console_log(instance.host, str(instance.pk), LOG_BYTES).decode(errors="replace")
    if lines is None:
        return text
    return "".join(text.splitlines(keepends=True)[-lines:]) if lines > 0 else ""


def plain(text: str) -> str:
    """A log for people: without the codes that move a terminal's cursor or colour its text."""
    return _CONTROL.sub("", _ESCAPE.sub("", _LINE_END.sub("\n", text)))


def _key(ticket: str) -> str:
    return "console." + hashlib.sha256(ticket.encode()).hexdigest()


def _no_cache(error: RedisError) -> Unavailable:
    log.warning("Console tickets: %s", error)
    return Unavailable(
        "Browser to portal: the portal's cache (Redis) does not answer. Try again in a moment."
    )
