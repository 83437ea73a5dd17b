"""What the frame of every page shows: navigation with its counts, tasks that run or failed, the last event."""

import functools
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from apps.core import counting, navigation
from apps.core.activity import Line, joined, line
from apps.core.context import Context
from apps.core.models import Event, Reconciled

REMEMBERED = timedelta(days=1)  # failures older than this are no tasks any more
CLEARED = "tasks_cleared"  # session key: when failed tasks were put away


def task_kinds() -> list[navigation.Kind]:
    return [k for k in navigation.kinds().values() if k.task and issubclass(k.model, Reconciled)]


def running_rows(kind: navigation.Kind, ctx: Context):
    """The project's rows that are on their way to another status."""
    rows = kind.model._base_manager.filter(project_id=ctx.project_id, due_at__isnull=False)
    return rows.filter(status__in=[str(s) for s in kind.model.PROMISES])


def failures_since(session) -> datetime:
    """Older failures are no tasks any more, or have been put away."""
    since = timezone.now() - REMEMBERED
    return max(since, datetime.fromisoformat(session[CLEARED])) if session.get(CLEARED) else since


def failed_events(ctx: Context, since: datetime):
    models = [k.model._meta.model_name for k in task_kinds()]
    return Event.objects.filter(
        project_id=ctx.project_id, at__gt=since, outcome=Event.Outcome.FAILED, model__in=models
    )


@functools.cache
def _counted(
    entries: tuple[navigation.Entry, ...], kinds: tuple[navigation.Kind, ...]
) -> dict[str, counting.Rows]:
    """What is counted: "url_name" and "url_name!" (in error) of entries, "model running" of kinds, "failed"."""
    asked: dict[str, counting.Rows] = {}
    for entry in entries:
        if entry.rows:
            asked[entry.url_name] = entry.rows
            if entry.errors:
                asked[f"{entry.url_name}!"] = functools.partial(_in_error, entry)
    for kind in kinds:
        asked[f"{kind.model._meta.model_name} running"] = functools.partial(running_rows, kind)
    asked["failed"] = functools.partial(failed_events, since=counting.SINCE)
    return asked


def _in_error(entry: navigation.Entry, ctx: Context):
    return entry.rows(ctx).filter(entry.errors)


class Shell:
    """One query for all numbers, one for the last event; neither unless a template asks."""

    def __init__(self, request):
        self.request, self.ctx = request, request.ctx

    @cached_property
    def numbers(self) -> dict[str, int]:
        asked = _counted(tuple(navigation.entries(self.ctx)), tuple(task_kinds()))
        return counting.count_for(self.ctx, asked, failures_since(self.request.session))

    @cached_property
    def nav(self) -> list[dict]:
        """[{"title", "items": [{"url", "icon", "label", "count", "errors", "current"}]}]"""
        entries = [(entry, reverse(entry.url_name)) for entry in navigation.entries(self.ctx)]
        here = max((url for _, url in entries if self.request.path.startswith(url)), key=len, default="")
        groups: dict[str, list[dict]] = {}
        for entry, url in entries:
            item = {
                "url": url,
                "icon": entry.icon,
                "label": entry.label,
                "count": self.numbers.get(entry.url_name),
                "errors": self.numbers.get(f"{entry.url_name}!", 0),
                "current": url == here and (url != "/" or self.request.path == "/"),
            }
            groups.setdefault(entry.group, []).append(item)
        return [{"title": title, "items": items} for title, items in groups.items()]

    @cached_property
    def strip(self) -> dict:
        """{"running", "failed", "last": the last line of the project's events, or None}"""
        return {
            "running": sum(number for name, number in self.numbers.items() if name.endswith(" running")),
            "failed": self.numbers["failed"],
            "last": self.last,
        }

    @cached_property
    def last(self) -> Line | None:
        told = Event.objects.filter(project_id=self.ctx.project_id, model__in=list(navigation.kinds()))
        event = told.order_by("-id").first()
        return line(event) if event else None


def tasks(ctx: Context, session) -> dict:
    """{"running", "failed", "done"}, newest first; four queries and one for each kind of resource.

    Running ones are rows on their way: {"kind", "name", "url", "status", "step", "progress", "since", "fault"};
    failed and done ones are lines of activity.
    """
    running = []
    for kind in task_kinds():
        for row in running_rows(kind, ctx).order_by("-status_since")[:50]:
            running.append(
                {
                    "kind": kind.label,
                    "id": row.pk,
                    "name": str(row),
                    "url": kind.url(row.pk),
                    "status": row.status,
                    "step": row.step,
                    "progress": row.progress,
                    "since": row.status_since,
                    "fault": row.fault,
                }
            )
    running.sort(key=lambda task: task["since"], reverse=True)
    models = [k.model._meta.model_name for k in task_kinds()]
    happened = Event.objects.filter(project_id=ctx.project_id, model__in=models).order_by("-id")
    return {
        "running": running,
        "failed": [line(e) for e in failed_events(ctx, failures_since(session)).order_by("-id")[:50]],
        "done": [task for task in joined(happened[:60]) if task.status == "done"][:20],
    }
