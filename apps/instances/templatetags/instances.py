"""How an instance is shown: which actions a row offers, its step in words, the time line of its boot.

What is possible here is a presentation of what the operations would say; they decide.
"""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone

from apps.core.templatetags.cloudpanel import seconds

register = template.Library()

FRESH = timedelta(minutes=5)  # after that, a guest that never said it was ready is just up

_POSSIBLE = {
    "console": {"ACTIVE", "REBOOTING", "REBOOTING-HARD", "POWERING-OFF"},
    "start": {"SHUTOFF", "ERROR"},
    "stop": {"ACTIVE"},
    "reboot": {"ACTIVE"},
    "hard-reboot": {"ACTIVE", "SHUTOFF", "ERROR", "REBOOTING"},
}
_WHY_NOT = {
    "console": "There is no screen while it is {}.",
    "start": "Only a stopped instance can be started; this one is {}.",
    "stop": "Only a running instance can be stopped; this one is {}.",
    "reboot": "Only a running instance can be rebooted; this one is {}.",
    "hard-reboot": "It cannot be reset while it is {}.",
    "delete": "It is being deleted already.",
}


def _placed(instance) -> bool:
    """False for an instance that never reached a host: there is nothing to start, stop or look at."""
    return bool(getattr(instance, "host_id", None) or getattr(instance, "launched_at", None))


@register.filter
def can(instance, action) -> bool:
    status = str(instance.status).upper()
    if action == "delete":
        return not status.startswith("DELET")
    return status in _POSSIBLE[action] and (status != "ERROR" or _placed(instance))


@register.filter
def why_not(instance, action) -> str:
    """The reason in words where `can` is false, else nothing."""
    words = str(instance.status).lower().replace("_", " ").replace("-", " ")
    return "" if can(instance, action) else _WHY_NOT[action].format(words)


@register.filter
def possible(instance) -> str:
    """The actions that `can` allows, separated by spaces, for the script."""
    return " ".join(a for a in (*_POSSIBLE, "delete") if can(instance, a))


# step: (what was reached, what is being done until then)
_STEPS = {
    "placed": ("Placed on a host", "choosing a host"),
    "disk": ("Disk written", "writing the disk"),
    "port": ("Port bound", "binding the port"),
    "started": ("Started", "starting"),
    "address": ("Address by DHCP", "waiting for DHCP"),
    "metadata": ("Metadata asked", "waiting for the guest"),
    "ready": ("Ready", "waiting for the guest"),
}


@register.simple_tag
def progress_of(instance) -> dict:
    """Where an instance on its way is: `done` steps of `total`, the present step in `words`."""
    done = min(len(instance.timeline or []), len(_STEPS) - 1)
    following = list(_STEPS)[done]
    step = instance.step or following
    words = _STEPS[step][1] if step in _STEPS else step
    return {"done": done, "number": done + 1, "total": len(_STEPS), "words": words}


@register.filter
def is_booting(instance) -> bool:
    """It runs since a few minutes at most, and its guest has not said that it is ready."""
    begun = instance.boot_started_at or instance.created_at
    return timezone.now() - begun < FRESH and "ready" not in dict(instance.timeline or [])


@register.simple_tag
def boot_of(instance) -> dict:
    """The last boot: `rows` on a common time axis, whether it `is_ready` and after how long, for what it is `waiting`.

    A row has a label, a state (done, running, failed, waiting), left and width in percent, seconds and, while it
    runs, since when. Times come from the instance's `timeline`; its first step is counted from the request.
    """
    reached = {step: datetime.fromisoformat(at) for step, at in instance.timeline or []}
    status = str(instance.status).upper()
    is_ready = "ready" in reached
    failed = status == "ERROR" and not is_ready
    over = status in ("ERROR", "SHUTOFF", "DELETING", "DELETED")
    begin = instance.boot_started_at or min([instance.created_at, *reached.values()])
    end = max(reached.values()) if is_ready else instance.status_since if over else timezone.now()
    whole = max((end - begin).total_seconds(), 0.001)
    rows, before, present = [], begin, None
    for step, (label, doing) in _STEPS.items():
        left = (before - begin).total_seconds()
        if step in reached:
            taken = max((reached[step] - before).total_seconds(), 0)
            rows.append(_row(label, "done", left, taken, whole, last=step == "ready"))
            before = max(reached[step], before)
        elif is_ready:
            continue  # a guest with a config drive never asks for metadata
        elif present or (over and not failed):
            rows.append(_row(label, "waiting", 0, None, whole))
        else:
            shown = label if failed else doing[:1].upper() + doing[1:]
            present = _row(shown, "failed" if failed else "running", left, whole - left, whole)
            present["since"] = before
            rows.append(present)
    return {
        "rows": rows,
        "is_ready": is_ready,
        "ready_after": seconds((before - begin).total_seconds()),
        "is_fresh": timezone.now() - begin < FRESH,
        "waiting": present["label"] if present and not failed else "",
        "failed": failed,
        "begun": begin,
    }


def _row(label, state, left, taken, whole, last=False) -> dict:
    width = 0 if taken is None else max(taken / whole * 100, 0.6) if whole > 0.05 else 0.6
    left = min(left / whole * 100, 99.4)
    return {
        "label": label,
        "state": state,
        "css": {"running": "p", "failed": "x"}.get(state, "r" if last else ""),
        "left": f"{left:.1f}%",
        "width": f"{min(width, 100 - left):.1f}%",
        "seconds": taken,
    }
