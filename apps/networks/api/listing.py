"""Lists: filtered by any attribute, sorted, and in pages."""

from django.db.models import Q, QuerySet
from django.http import QueryDict

from apps.core.api import after, base_url, truth
from apps.core.errors import CloudError
from apps.networks.api.wire import Resource

PAGING = {"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"}
TAGS = {"tags", "tags-any", "not-tags", "not-tags-any"}
OLDEST_FIRST = ("created_at", "pk")


def filtered(resource: Resource, rows: QuerySet, query: QueryDict) -> QuerySet:
    """Rows that have one of the values for each attribute in the query; CloudError for an unknown attribute."""
    condition, unknown = Q(), []
    for key in query:
        if key in PAGING or key in TAGS:
            continue
        attribute = resource.by_name.get(key)
        if attribute is None or not (attribute.column or attribute.where):
            unknown.append(key)
            continue
        condition &= attribute.condition(query.getlist(key))
    if unknown:
        raise CloudError(
            f"Invalid input for operation: {sorted(unknown)} is invalid attribute for filtering.",
            kind="InvalidInput",
        )
    rows = rows.filter(condition)
    asked = TAGS & query.keys()
    return rows.filter(pk__in=_with_tags(rows, {key: query.getlist(key) for key in asked})) if asked else rows


def _with_tags(rows: QuerySet, asked: dict[str, list[str]]) -> list:
    """Decided here, because no two databases look into a list in the same way."""

    def fits(tags: set[str]) -> bool:
        for key, values in asked.items():
            wanted = {tag for value in values for tag in value.split(",")}
            found = bool(wanted & tags) if key.endswith("any") else wanted <= tags
            if found == key.startswith("not"):
                return False
        return True

    return [pk for pk, tags in rows.values_list("pk", "tags") if fits(set(tags))]


class Page:
    """Some rows of a list, and the links to what is before and behind them. `limit` absent: all rows."""

    def __init__(self, resource: Resource, rows: QuerySet, request):
        self._request = request
        query = request.query_params
        self._reverse = truth(query.get("page_reverse", "false"), "page_reverse")
        self._limit = _limit(query.get("limit", ""))
        order = _order(resource, query.getlist("sort_key"), query.getlist("sort_dir"))
        if self._reverse:
            order = [name[1:] if name.startswith("-") else f"-{name}" for name in order]
        rows = rows.order_by(*order)
        self._marker = query.get("marker", "")
        if self._marker:
            rows = after(rows, self._marker, order)
        found = list(rows[: self._limit + 1] if self._limit else rows)
        self._more = bool(self._limit) and len(found) > self._limit
        self.rows = found[: self._limit] if self._limit else found
        if self._reverse:
            self.rows.reverse()

    def links(self) -> list[dict]:
        """Only when a limit was asked for: what comes next and what came before."""
        if not self._limit or not self.rows:
            return []
        came_from = bool(self._marker)
        has_next, has_previous = (came_from, self._more) if self._reverse else (self._more, came_from)
        links = []
        if has_next:
            links.append({"rel": "next", "href": self._href(self.rows[-1], False)})
        if has_previous:
            links.append({"rel": "previous", "href": self._href(self.rows[0], True)})
        return links

    def _href(self, row, reverse: bool) -> str:
        query = self._request.query_params.copy()
        query["marker"] = str(row.pk)
        query.pop("page_reverse", None)
        if reverse:
            query["page_reverse"] = "True"
        return f"{base_url(self._request)}{self._request.path}?{query.urlencode()}"


def _limit(asked: str) -> int:
    try:
        limit = int(asked or 0)
    except ValueError:
        limit = -1
    if limit < 0:
        raise CloudError(f"Limit must be an integer 0 or greater and not '{asked}'", kind="HTTPBadRequest")
    return limit


def _order(resource: Resource, keys: list[str], directions: list[str]) -> list[str]:
    if directions and len(directions) != len(keys):
        raise CloudError("The number of sort_keys and sort_dirs must be same", kind="HTTPBadRequest")
    order = []
    for key, direction in zip(keys, directions or ["asc"] * len(keys), strict=True):
        attribute = resource.by_name.get(key)
        if attribute is None or not attribute.column or "__" in attribute.column:
            raise CloudError(f"['{key}'] is invalid attribute for sort_key", kind="HTTPBadRequest")
        if direction not in ("asc", "desc"):
            raise CloudError(
                f"Invalid value '{direction}' for sort_dir, it must be asc or desc", kind="HTTPBadRequest"
            )
        order.append(f"-{attribute.column}" if direction == "desc" else attribute.column)
    return [*order, "pk"] if order else list(OLDEST_FIRST)
