"""How a resource of this API is described: a table of attributes, from which every body, filter and sort is made."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from django.db.models import Q, QuerySet

from apps.core.api import truth
from apps.core.context import Context
from apps.core.errors import CloudError, NotFound
from apps.networks.operations.common import is_id

DROPPED = "-"  # as `post` or `put`: the value is checked, and has no effect


class _Never:
    """As `null`: the attribute may not be null."""


NEVER = _Never()


# --- values of a query, as the column has them; ValueError for what no row can have ---------------------


def as_text(value: str):
    return value


def as_id(value: str):
    return uuid.UUID(value)


def as_number(value: str):
    return int(value)


def as_truth(value: str):
    return truth(value)


# --- values of a body, as the operation wants them -------------------------------------------------------


def bad(name: str, reason: str) -> CloudError:
    return CloudError(f"Invalid input for {name}. Reason: {reason}.", field=name, kind="InvalidInput")


def text(ctx: Context, value, name: str) -> str:
    if not isinstance(value, str):
        raise bad(name, f"'{value}' is not a valid string")
    return value


def number(ctx: Context, value, name: str) -> int:
    try:
        if isinstance(value, bool):
            raise ValueError
        return int(value)
    except (TypeError, ValueError):
        raise bad(name, f"'{value}' is not an integer") from None


def boolean(ctx: Context, value, name: str) -> bool:
    if not isinstance(value, bool | str | int):
        raise bad(name, f"'{value}' cannot be converted to boolean")
    return truth(value, name)


def text_or_number(ctx: Context, value, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise bad(name, f"'{value}' is not a valid string")
    return str(value)


def items(ctx: Context, value, name: str) -> list:
    if not isinstance(value, list):
        raise bad(name, f"'{value}' is not a list")
    return value


def only(*allowed):
    """The attribute may be given, but only as one of these."""

    def parse(ctx: Context, value, name: str):
        if value not in allowed:
            raise bad(name, f"'{value}' is not in {list(allowed)}")
        return value

    return parse


# --- the tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attribute:
    """One key of a resource.

    `column` is what the database filters and sorts by; `where` a filter that is no plain comparison of it.
    `read` makes the value from a row (by default: the column); `shown` False leaves it out of bodies.
    `post` and `put` name the operation's argument, "" where the caller may not say it.
    """

    name: str
    column: str = ""
    read: Callable[[Any], Any] | None = None
    filter_as: Callable[[str], Any] = as_text
    where: Callable[[list[str]], Q] | None = None
    post: str = ""
    put: str = ""
    parse: Callable[[Context, Any, str], Any] = text
    null: Any = NEVER  # the argument for null
    required: bool = False
    shown: bool = True
    admin: bool = False  # shown to administrators only

    def argument(self, ctx: Context, value) -> Any:
        if value is None:
            if self.null is NEVER:
                raise bad(self.name, "'None' is not a valid value")
            return self.null
        return self.parse(ctx, value, self.name)

    def condition(self, values: list[str]) -> Q:
        """Any of the values."""
        if self.where:
            return self.where(values)
        wanted = []
        for value in values:
            try:
                wanted.append(self.filter_as(value))
            except ValueError:
                continue  # no row has such a value
        return Q(**{f"{self.column}__in": wanted})


@dataclass(frozen=True)
class Resource:
    """`name` is the key of one body and part of the policy rules; `path` that of the collection."""

    name: str
    collection: str
    path: str
    missing: str  # the type of a 404
    model: type
    attributes: tuple[Attribute, ...]
    create: Callable[..., Any]  # (ctx, **arguments)
    update: Callable[..., Any] | None  # (ctx, row, **arguments)
    delete: Callable[[Context, Any], None]
    related: Callable[[QuerySet], QuerySet] = lambda rows: rows  # with all that bodies need
    look: Callable[[Context], None] = lambda ctx: None  # before a list
    by_name: dict[str, Attribute] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "by_name", {a.name: a for a in self.attributes})

    def visible(self, ctx: Context) -> QuerySet:
        return self.model.objects.reachable_by(ctx)

    def get(self, ctx: Context, pk) -> Any:
        """The row with all that its body needs; NotFound for others' rows and for what is no id."""
        try:
            return self.related(self.visible(ctx)).get(pk=uuid.UUID(str(pk)))
        except (self.model.DoesNotExist, ValueError):
            raise self.not_found(pk) from None

    def not_found(self, pk) -> NotFound:
        return NotFound(f"{self.model.kind_name()} {pk} could not be found.", kind=self.missing)

    def reference(self, ctx: Context, value, name: str) -> Any:
        """As `parse` of an attribute that holds an id: the row."""
        return self.get(ctx, text(ctx, value, name))

    def references(self, ctx: Context, value, name: str) -> list:
        """As `parse` of an attribute that holds ids: the rows, in one query."""
        ids = [text(ctx, item, name) for item in items(ctx, value, name)]
        found = {str(row.pk): row for row in self.visible(ctx).filter(pk__in=filter(is_id, ids))}
        for pk in ids:
            if pk not in found:
                raise self.not_found(pk)
        return list(found.values())

    def renderer(self, ctx: Context, fields: Iterable[str] = ()) -> Callable[[Any], dict]:
        """A function from a row to its body, with only these `fields` when there are any."""
        wanted = set(fields)
        chosen = [
            (a.name, a.read or attrgetter(a.column))
            for a in self.attributes
            if a.shown and (not a.admin or ctx.is_admin) and (not wanted or a.name in wanted)
        ]
        return lambda row: {name: read(row) for name, read in chosen}

    def arguments(self, ctx: Context, body: dict, verb: str) -> dict[str, Any]:
        """The operation's arguments for a body of POST or PUT; CloudError for a key that is not allowed."""
        unknown = sorted(key for key in body if key not in self.by_name)
        if unknown:
            listed = ", ".join(f"'{key}'" for key in unknown)
            raise CloudError(f"Unrecognized attribute(s) {listed}", field=unknown[0], kind="HTTPBadRequest")
        found = {}
        for key, value in body.items():
            attribute = self.by_name[key]
            name = attribute.post if verb == "POST" else attribute.put
            if not name:
                raise CloudError(f"Attribute '{key}' not allowed in {verb}", field=key, kind="HTTPBadRequest")
            argument = attribute.argument(ctx, value)
            if name != DROPPED:
                found[name] = argument
        for attribute in self.attributes:
            if verb == "POST" and attribute.required and attribute.name not in body:
                raise CloudError(
                    f"Failed to parse request. Required attribute '{attribute.name}' not specified",
                    field=attribute.name,
                    kind="HTTPBadRequest",
                )
        return found
