"""What Ctrl K finds: resources by name, pages, actions."""

from django.db.models import Q
from django.urls import reverse

from apps.core import navigation
from apps.core.context import Context

PER_KIND = 100


def items(ctx: Context, text: str = "") -> list[dict]:
    """[{"group", "label", "sub", "url", "icon"}]. With `text` only resources in which every word occurs."""
    found = [
        {
            "group": "Actions",
            "label": action.label,
            "sub": "",
            "url": reverse(action.url_name),
            "icon": action.icon,
        }
        for action in navigation.actions()
    ]
    found += [
        {
            "group": "Pages",
            "label": entry.label,
            "sub": entry.group,
            "url": reverse(entry.url_name),
            "icon": entry.icon,
        }
        for entry in navigation.entries(ctx)
    ]
    for kind in navigation.kinds().values():
        found += _resources(kind, ctx, text)
    return found


def _resources(kind: navigation.Kind, ctx: Context, text: str) -> list[dict]:
    condition = Q()
    for word in text.split():
        one = Q()
        for column in kind.search:
            one |= Q(**{f"{column}__icontains": word})
        condition &= one
    rows = kind.model.objects.visible_to(ctx).filter(condition).order_by("-created_at")
    found = []
    for pk, *texts in rows.values_list("pk", *kind.search)[:PER_KIND]:
        label, *others = [str(text) for text in texts if text] or [str(pk)]
        url = kind.url(pk) or (reverse(kind.list_url) if kind.list_url else "")
        if url:
            sub = " ".join([kind.label, *others])
            found.append({"group": "Resources", "label": label, "sub": sub, "url": url, "icon": kind.icon})
    return found
