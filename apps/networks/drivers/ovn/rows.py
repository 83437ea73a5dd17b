"""Rows of a replica: found by our ids, written only where they differ, and only if they are ours.

Each of our rows has external_ids {"cloudpanel": kind, "cloudpanel-id": id}: the thing of ours it belongs to. A
thing's main row has the thing's id as its OVSDB uuid too, so that two processes cannot both create it. (No two
tables may use the same uuid: a transaction of the Python IDL would confuse their rows.)
"""

import uuid
from collections.abc import Iterable
from typing import Any

from ovs.db.data import Atom
from ovs.db.idl import Row
from ovs.db.types import UuidType

from apps.core.errors import DriverError

KIND, ID = "cloudpanel", "cloudpanel-id"


def owner(row: Row) -> tuple[str, str]:
    """(kind, id) of the thing that `row` belongs to; ("", "") for a row that is not ours."""
    ids = row.external_ids
    return ids.get(KIND, ""), ids.get(ID, "")


def is_new(row: Row) -> bool:
    """Was `row` inserted in this transaction?"""
    return row._data is None


def holds(parent: Row, column: str, child: Row) -> bool:
    """Did the committed set `parent.column` of references contain `child`?

    Looks into the stored set: `child in parent.column` converts thousands of members first.
    """
    return not is_new(parent) and Atom(UuidType, child.uuid) in parent._data[column].values


class Rows:
    """Every row that a method changes or removes is ours."""

    def __init__(self, tables, txn=None):
        self._tables = tables
        self._txn = txn

    def get(self, table: str, id: str, kind: str) -> Row | None:
        """The row with that uuid that belongs to a thing of that kind."""
        row = self._tables[table].rows.get(uuid.UUID(id))
        return row if row is not None and owner(row)[0] == kind else None

    def need(self, table: str, id: str, kind: str) -> Row:
        row = self.get(table, id, kind)
        if row is None:
            raise DriverError(f"The {kind.replace('_', ' ')} {id} is not in the network yet.")
        return row

    def all(self, table: str) -> list[Row]:
        """A list, because rows vanish from the table as they are deleted."""
        return list(self._tables[table].rows.values())

    def of(self, parent: Row, column: str, owned_by: tuple[str, str]) -> list[Row]:
        """The members of the set `parent.column` that belong to that thing."""
        return [] if is_new(parent) else [row for row in getattr(parent, column) if owner(row) == owned_by]

    def put(self, table: str, id: str, owned_by: tuple[str, str], also: dict | None = None, **columns) -> Row:
        """The row with that uuid has these values and our mark; `also` is further external_ids of ours."""
        row = self._tables[table].rows.get(uuid.UUID(id))
        if row is None:
            row = self._txn.insert(self._tables[table], uuid.UUID(id), persist_uuid=True)
        elif owner(row)[0] != owned_by[0]:
            raise DriverError(f"{table} {id} in the network is not ours.", permanent=True)
        marks = {KIND: owned_by[0], ID: owned_by[1]} | (also or {})
        foreign = {} if is_new(row) else row.external_ids
        columns["external_ids"] = {k: v for k, v in foreign.items() if not k.startswith(KIND)} | marks
        for column, value in columns.items():
            if is_new(row) or _plain(getattr(row, column)) != _plain(value):
                setattr(row, column, value)
        return row

    def put_values(
        self,
        parent: Row,
        column: str,
        table: str,
        owned_by: tuple[str, str],
        wanted: Iterable[dict[str, Any]],
    ) -> None:
        """The members of `parent.column` that belong to that thing are exactly `wanted`, all of the same columns."""
        missing = {tuple(_plain(value) for value in row.values()): row for row in wanted}
        names = list(next(iter(missing.values()), {}))
        for row in self.of(parent, column, owned_by):
            if missing.pop(tuple(_plain(getattr(row, name)) for name in names), None) is None:
                self.release(parent, column, row)
        for values in missing.values():
            row = self._txn.insert(self._tables[table])
            row.external_ids = {KIND: owned_by[0], ID: owned_by[1]}
            for name, value in values.items():
                setattr(row, name, value)
            self.adopt(parent, column, row)

    def adopt(self, parent: Row, column: str, child: Row) -> None:
        """`child` is in the set `parent.column`; other members stay, whoever adds or removes them meanwhile."""
        if not holds(parent, column, child):
            parent.verify("external_ids")  # fails when the parent is deleted meanwhile; else nothing would
            parent.addvalue(column, child.uuid)

    def release(self, parent: Row, column: str, child: Row) -> None:
        """`child` is not in `parent.column`; rows that only exist inside another go with that."""
        if holds(parent, column, child):
            parent.delvalue(column, child.uuid)

    def release_from_all(self, table: str, column: str, child: Row) -> None:
        for parent in self.all(table):
            self.release(parent, column, child)


def _plain(value) -> Any:
    """A column's value as something hashable that compares as OVSDB does: sets have no order."""
    if isinstance(value, dict):
        return frozenset(value.items())
    if isinstance(value, list | tuple):
        return frozenset(_plain(item) for item in value)
    return value.uuid if isinstance(value, Row) else value
