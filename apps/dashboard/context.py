"""The context processor behind `templates/base.html`. What costs a query is made when a template asks for it."""

from django.utils.functional import SimpleLazyObject

from apps.core.context import Context
from apps.dashboard.shell import Shell
from cloudpanel import config

THEMES = ("light", "dark", "system")
THEME_COOKIE = "theme"


def theme_of(request) -> str:
    theme = request.COOKIES.get(THEME_COOKIE)
    return theme if theme in THEMES else "system"


def shell(request) -> dict:
    common = {
        "theme": theme_of(request),
        "fake_engine": config.COMPUTE == "fake",
        "region": config.REGION,
        "ctx": None,
    }
    ctx: Context | None = getattr(request, "ctx", None)
    if ctx is None:
        return common
    frame = Shell(request)
    return common | {
        "ctx": {
            "user_id": ctx.user_id,
            "user_name": ctx.user_name,
            "project_id": ctx.project_id,
            "project_name": ctx.project_name,
            "is_admin": ctx.is_admin,
            "roles": ctx.roles,
            "projects": lambda: [(project.pk, project.name) for project in request.projects],
        },
        "nav": SimpleLazyObject(lambda: frame.nav),
        "strip": SimpleLazyObject(lambda: frame.strip),
    }
