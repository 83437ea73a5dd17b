"""Browser sessions. A session remembers who, in which project and since when; it is checked like a token, each time."""

from datetime import datetime, timedelta

from django.conf import settings
from django.middleware.csrf import rotate_token
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from apps.core import events
from apps.core.context import Context
from apps.core.errors import NotFound
from apps.core.middleware import is_api
from apps.projects import tokens
from apps.projects.models import User
from apps.projects.standing import UNSCOPED


class SessionContext:
    """`request.ctx` is who asks, or None; `request.projects` where they may go. APIs ask for a token instead."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.ctx = None
        request.projects = ()
        if not is_api(request.path):
            request.ctx = context_from_session(request.session)
            if request.ctx is not None:
                request.ctx = request.ctx.with_request(request.id)
                user_id = request.ctx.user_id
                request.projects = SimpleLazyObject(lambda: tokens.available_projects(user_id))
        return self.get_response(request)


def context_from_session(session) -> Context | None:
    """Who the session is, or None; a session that was revoked is emptied. One query, also for websockets.

    When the remembered project is gone, another of the user's is remembered, or none when there is none.
    """
    user_id = session.get("user_id")
    if not user_id:
        return None
    audit_id = session["audit_id"]
    issued_at = datetime.fromisoformat(session["issued_at"])
    ctx = tokens.context_for(user_id, session["project_id"], issued_at, audit_id)
    if ctx is not None:
        return ctx
    for project_id in (*(project.pk for project in tokens.available_projects(user_id)), UNSCOPED):
        ctx = tokens.context_for(user_id, project_id, issued_at, audit_id)
        if ctx is not None:
            session["project_id"] = project_id
            return ctx
    session.flush()
    return None


def log_in(request, user: User, project_id: str = "") -> Context | None:
    """The browser is `user`, who has been authenticated, from now on: in that project, their default one, or any.

    None when they have been disabled meanwhile.
    """
    request.session.cycle_key()
    rotate_token(request)
    request.session["user_id"] = user.pk
    request.session["project_id"] = project_id or user.default_project_id or UNSCOPED
    _begin(request.session)
    if request.session["project_id"] == UNSCOPED:
        projects = tokens.available_projects(user.pk)
        request.session["project_id"] = projects[0].pk if projects else UNSCOPED
    request.ctx = context_from_session(request.session)
    if request.ctx is not None:
        request.ctx = request.ctx.with_request(request.id)
        events.record(user, "log_in", by=request.ctx)
    return request.ctx


def renew(request) -> None:
    """After its own change of password this session, alone of all, goes on."""
    _begin(request.session)
    request.session.cycle_key()


def _begin(session) -> None:
    session["issued_at"] = timezone.now().isoformat()
    session["audit_id"] = tokens.new_audit_id()


def switch_project(request, project_id: str) -> Context:
    """The browser works in that project from now on; NotFound when the user has no role there."""
    session = request.session
    issued_at = datetime.fromisoformat(session["issued_at"])
    ctx = tokens.context_for(session["user_id"], project_id, issued_at, session["audit_id"])
    if ctx is None or not project_id:
        raise NotFound(f"Could not find project: {project_id}.")
    session["project_id"] = project_id
    request.ctx = ctx.with_request(request.id)
    return request.ctx


def log_out(request) -> None:
    """The session has ended, also for copies of its cookie."""
    audit_id = request.session.get("audit_id")
    if audit_id:
        tokens.revoke(audit_id, timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))
    request.session.flush()
    request.ctx = None
