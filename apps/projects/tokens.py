"""Tokens: sealed with Fernet, written down nowhere, and checked against the database each time they are shown.

A token says who, where and since when. What that is worth is read anew, in one query: a changed password, a
disabled user or project, a role taken away and a revoked token count from the next request on.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from cryptography.fernet import InvalidToken
from django.utils import timezone

from apps.core.context import Context
from apps.projects.keys import GRACE, fernet
from apps.projects.models import Assignment, Project, RevokedToken
from apps.projects.standing import SYSTEM, Standing, standing
from cloudpanel import config

LONGEST = 2048  # characters of a token that is worth opening

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Token:
    """What a token says. `scope` is UNSCOPED, SYSTEM or a project's id."""

    user_id: str
    scope: str
    methods: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    audit_ids: tuple[str, ...]  # its own, then that of the token it was made from
    value: str = ""

    @property
    def audit_id(self) -> str:
        return self.audit_ids[0]


def new_audit_id() -> str:
    return secrets.token_urlsafe(16)


def issue(
    user_id: str,
    project_id: str = "",
    *,
    system: bool = False,
    methods: tuple[str, ...] = ("password",),
    parent: Token | None = None,
) -> Token:
    """A token for the project, the system or, without either, no scope. It ends with `parent`, when made from one.

    Nothing is checked here: the caller has `standing`.
    """
    now = timezone.now()
    token = Token(
        user_id=user_id,
        scope=SYSTEM if system else project_id,
        methods=methods,
        issued_at=now,
        expires_at=parent.expires_at
        if parent
        else (now + timedelta(hours=config.TOKEN_HOURS)).replace(microsecond=0),
        audit_ids=(new_audit_id(), parent.audit_ids[-1]) if parent else (new_audit_id(),),
    )
    content = [
        token.user_id,
        token.scope,
        token.methods,
        (token.issued_at - _EPOCH) // _MICROSECOND,
        int(token.expires_at.timestamp()),
        token.audit_ids,
    ]
    value = fernet().encrypt(orjson.dumps(content)).decode()
    return Token(**{**token.__dict__, "value": value})


def decode(value: str, *, allow_expired: bool = False) -> Token | None:
    """What the token says, or None when it is not ours or has expired (with `allow_expired`: two days ago)."""
    if len(value) > LONGEST:
        return None
    try:
        content = orjson.loads(fernet().decrypt(value.encode()))
    except (InvalidToken, ValueError):
        return None
    user_id, scope, methods, issued, expires, audit_ids = content
    expires_at = datetime.fromtimestamp(expires, UTC)
    if expires_at + timedelta(seconds=GRACE if allow_expired else 0) <= timezone.now():
        return None
    return Token(
        user_id=user_id,
        scope=scope,
        methods=tuple(methods),
        issued_at=_EPOCH + issued * _MICROSECOND,
        expires_at=expires_at,
        audit_ids=tuple(audit_ids),
        value=value,
    )


def standing_of(token: Token) -> Standing | None:
    return standing(token.user_id, token.scope, audit_id=token.audit_id, issued_at=token.issued_at)


def context_from_token(value: str) -> Context | None:
    """Who asks, by the token in their hand; None when it is worth nothing (any more)."""
    token = decode(value)
    found = standing_of(token) if token else None
    return found.context(token.audit_id) if token and found else None


def context_for(
    user_id: str, project_id: str = "", issued_at: datetime | None = None, audit_id: str = ""
) -> Context | None:
    """Who asks, by what a browser session remembers; None as for a token."""
    found = standing(user_id, project_id, audit_id=audit_id, issued_at=issued_at)
    return found.context(audit_id) if found else None


def revoke(audit_id: str, expires_at: datetime) -> None:
    """Whatever carries `audit_id`, a token or a session, is worth nothing from now on."""
    RevokedToken.objects.get_or_create(audit_id=audit_id, defaults={"expires_at": expires_at})
    RevokedToken.objects.filter(expires_at__lt=timezone.now() - timedelta(seconds=GRACE)).delete()


def available_projects(user_id: str) -> list[Project]:
    """The projects where the user has a role and could work now, by name."""
    mine = Assignment.objects.filter(user_id=user_id, project__isnull=False).values("project_id")
    projects = Project.objects.filter(pk__in=mine, enabled=True, domain__enabled=True)
    return list(projects.select_related("domain").order_by("name", "pk"))
