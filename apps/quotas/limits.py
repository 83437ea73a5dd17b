"""Which resources have a limit, what it is by default, and what counts them. Each app registers its own in `limits.py`."""

from collections.abc import Callable
from dataclasses import dataclass

Counter = Callable[[str], int | dict[str, int]]


@dataclass(frozen=True)
class Limited:
    """A resource with a limit. `unit` is empty for things that are simply counted."""

    resource: str  # the API's own word: "instances", "floatingip"
    default: int  # -1: unlimited
    service: str  # the API that shows and sets it: "compute", "network"
    title: str
    unit: str
    count: Counter


registry: dict[str, Limited] = {}


def counts(resource: str, default_limit: int, service: str, title: str, unit: str = ""):
    """Register `function(project_id)` as what counts `resource` in real rows.

    It returns the number; a function that answers several resources at once carries one decorator for each
    and returns {resource: number}.
    """

    def register(function: Counter) -> Counter:
        if resource in registry:
            raise ValueError(f"{resource} is counted already")
        registry[resource] = Limited(resource, default_limit, service, title, unit, function)
        return function

    return register


def of_service(service: str) -> list[Limited]:
    return [limited for limited in registry.values() if limited.service == service]
