"""The filter language of lists."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core import filters
from apps.core.filters import Term, parse
from apps.core.models import Event

FIELDS = {"status", "name", "ram"}


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  web  ", [Term("", "web")]),
        ("status:error -name:old", [Term("status", "error"), Term("name", "old", True)]),
        ('name:"old web" "two words"', [Term("name", "old web"), Term("", "two words")]),
        ('name:"never closed', [Term("name", "never closed")]),
        ("-web", [Term("", "web", True)]),
        ("-", [Term("", "-")]),
        ("web-01", [Term("", "web-01")]),
        ("STATUS:Error", [Term("status", "Error")]),
        ("fa:16:3e:00:00:01", [Term("", "fa:16:3e:00:00:01")]),
        ("status:", []),
        ("ram:>=2g", [Term("ram", ">=2g")]),
    ],
)
def test_text_becomes_terms(text, terms):
    assert parse(text, FIELDS) == terms


def test_terms_are_written_as_they_are_read():
    text = 'status:error -name:"old web" web'
    assert " ".join(map(str, parse(text, FIELDS))) == text


@pytest.fixture
def events(db):
    def make(name, status, at=None, model="instance"):
        return Event.objects.create(
            object_name=name, status=status, at=at or timezone.now(), model=model, action="x"
        )

    old = timezone.now() - timedelta(days=5)
    return [make("web-01", "ACTIVE"), make("web 02", "VERIFY_RESIZE"), make("db", "powering-on", old)]


LOOKUPS = {
    "name": filters.contains("object_name"),
    "status": filters.status(["ACTIVE", "VERIFY_RESIZE", "powering-on", "powering-off"]),
    "age": filters.age("at"),
    "id": filters.number("id"),
}


def found(text):
    condition = filters.condition(parse(text, LOOKUPS), LOOKUPS, LOOKUPS["name"])
    return {e.object_name for e in Event.objects.filter(condition)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {"web-01", "web 02", "db"}),
        ("WEB", {"web-01", "web 02"}),
        ("web -01", {"web 02"}),
        ("status:active", {"web-01"}),
        ("status:verify-resize", {"web 02"}),
        ('status:"Verify resize"', {"web 02"}),
        ("status:power", {"db"}),
        ("status:active,verify_resize", {"web-01", "web 02"}),
        ("-status:active", {"web 02", "db"}),
        ("status:nonsense", set()),
        ("age:>3d", {"db"}),
        ("age:<3d", {"web-01", "web 02"}),
        ("age:1h", {"web-01", "web 02"}),
        ("age:old", set()),
        ("id:>many", set()),
        ("name:%", set()),
    ],
)
def test_a_filter_finds(events, text, names):
    assert found(text) == names


def test_numbers_compare_and_scale(events):
    assert found(f"id:{events[0].pk}") == {"web-01"}
    assert found(f"id:>{events[0].pk}") == {"web 02", "db"}
    assert found(f"id:<={events[0].pk}") == {"web-01"}
    assert found("id:<1t") == {"web-01", "web 02", "db"}
