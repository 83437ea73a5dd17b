"""Events as lines for people: the Activity tabs, the overview, the task drawer, the strip."""

from dataclasses import dataclass
from datetime import datetime

from apps.core import navigation
from apps.core.context import Context
from apps.core.models import Event

_VERBS = {  # what is said of an action that is not simply its own word
    "log_in": "Log in",
    "os-start": "Start",
    "os-stop": "Stop",
    "powering-on": "Start",
    "powering-off": "Stop",
    "rebooting": "Reboot",
    "rebooting-hard": "Hard reboot",
    "deleting": "Delete",
}
OUTCOME_STATUS = {  # words that the status table knows
    Event.Outcome.BEGUN: "begun",
    Event.Outcome.DONE: "done",
    Event.Outcome.FAILED: "failed",
    Event.Outcome.REFUSED: "refused",
}


@dataclass(frozen=True)
class Line:
    """`verb` `name` `rest`: "Create" "web-01" ": no host fits", or "" "web-01" " is active". `url` leads to the object."""

    id: int
    at: datetime
    who: str  # "" where the cloud itself acted
    status: str  # begun, done, failed, refused
    verb: str
    name: str
    rest: str
    url: str
    kind: str  # "Instance"
    detail: str
    request_id: str
    object_id: str
    model: str

    @property
    def text(self) -> str:
        return f"{self.verb} {self.name}{self.rest}".strip()


def _words(text: str) -> str:
    return text.replace("_", " ").replace("-", " ").strip().lower()


def line(event: Event) -> Line:
    known = navigation.kinds().get(event.model)
    seen = event.action == event.status.lower() and event.outcome == Event.Outcome.DONE
    if seen:
        verb, rest = "", f" is {_words(event.status)}"
    else:
        verb = _VERBS.get(event.action) or _words(event.action).capitalize()
        rest = ""
    if event.detail:
        rest += f": {event.detail}"
    gone = event.action == "delete" or event.status.upper() == "DELETED"
    return Line(
        id=event.pk,
        at=event.at,
        who=event.user_name,
        status=OUTCOME_STATUS[event.outcome],
        verb=verb,
        name=event.object_name or (known.label.lower() if known else _words(event.model)),
        rest=rest,
        url="" if gone else navigation.link(event.model, event.object_id),
        kind=known.label if known else _words(event.model).capitalize(),
        detail=event.detail,
        request_id=event.request_id,
        object_id=event.object_id,
        model=event.model,
    )


def activity_of(ctx: Context, object_id, limit: int = 100) -> list[Line]:
    """What happened to one object, newest first; only what happened in `ctx`'s project."""
    events = Event.objects.filter(object_id=str(object_id))
    if not ctx.is_admin:
        events = events.filter(project_id=ctx.project_id)
    return [line(event) for event in events.order_by("-id")[:limit]]


def recent(ctx: Context, limit: int = 12) -> list[Line]:
    """What happened in the project, newest first."""
    return [line(e) for e in Event.objects.filter(project_id=ctx.project_id).order_by("-id")[:limit]]
