"""What each app shows of itself in the portal's frame. An app registers in its `urls.py`, beside its paths."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.urls import reverse

from apps.core.context import Context

GROUPS = ("", "Compute", "Storage", "Network", "Project", "Administration")


@dataclass(frozen=True)
class Entry:
    """A line of the navigation. `rows(ctx)` is what its count counts, `errors` which of those are in error.

    `rows` is called once in the life of the process (see `counting.count_for`): it may depend on nothing but
    `ctx.project_id`, `ctx.user_id` and the roles.
    """

    group: str
    label: str
    url_name: str
    icon: str
    rows: Callable[[Context], QuerySet] | None = None
    errors: Q | None = None
    order: int = 50  # within the group
    admin: bool = False  # only administrators see it


@dataclass(frozen=True)
class Kind:
    """A kind of resource that people know by name. Its model needs `visible_to` and `created_at`."""

    model: type
    label: str  # "Instance"
    icon: str
    url_name: str = ""  # of the page of one, which takes `pk`; "" where it has none
    list_url: str = ""  # of its list
    task: bool = False  # its promises and failures are tasks in the drawer
    search: tuple[str, ...] = ("name",)  # columns the palette looks into; the first that is filled is shown

    def url(self, pk) -> str:
        return reverse(self.url_name, args=[pk]) if self.url_name else ""


@dataclass(frozen=True)
class Action:
    """A page that does something, for the palette: "Launch instance"."""

    label: str
    url_name: str
    icon: str


_entries: list[Entry] = []
_kinds: dict[str, Kind] = {}
_actions: list[Action] = []


def entry(group: str, label: str, url_name: str, icon: str, **more) -> None:
    """Add a line to the navigation; see `Entry`."""
    if group not in GROUPS:
        raise ValueError(f"{group} is none of {GROUPS}")
    _entries.append(Entry(group, label, url_name, icon, **more))
    _entries.sort(key=lambda e: (GROUPS.index(e.group), e.order, e.label))


def kind(model, label: str, icon: str, **more) -> None:
    """Make a model known to palette, activity and task drawer; see `Kind`."""
    _kinds[model._meta.model_name] = Kind(model, label, icon, **more)


def action(label: str, url_name: str, icon: str) -> None:
    """Add an action to the palette."""
    _actions.append(Action(label, url_name, icon))


def entries(ctx: Context) -> list[Entry]:
    return [e for e in _entries if ctx.is_admin or not e.admin]


def kinds() -> dict[str, Kind]:
    """By the word that events use for the model."""
    return _kinds


def actions() -> list[Action]:
    return _actions


def link(model: str, object_id: str) -> str:
    """The page of an object that an event names, or ""."""
    known = _kinds.get(model)
    return known.url(object_id) if known and object_id else ""
