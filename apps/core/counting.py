"""Several counts in one query."""

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet


def count(querysets: dict[str, QuerySet]) -> dict[str, int]:
    """How many rows each of `querysets` has, asked of the database at once."""
    numbers = dict.fromkeys(querysets, 0)
    asked, columns, params = [], [], []
    for name, rows in querysets.items():
        try:
            sql, values = rows.order_by().values("pk").query.sql_with_params()
        except EmptyResultSet:
            continue
        asked.append(name)
        columns.append(f"(SELECT COUNT(*) FROM ({sql}) AS counted)")  # noqa: S608 - Django's own SQL
        params += values
    if asked:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(columns)}", params)
            numbers.update(zip(asked, cursor.fetchone(), strict=True))
    return numbers
