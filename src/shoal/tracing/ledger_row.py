"""Rows of the ledger to and from SQLite: one column a field, data structures as JSON."""

import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from functools import cached_property
from operator import attrgetter
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shoal.core.errors import StorageDamaged
from shoal.tracing.effect import EffectRow
from shoal.tracing.record import CallRow, EscalationRow, RunRow, StepRow

__all__ = ["CALLS", "EFFECTS", "ESCALATIONS", "RUNS", "STEPS", "Table", "storable"]

RowT = TypeVar("RowT", RunRow, StepRow, CallRow, EffectRow, EscalationRow)


class Table(Generic[RowT]):
    """A table and the dataclass its rows are; `as_json` names the columns that hold structures."""

    def __init__(self, name: str, row_type: type[RowT], *, as_json: Iterable[str] = ()) -> None:
        self.name = name
        self.row_type = row_type
        self.columns = tuple(field.name for field in fields(row_type))
        self._read = attrgetter(*self.columns)
        self._as_json = tuple(self.columns.index(column) for column in as_json)
        marks = ", ".join("?" * len(self.columns))
        changes = ", ".join(f"{column} = ?" for column in self.columns[1:])
        self.insert = f"INSERT INTO {name} ({', '.join(self.columns)}) VALUES ({marks})"  # noqa: S608  our own names
        self.update = f"UPDATE {name} SET {changes} WHERE {self.columns[0]} = ?"  # noqa: S608
        self.select = f"SELECT {', '.join(self.columns)} FROM {name}"  # noqa: S608

    def values(self, row: RowT) -> list[object]:
        """What to bind to `insert`, in the order of the columns."""
        values = [storable(value) for value in self._read(row)]
        for index in self._as_json:
            if values[index] is not None:
                values[index] = to_json(values[index], inf_nan_mode="strings").decode()
        return values

    def changes(self, row: RowT) -> list[object]:
        """What to bind to `update`."""
        values = self.values(row)
        return values[1:] + values[:1]

    def parse(self, values: sqlite3.Row | tuple[Any, ...]) -> RowT:
        """A row of `select`.

        Raises:
            StorageDamaged: the row does not have the shape that was written.
        """
        columns = dict(zip(self.columns, values, strict=True))
        try:
            for index in self._as_json:
                text = columns[self.columns[index]]
                if text is not None:
                    columns[self.columns[index]] = from_json(text)
            return self._adapter.validate_python(columns)
        except (ValidationError, ValueError) as error:
            raise StorageDamaged(
                f"row {values[0]!r} of {self.name} in the ledger cannot be read", why=str(error)
            ) from error

    @cached_property
    def _adapter(self) -> TypeAdapter[RowT]:
        return TypeAdapter(self.row_type)


def storable(value: object) -> object:
    """SQLite takes UTF-8 only, and a model's JSON can hold halves of surrogate pairs."""
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="backslashreplace").decode()
    return value


RUNS = Table("runs", RunRow)
STEPS = Table("steps", StepRow, as_json=("decision", "signals", "alternatives", "drafts"))
CALLS = Table("calls", CallRow, as_json=("cost_terms",))
EFFECTS = Table("effects", EffectRow)
ESCALATIONS = Table("escalations", EscalationRow)
