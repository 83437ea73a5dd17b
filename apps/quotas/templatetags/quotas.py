"""A refusal for want of quota, in words."""

from django import template

from apps.core.templatetags.cloudpanel import in_unit
from apps.quotas.limits import registry

register = template.Library()


@register.filter
def quota_lines(error) -> list[str]:
    """ "RAM: needs 4 GiB, 1 GiB of 8 GiB left." for each resource of a QuotaExceeded; nothing for other errors."""
    lines = []
    for resource, numbers in (getattr(error, "data", None) or {}).items():
        if resource not in registry or not isinstance(numbers, dict):
            continue
        known = registry[resource]
        left = max(0, numbers["limit"] - numbers["used"])
        asked, left, limit = (in_unit(n, known.unit) for n in (numbers["asked"], left, numbers["limit"]))
        lines.append(f"{known.title}: needs {asked}, {left} of {limit} left.")
    return lines
