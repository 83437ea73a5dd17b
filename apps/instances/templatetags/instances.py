"""Which actions a row offers. A presentation of what the operations would say; they decide."""

from django import template

register = template.Library()

_POSSIBLE = {
    "console": {"ACTIVE", "PAUSED", "REBOOT", "HARD_REBOOT", "REBOOTING", "POWERING-OFF"},
    "start": {"SHUTOFF"},
    "stop": {"ACTIVE", "PAUSED"},
    "reboot": {"ACTIVE"},
    "hard-reboot": {"ACTIVE", "SHUTOFF", "PAUSED", "ERROR"},
}
_NOT = {
    "console": "There is no screen while it is {}",
    "start": "Only a stopped instance can be started; this one is {}",
    "stop": "Only a running instance can be stopped; this one is {}",
    "reboot": "Only a running instance can be rebooted; this one is {}",
    "hard-reboot": "Not while it is {}",
    "delete": "It is being deleted",
}


@register.filter
def can(instance, action) -> bool:
    status = str(instance.status).upper()
    if action == "delete":
        return not status.startswith("DELET")
    return status in _POSSIBLE[action]


@register.filter
def why_not(instance, action) -> str:
    """The reason in words where `can` is false, else nothing."""
    return (
        "" if can(instance, action) else _NOT[action].format(str(instance.status).lower().replace("_", " "))
    )


@register.filter
def actions(instance) -> str:
    """The possible ones, separated by spaces, for the script."""
    return " ".join(a for a in [*_POSSIBLE, "delete"] if can(instance, a))
