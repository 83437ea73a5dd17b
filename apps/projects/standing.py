"""What somebody may do now: read anew for each request, in one query."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from apps.core.context import Context
from apps.projects.models import Assignment, RevokedToken, Role, User

UNSCOPED = ""
SYSTEM = "system"


@dataclass(frozen=True)
class Party:
    """A user or a project with its domain, as a token's body names them."""

    id: str
    name: str
    domain_id: str
    domain_name: str


@dataclass(frozen=True)
class Standing:
    """Who somebody is and what they may do in a scope, as the database says now."""

    user: Party
    project: Party | None = None
    system: bool = False
    assigned: tuple[str, ...] = ()  # role names, without those they imply

    def context(self, audit_id: str = "") -> Context:
        return Context(
            user_id=self.user.id,
            user_name=self.user.name,
            user_domain_id=self.user.domain_id,
            project_id=self.project.id if self.project else "",
            project_name=self.project.name if self.project else "",
            project_domain_id=self.project.domain_id if self.project else "",
            roles=Role.with_implied(self.assigned),
            audit_id=audit_id,
        )


def standing(
    user_id: str, scope: str, *, audit_id: str = "", issued_at: datetime | None = None
) -> Standing | None:
    """What the user may do in the scope now: None when they may not be there, or what they show was revoked.

    `scope` is UNSCOPED, SYSTEM or a project's id; `issued_at`: when what they show was issued, without it now.
    """
    query = {UNSCOPED: _unscoped, SYSTEM: _in_system}.get(scope, _in_project)
    rows = query.rows(user=user_id, scope=scope, audit=audit_id, issued=issued_at or timezone.now())
    if not rows:
        return None
    user = Party(*rows[0][:4])
    if scope == UNSCOPED:
        return Standing(user)
    roles = tuple(row[4] for row in rows)
    if scope == SYSTEM:
        return Standing(user, system=True, assigned=roles)
    return Standing(user, Party(*rows[0][5:9]), assigned=roles)


class _Written:
    """A query that the ORM writes once a process, and that is run with other values each time.

    Writing this SQL takes the ORM twenty times as long as the database takes to answer it, and every request
    asks it. It selects text only: what comes back is not converted.
    """

    PLACES = {
        "user": "<user>",
        "scope": "<scope>",
        "audit": "<audit>",
        "issued": datetime(1, 1, 1, tzinfo=UTC),
    }

    def __init__(self, build: Callable[..., QuerySet]):
        self.build = build
        self.written: tuple[str, list] | None = None

    def rows(self, **values) -> list[tuple]:
        if self.written is None:
            places = {_adapted(place): name for name, place in self.PLACES.items()}
            sql, params = self.build(**self.PLACES).query.sql_with_params()
            self.written = sql, [(places.get(param), param) for param in params]
        sql, parts = self.written
        with connection.cursor() as cursor:
            cursor.execute(sql, [_adapted(values[name]) if name else constant for name, constant in parts])
            return cursor.fetchall()


def _adapted(value):
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def _holds(prefix: str, issued) -> Q:
    """It is enabled, its domain too, and what was issued then is not revoked as a whole."""
    after = f"{prefix}tokens_valid_after"
    enabled = Q(**{f"{prefix}enabled": True, f"{prefix}domain__enabled": True})
    return enabled & (Q(**{after: None}) | Q(**{f"{after}__lte": issued}))


def _party(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{column}" for column in ("id", "name", "domain_id", "domain__name"))


@_Written
def _unscoped(user, scope, audit, issued):
    revoked = Exists(RevokedToken.objects.filter(audit_id=audit))
    return User.objects.filter(_holds("", issued), ~revoked, pk=user).values_list(*_party(""))


@_Written
def _in_system(user, scope, audit, issued):
    revoked = Exists(RevokedToken.objects.filter(audit_id=audit))
    found = Assignment.objects.filter(_holds("user__", issued), ~revoked, user=user, project=None)
    return found.values_list(*_party("user__"), "role__name")


@_Written
def _in_project(user, scope, audit, issued):
    revoked = Exists(RevokedToken.objects.filter(audit_id=audit))
    holds = _holds("user__", issued) & _holds("project__", issued)
    found = Assignment.objects.filter(holds, ~revoked, user=user, project=scope)
    return found.values_list(*_party("user__"), "role__name", *_party("project__"))


@_Written
def _all_roles(**places):
    return Role.objects.order_by("name").values_list("name", "pk")


def roles_of(found: Standing) -> list[dict]:
    """The roles in effect, those that are implied included: [{"id", "name"}] by name."""
    names = Role.with_implied(found.assigned)
    return [{"id": pk, "name": name} for name, pk in _all_roles.rows() if name in names]
