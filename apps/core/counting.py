"""Several counts in one query, and without making its SQL anew for each page."""

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from apps.core.context import Context

Rows = Callable[[Context], QuerySet]


def _statement(querysets: dict[str, QuerySet]) -> tuple[list[str], str, list]:
    """(names of what is asked, SQL, its parameters); what is certainly empty is not asked."""
    names, columns, params = [], [], []
    for name, rows in querysets.items():
        try:
            sql, values = rows.order_by().values("pk").query.sql_with_params()
        except EmptyResultSet:
            continue
        names.append(name)
        columns.append(f"(SELECT COUNT(*) FROM ({sql}) AS counted)")  # noqa: S608 - Django's own SQL
        params += values
    return names, f"SELECT {', '.join(columns)}", params


def _ask(names: list[str], sql: str, params: list) -> dict[str, int]:
    if not names:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return dict(zip(names, cursor.fetchone(), strict=True))


def count(querysets: dict[str, QuerySet]) -> dict[str, int]:
    """How many rows each of `querysets` has, asked of the database at once."""
    return dict.fromkeys(querysets, 0) | _ask(*_statement(querysets))


# Stand-ins for what differs from page to page, in SQL that is made once.
_PROJECT, _USER, SINCE = "a project's id", "a user's id", datetime(1, 1, 2, tzinfo=UTC)


@functools.lru_cache(maxsize=32)
def _prepared(rows: tuple[tuple[str, Rows], ...], ctx: Context):
    return _statement({name: make(ctx) for name, make in rows})


def count_for(ctx: Context, rows: dict[str, Rows], since: datetime | None = None) -> dict[str, int]:
    """`count` of what each function says of `ctx`; they are called once in the life of the process.

    So each must be the same function every time, and its queryset depend on nothing but `ctx.project_id`,
    `ctx.user_id`, the roles, and a time: where it has SINCE, `since` is meant.
    """
    stand_in = replace(
        ctx, user_id=_USER, project_id=_PROJECT, user_name="", project_name="", request_id="", audit_id=""
    )
    names, sql, params = _prepared(tuple(rows.items()), stand_in)
    time = connection.ops.adapt_datetimefield_value
    meant = {_PROJECT: ctx.project_id, _USER: ctx.user_id, time(SINCE): time(since or SINCE)}
    here = [meant.get(value, value) if isinstance(value, str | datetime) else value for value in params]
    return dict.fromkeys(rows, 0) | _ask(names, sql, here)
