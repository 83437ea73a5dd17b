"""Events as lines for people: the Activity tabs, the overview, the task drawer, the strip."""

from dataclasses import dataclass, replace
from datetime import datetime

from apps.core import navigation
from apps.core.context import Context
from apps.core.models import Event
from apps.core.templatetags.cloudpanel import family

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
    def what(self) -> str:
        """Without the name, on the object's own page: "Create", "Is active"."""
        return f"{self.verb}{self.rest}".strip()[:1].upper() + f"{self.verb}{self.rest}".strip()[1:]

    @property
    def text(self) -> str:
        return f"{self.verb} {self.name}{self.rest}".strip()


def _words(text: str) -> str:
    return text.replace("_", " ").replace("-", " ").strip().lower()


def _name(event: Event) -> str:
    """A nameless object is called by the beginning of its id."""
    return event.object_name if event.object_name != event.object_id else event.object_id[:8]


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
    # Down is how it shall be for a floating IP that leads nowhere, or a port of a stopped guest.
    status = "" if event.status.upper() == "DOWN" else event.status
    went_wrong = event.outcome == Event.Outcome.DONE and status and family(status) == "err"
    gone = event.action == "delete" or event.status.upper() == "DELETED"
    return Line(
        id=event.pk,
        at=event.at,
        who=event.user_name,
        status="failed" if went_wrong else OUTCOME_STATUS[event.outcome],
        verb=verb,
        name=_name(event) or (known.label.lower() if known else _words(event.model)),
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
    return joined(events.order_by("-id")[:limit])


def recent(ctx: Context, limit: int = 12) -> list[Line]:
    """What happened in the project, newest first, as people think of it: an action and its end are one line.

    Only kinds of resources that have a name in the portal; a port comes and goes with its instance.
    """
    events = Event.objects.filter(project_id=ctx.project_id, model__in=list(navigation.kinds()))
    return joined(events.order_by("-id")[: 3 * limit])[:limit]


def joined(events) -> list[Line]:
    """Lines of `events` (newest first), where what the cloud reports after an action is said of the action."""
    lines: list[Line] = []
    reports: dict[str, int] = {}  # object: where its report stands that no action has claimed yet
    over: set[str] = set()  # objects of which something newer is known: what began before has ended
    for event in events:
        now = line(event)
        if event.outcome == Event.Outcome.BEGUN:
            place = reports.pop(event.object_id, None)
            if place is not None:
                end = lines[place]
                reason = f": {end.detail}" if end.detail else ""
                lines[place] = replace(now, at=end.at, status=end.status, rest=reason, url=end.url)
                continue
            if event.object_id in over:
                now = replace(now, status="done")
            over.add(event.object_id)
        elif not event.user_name:
            reports[event.object_id] = len(lines)
            over.add(event.object_id)
        lines.append(now)
    return lines
