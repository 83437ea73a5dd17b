"""What may be asked of identity. Whatever takes something away from somebody counts from their next request on."""

import contextlib
import functools
import logging

from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q
from django.utils import timezone

from apps.core import events, live
from apps.core.context import Context
from apps.core.errors import CloudError, Conflict, Forbidden, NotFound, Unauthorized
from apps.core.policy import enforce
from apps.projects import throttle
from apps.projects.models import Assignment, Domain, Project, Role, User

log = logging.getLogger(__name__)

UNAUTHENTICATED = "The request you have made requires authentication."
LONGEST_PASSWORD = 4096  # characters


# --- who somebody is --------------------------------------------------------------------------------


@functools.cache
def _nobodys_password() -> str:
    return make_password("nobody")


def authenticate(
    name: str,
    password: str,
    domain: str = "default",
    *,
    user_id: str = "",
    domain_name: str = "",
    address: str = "",
) -> User:
    """The user with this password, found by `user_id`, or by name in the domain (its id, or `domain_name`).

    Unauthorized, in the same words and after the same time, for an unknown user, a wrong password and one who is
    disabled. `address` is the caller's: after some failures of user and address together, TooSoon (an
    Unauthorized with status 429, whose message says how long) until a pause is over.
    """
    key = throttle.key_of(user_id or f"{name}@{domain_name or domain}", address)
    throttle.take_turn(key)
    users = User.objects.select_related("domain")
    if user_id:
        user = users.filter(pk=user_id).first()
    elif domain_name:
        user = users.filter(name=name, domain__name=domain_name).first()
    else:
        user = users.filter(name=name, domain_id=domain).first()
    right = check_password(password[:LONGEST_PASSWORD], user.password if user else _nobodys_password())
    if not (right and user and user.enabled and user.domain.enabled):
        count = throttle.failed(key)
        log.warning(
            "Log-in refused: user %s from %s, failure %d in a row", user_id or name, address or "here", count
        )
        raise Unauthorized(UNAUTHENTICATED)
    throttle.succeeded(key)
    return user


def change_password(ctx: Context, *, original: str, password: str, address: str = "") -> User:
    """The caller's own password is `password`; their tokens and sessions have ended.

    Unauthorized when `original` is wrong.
    """
    user = authenticate("", original, user_id=ctx.user_id, address=address)
    hashed = _hashed(password)
    with transaction.atomic():
        user.password = hashed
        user.password_changed_at = user.tokens_valid_after = timezone.now()
        user.save(update_fields=["password", "password_changed_at", "tokens_valid_after"])
        events.record(user, "change_password", by=ctx)
        live.recheck(user.pk)
    return user


def _hashed(password: str | None) -> str:
    """Slow on purpose: never inside a transaction."""
    if password is not None and not 0 < len(password) <= LONGEST_PASSWORD:
        raise CloudError(f"A password has 1 to {LONGEST_PASSWORD} characters.", field="password")
    return make_password(password)


# --- users, projects, domains -----------------------------------------------------------------------


def create_user(
    ctx: Context, *, name: str, password: str | None = None, domain: Domain | None = None, **attributes
) -> User:
    """A user; without a password nobody can log in as them. `attributes` are columns of User."""
    enforce(ctx, "identity:create_user")
    domain = domain or _domain_of(ctx)
    user = User(name=_name(name, 255), domain=domain, password=_hashed(password), **attributes)
    return _insert(ctx, user, f"at domain ID {domain.pk}")


def update_user(ctx: Context, *, user: User, password: str | None = None, **changes) -> User:
    """`changes` are columns of User. A new password and disabling end their tokens and sessions."""
    enforce(ctx, "identity:update_user", user)
    if "name" in changes:
        changes["name"] = _name(changes["name"], 255)
    now = timezone.now()
    if password is not None:
        changes |= {"password": _hashed(password), "password_changed_at": now, "tokens_valid_after": now}
    if changes.get("enabled") is False:
        changes["tokens_valid_after"] = now
    with transaction.atomic():
        if "tokens_valid_after" in changes:
            live.recheck(user.pk)
        return _update(ctx, user, changes)


def delete_user(ctx: Context, *, user: User) -> None:
    enforce(ctx, "identity:delete_user", user)
    with transaction.atomic():
        live.recheck(user.pk)
        _delete(ctx, user)


def create_project(ctx: Context, *, name: str, domain: Domain | None = None, **attributes) -> Project:
    """An empty project in which nobody has a role yet."""
    enforce(ctx, "identity:create_project")
    domain = domain or _domain_of(ctx)
    project = Project(name=_name(name, 64), domain=domain, **attributes)
    return _insert(ctx, project, f"at domain ID {domain.pk}")


