"""The filter language of lists: `status:error -name:"old web" ram:>=2048 web` means all of these at once.

A term is `field:value` or a plain word; `-` before it negates, quotes keep spaces, commas are "or". A term whose
field is unknown is a plain word (a MAC address has colons). Plain words look into every text column.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

_TERM = re.compile(r'(-)?(?:([A-Za-z_][\w-]*):)?((?:"[^"]*"?|[^\s"])+)')
_COMPARISON = re.compile(r"(>=|<=|>|<|=)?(.*)", re.DOTALL)
_LOOKUP = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "=": "exact", None: "exact"}
_TURNED = {"gt": "lt", "gte": "lte", "lt": "gt", "lte": "gte", "exact": "lte"}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)$")
_SCALE = {"": 1, "m": 1, "mib": 1, "mb": 1, "g": 1024, "gib": 1024, "gb": 1024, "t": 1024**2, "tib": 1024**2}
_SPAN = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}

NOTHING = Q(pk__in=())

Lookup = Callable[[str], Q]


@dataclass(frozen=True)
class Term:
    field: str  # "" for a plain word
    value: str
    negated: bool = False

    def __str__(self) -> str:
        value = f'"{self.value}"' if re.search(r"\s", self.value) else self.value
        return f"{'-' * self.negated}{self.field + ':' if self.field else ''}{value}"


def parse(text: str, fields: Iterable[str] = ()) -> list[Term]:
    """The terms of `text`. Every text has a meaning: an open quote ends with it, `field:` alone is not there yet."""
    known = set(fields)
    terms = []
    for minus, field, value in _TERM.findall(text):
        if field and field.lower() not in known:
            field, value = "", f"{field}:{value}"
        value = value.replace('"', "")
        if value and not (value.endswith(":") and value[:-1].lower() in known):
            terms.append(Term(field.lower(), value, bool(minus)))
    return terms


def condition(terms: Iterable[Term], lookups: dict[str, Lookup], words: Lookup) -> Q:
    """All terms at once. `lookups` answers for fields, `words` for plain words."""
    result = Q()
    for term in terms:
        if term.field:
            one = Q()
            for value in filter(None, term.value.split(",")):
                one |= lookups[term.field](value)
        else:
            one = words(term.value)
        result &= ~one if term.negated else one
    return result


# --- what a value means in a column -----------------------------------------------------------------


def contains(*columns: str) -> Lookup:
    """The value is part of one of the columns, in any case."""

    def lookup(value: str) -> Q:
        found = Q()
        for column in columns:
            found |= Q(**{f"{column}__icontains": value})
        return found

    return lookup


def _key(status) -> str:
    return re.sub(r"[-_ ]+", "-", str(status)).lower()


def status(choices, column: str = "status") -> Lookup:
    """The value is a status of `choices` in any spelling, or else how some begin: `power` is powering-on and -off."""
    keys = {_key(choice): str(choice) for choice in choices}

    def lookup(value: str) -> Q:
        key = _key(value)
        return Q(
            **{
                f"{column}__in": [keys[key]]
                if key in keys
                else [s for k, s in keys.items() if k.startswith(key)]
            }
        )

    return lookup


def exact(column: str) -> Lookup:
    """The value is the whole content of the column, in any case."""
    return lambda value: Q(**{f"{column}__iexact": value})


def number(column: str) -> Lookup:
    """`4`, `>4`, `<=2g`; g and t scale from the column's MiB (or from its own unit by 1024)."""

    def lookup(value: str) -> Q:
        sign, rest = _COMPARISON.match(value).groups()
        found = _NUMBER.match(rest.strip().lower())
        if not found or found[2] not in _SCALE:
            return NOTHING
        return Q(**{f"{column}__{_LOOKUP[sign]}": float(found[1]) * _SCALE[found[2]]})

    return lookup


def age(column: str = "created_at") -> Lookup:
    """`>3d`: older than three days; `<2h` or `2h`: younger than (at most) two hours."""

    def lookup(value: str) -> Q:
        sign, rest = _COMPARISON.match(value).groups()
        found = _NUMBER.match(rest.strip().lower())
        if not found or found[2] not in _SPAN:
            return NOTHING
        span = timedelta(seconds=min(float(found[1]) * _SPAN[found[2]], 100 * _SPAN["y"]))
        turned = "gte" if sign in (None, "=") else _TURNED[_LOOKUP[sign]]
        return Q(**{f"{column}__{turned}": timezone.now() - span})

    return lookup


def truth(column: str) -> Lookup:
    """yes or no."""
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    return lambda value: Q(**{column: words[value.lower()]}) if value.lower() in words else NOTHING
