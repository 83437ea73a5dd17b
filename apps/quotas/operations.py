"""Limits of projects: what is used, what is allowed, and the claim that makes the one fit the other.

Nothing used is ever stored: it is counted in real rows while the project is locked, so it cannot drift.
"""

from django.db import transaction

from apps.core import events
from apps.core.context import Context
from apps.core.errors import CloudError, NotFound, QuotaExceeded
from apps.core.policy import enforce
from apps.projects.models import Project
from apps.quotas.limits import Limited, of_service, registry
from apps.quotas.models import Limit

UNLIMITED = -1
LARGEST = 2**31 - 1

UPDATE_RULES = {"compute": "os_compute_api:os-quota-sets:update", "network": "update_quota"}
DELETE_RULES = {"compute": "os_compute_api:os-quota-sets:delete", "network": "delete_quota"}


def claim(project: Project | str, **asked: int) -> None:
    """Return when the project may have this much more; until the transaction ends nobody else claims in it.

    Call it in the transaction that inserts the rows, before they are inserted. Raises QuotaExceeded with
    {resource: {"asked", "used", "limit"}} for every resource that does not fit.
    """
    project_id = str(getattr(project, "pk", project))
    asked = {resource: number for resource, number in asked.items() if number > 0}
    if not asked:
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("claim() belongs into the transaction that inserts what is claimed")
    # On SQLite there is no row lock and no need of one: a transaction that writes is alone from its beginning.
    locked = Project.objects.select_for_update(no_key=True).filter(pk=project_id)
    if not locked.values_list("pk", flat=True):
        raise NotFound(f"Project {project_id} could not be found.")
    limits = limits_of(project_id, asked)
    limited = {resource: limit for resource, limit in limits.items() if limit != UNLIMITED}
    used = counted(project_id, limited)
    over = {
        resource: {"asked": asked[resource], "used": used[resource], "limit": limit}
        for resource, limit in limited.items()
        if used[resource] + asked[resource] > limit
    }
    if over:
        raise QuotaExceeded(_refusal(over), data=over)


def _refusal(over: dict[str, dict[str, int]]) -> str:
    """Compute's own sentence, which clients know."""

    def listed(word: str) -> str:
        return ", ".join(str(numbers[word]) for numbers in over.values())

    names = ", ".join(over)
    return (
        f"Quota exceeded for {names}: Requested {listed('asked')}, "
        f"but already used {listed('used')} of {listed('limit')} {names}"
    )


def counted(project_id: str, resources) -> dict[str, int]:
    """{resource: how much of it the project has}; each counter runs once, however many it answers."""
    result: dict[str, int] = {}
    for resource in resources:
        if resource in result:
            continue
        answer = registry[resource].count(project_id)
        result |= answer if isinstance(answer, dict) else {resource: answer}
    return {resource: result[resource] for resource in resources}


def defaults(service: str = "") -> dict[str, int]:
    return {limited.resource: limited.default for limited in _of(service)}


def limits_of(project_id: str, resources=None) -> dict[str, int]:
    """{resource: limit}, the project's own or else the default; -1: unlimited."""
    wanted = registry if resources is None else resources
    own = dict(
        Limit.objects.filter(project_id=project_id, resource__in=wanted).values_list("resource", "limit")
    )
    return {resource: own.get(resource, registry[resource].default) for resource in wanted}


def usage(project_id: str, service: str = "") -> dict[str, tuple[int, int]]:
    """{resource: (used, limit)} of one API, or of all."""
    resources = [limited.resource for limited in _of(service)]
    limits = limits_of(project_id, resources)
    used = counted(project_id, resources)
    return {resource: (used[resource], limits[resource]) for resource in resources}


def _of(service: str) -> list[Limited]:
    return of_service(service) if service else list(registry.values())


def set_limits(
    ctx: Context, *, project: Project, service: str, limits: dict[str, int], force: bool = False
) -> dict[str, int]:
    """Give `project` its own limits in `service`; returns all of them. Without `force` none may be below what is used.

    CloudError for an unknown resource and for what is no integer >= -1.
    """
    enforce(ctx, UPDATE_RULES[service])
    known = {limited.resource for limited in of_service(service)}
    for resource, limit in limits.items():
        if resource not in known:
            raise CloudError(f"'{resource}' is no resource with a quota here.", field=resource)
        if not isinstance(limit, int) or isinstance(limit, bool) or not UNLIMITED <= limit <= LARGEST:
            raise CloudError(
                f"Quota limit {limit} for {resource} must be an integer, -1 (unlimited) or more.",
                field=resource,
            )
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if not force:
            used = counted(project.pk, [resource for resource, limit in limits.items() if limit != UNLIMITED])
            for resource, number in used.items():
                if limits[resource] < number:
                    raise CloudError(
                        f"Quota limit {limits[resource]} for {resource} must be greater than or equal to already "
                        f"used and reserved {number}.",
                        field=resource,
                    )
        before = limits_of(project.pk, limits)
        for resource, limit in limits.items():
            Limit.objects.update_or_create(project=project, resource=resource, defaults={"limit": limit})
        changed = {
            resource: {"from": before[resource], "to": limit}
            for resource, limit in limits.items()
            if before[resource] != limit
        }
        events.record(project, "set_limits", by=ctx, data=changed)
    return limits_of(project.pk, known)


def reset_limits(ctx: Context, *, project: Project, service: str) -> None:
    """The defaults of `service` hold again for `project`."""
    enforce(ctx, DELETE_RULES[service])
    resources = [limited.resource for limited in of_service(service)]
    with transaction.atomic():
        Limit.objects.filter(project=project, resource__in=resources).delete()
        events.record(project, "reset_limits", by=ctx, data={"service": service})