def update_project(ctx: Context, *, project: Project, **changes) -> Project:
    """Disabling a project ends all tokens for it; what runs in it goes on."""
    enforce(ctx, "identity:update_project", project)
    if "name" in changes:
        changes["name"] = _name(changes["name"], 64)
    if changes.get("enabled") is False:
        changes["tokens_valid_after"] = timezone.now()
    with transaction.atomic():
        if "tokens_valid_after" in changes:
            _recheck(Assignment.objects.filter(project=project))
        return _update(ctx, project, changes)


def _recheck(assignments) -> None:
    """The open pages of those who have these roles look whether they may still be open."""
    for user_id in assignments.values_list("user_id", flat=True).distinct():
        live.recheck(user_id)


def delete_project(ctx: Context, *, project: Project) -> None:
    """Conflict while anything is left in it."""
    enforce(ctx, "identity:delete_project", project)
    _delete(ctx, project)


def create_domain(ctx: Context, *, name: str, **attributes) -> Domain:
    enforce(ctx, "identity:create_domain")
    return _insert(ctx, Domain(name=_name(name, 64), **attributes), "")


def update_domain(ctx: Context, *, domain: Domain, **changes) -> Domain:
    """Disabling a domain ends all tokens of its users and for its projects."""
    enforce(ctx, "identity:update_domain", domain)
    if "name" in changes:
        changes["name"] = _name(changes["name"], 64)
    with transaction.atomic():
        if changes.get("enabled") is False:
            now = timezone.now()
            domain.users.update(tokens_valid_after=now)
            domain.projects.update(tokens_valid_after=now)
            _recheck(Assignment.objects.filter(Q(user__domain=domain) | Q(project__domain=domain)))
        return _update(ctx, domain, changes)


def delete_domain(ctx: Context, *, domain: Domain) -> None:
    """Forbidden while it is enabled, Conflict while it has users or projects."""
    enforce(ctx, "identity:delete_domain", domain)
    if domain.enabled:
        raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
    _delete(ctx, domain)


def _domain_of(ctx: Context) -> Domain:
    return Domain.objects.get(pk=ctx.project_domain_id or ctx.user_domain_id or "default")


def _name(name: str, longest: int) -> str:
    if not name.strip() or len(name) > longest:
        raise CloudError(f"A name has 1 to {longest} characters.", field="name")
    return name


def _insert(ctx: Context, obj, where: str):
    with _no_duplicate(obj, where), transaction.atomic():
        obj.save(force_insert=True)
        events.record(obj, "create", by=ctx)
    return obj


def _update(ctx: Context, obj, changes: dict):
    for name, value in changes.items():
        setattr(obj, name, value)
    if changes:
        with _no_duplicate(obj, "in this domain"), transaction.atomic():
            obj.save(update_fields=list(changes))
            events.record(obj, "update", by=ctx, data={"changed": sorted(changes)})
    return obj


@contextlib.contextmanager
def _no_duplicate(obj, where: str):
    try:
        yield
    except IntegrityError as error:
        raise Conflict(
            f"Conflict occurred attempting to store {obj.kind} - Duplicate entry found with name {obj.name} "
            f"{where}".rstrip()
            + "."
        ) from error


def _delete(ctx: Context, obj) -> None:
    try:
        with transaction.atomic():
            events.record(obj, "delete", by=ctx)
            obj.delete()
    except ProtectedError as error:
        left = sorted({str(row._meta.verbose_name_plural) for row in error.protected_objects})
        raise Conflict(
            f"{obj.kind.capitalize()} {obj} still has {', '.join(left)}; delete them first."
        ) from None


# --- roles ------------------------------------------------------------------------------------------


@transaction.atomic
def assign(ctx: Context, *, user: User, role: Role, project: Project | None = None) -> Assignment:
    """`user` has `role` in `project`, or in the whole system. Doing it twice changes nothing."""
    enforce(ctx, "identity:create_grant" if project else "identity:create_system_grant_for_user")
    assignment, made = Assignment.objects.get_or_create(user=user, role=role, project=project)
    if made:
        events.record(user, "assign", by=ctx, detail=str(assignment), data=_grant(role, project))
    return assignment


@transaction.atomic
def unassign(ctx: Context, *, user: User, role: Role, project: Project | None = None) -> None:
    """NotFound when there is nothing to take away."""
    enforce(ctx, "identity:revoke_grant" if project else "identity:revoke_system_grant_for_user")
    assignment = Assignment.objects.filter(user=user, role=role, project=project).first()
    if assignment is None:
        raise NotFound(f"Could not find role assignment with role: {role.pk}, user: {user.pk}.")
    detail = str(assignment)
    assignment.delete()
    live.recheck(user.pk)
    events.record(user, "unassign", by=ctx, detail=detail, data=_grant(role, project))


def _grant(role: Role, project: Project | None) -> dict:
    return {"role": role.name, "project_id": project.pk if project else ""}
