"""Write what happened, tell open pages, wake followers."""

from django.apps import apps
from django.utils import timezone

from apps.core import live
from apps.core.context import Context
from apps.core.errors import CloudError
from apps.core.models import Event, Follow


def record(
    obj,
    action: str,
    *,
    by: Context | None = None,
    outcome: str = Event.Outcome.DONE,
    detail: str = "",
    data: dict | None = None,
    new: bool = False,
) -> Event:
    """Append the event about `obj`; after the commit its project's pages hear of it and its followers are marked.

    `new`: the row was inserted just now, so nobody follows it.
    """
    event = Event(
        project_id=getattr(obj, "project_id", None) or "",
        user_id=by.user_id if by else "",
        user_name=by.user_name if by else "",
        request_id=by.request_id if by else "",
        model=obj.kind,
        object_id=str(obj.pk),
        object_name=str(obj)[:255],
        action=action,
        status=getattr(obj, "status", ""),
        outcome=outcome,
        detail=detail,
        data=data,
    )
    event.save(force_insert=True)
    changed(obj, action)
    if not new:
        wake(str(obj.pk))
    return event


def changed(obj, action: str = "") -> None:
    """Tell pages to look again at `obj`, without an event (a step, a progress)."""
    live.tell(
        getattr(obj, "project_id", None) or "",
        {
            "type": "changed",
            "model": obj.kind,
            "id": str(obj.pk),
            "name": str(obj),
            "action": action,
            "status": getattr(obj, "status", ""),
            "at": timezone.now().isoformat(),
        },
        user_id=getattr(obj, "user_id", None) or "",  # a key pair is in no project
    )


def refused(
    ctx: Context | None, error: CloudError, *, model: str, action: str, name: str = "", object_id=""
) -> None:
    """Append that `ctx` was refused; called by the view layer after the rollback."""
    if ctx is None:
        return
    Event.objects.create(
        project_id=ctx.project_id,
        user_id=ctx.user_id,
        user_name=ctx.user_name,
        request_id=ctx.request_id,
        model=model,
        object_id=str(object_id),
        object_name=name[:255],
        action=action,
        outcome=Event.Outcome.REFUSED,
        detail=error.message,
        data=error.data or None,
    )


def follow(row, object_id) -> None:
    """Mark `row` once when the object changes. Follow first and look at the object afterwards, or its change is missed."""
    Follow.objects.get_or_create(
        object_id=str(object_id), label=row._meta.label_lower, follower_id=str(row.pk)
    )


def wake(object_id: str) -> None:
    from apps.core.lifecycle import mark

    followers = list(Follow.objects.filter(object_id=object_id))
    if not followers:
        return
    Follow.objects.filter(pk__in=[f.pk for f in followers]).delete()
    for follower in followers:
        row = apps.get_model(follower.label)._base_manager.filter(pk=follower.follower_id).first()
        if row is not None:
            mark(row)
