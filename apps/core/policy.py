"""Who may do what: OpenStack's rule names, declared once in each app's `policies.py`."""

from collections.abc import Callable

from apps.core.context import Context
from apps.core.errors import Forbidden, NotFound

Check = Callable[[Context], bool]


def _role(name: str, needs: str, *, in_project: bool = True) -> Check:
    """A role given for the whole system is none in a project: whoever asks for it has chosen no project."""

    def check(ctx: Context) -> bool:
        return name in ctx.roles and (bool(ctx.project_id) or not in_project)

    check.needs = needs  # type: ignore[attr-defined]
    return check


# Roles imply each other (admin > manager > member > reader), so a check names the least one.
READER = _role("reader", "the role reader in this project")
MEMBER = _role("member", "the role member in this project")
MANAGER = _role("manager", "the role manager in this project")
ADMIN = _role("admin", "the role admin", in_project=False)
SERVICE = _role("service", "the role service", in_project=False)

_rules: dict[str, Check] = {}


def declare(rules: dict[str, Check]) -> None:
    """Add rules; a rule is declared once."""
    twice = _rules.keys() & rules.keys()
    if twice:
        raise ValueError(f"declared twice: {sorted(twice)}")
    _rules.update(rules)


def allowed(ctx: Context, rule: str) -> bool:
    return _rules[rule](ctx)


def enforce(ctx: Context, rule: str, target=None) -> None:
    """Return when `ctx` may do `rule` to `target`.

    Raises NotFound for another project's target, Forbidden when the role is missing. A target that
    every project may see (public, shared) still has one owner: writes to it are the owner's.
    """
    owner = getattr(target, "project_id", None)
    if owner and owner != ctx.project_id and not ctx.is_admin:
        raise NotFound(f"{target.kind.capitalize()} {target.pk} could not be found.")
    check = _rules[rule]
    if not check(ctx):
        raise Forbidden(
            f"Policy doesn't allow {rule} to be performed. It needs {check.needs}."  # type: ignore[attr-defined]
        )
