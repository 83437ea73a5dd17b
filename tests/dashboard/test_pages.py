"""Every page of the frame, as a browser sees it: it answers, costs few queries, and shows nothing of others."""

import re

import pytest
from django.urls import get_resolver

from apps.core import events

LISTS = (
    "/instances/",
    "/networks/",
    "/floating-ips/",
    "/security-groups/",
    "/keypairs/",
    "/flavors/",
    "/images/",
)
IDENTITY = 2  # session (in the cache, when there is one) and who that is
FRAME = 3  # projects to switch to, all numbers, the last event


@pytest.mark.parametrize(
    "path", ["/", *LISTS, "/instances/launch/", "/tasks", "/shell-counts", "/palette.json"]
)
def test_every_page_answers(browse, alice, path):
    assert browse(alice).get(path).status_code == 200


@pytest.mark.parametrize("rows", [0, 3, 60])
def test_a_list_costs_few_queries_whatever_its_rows(
    browse, alice, make_instance, rows, django_assert_max_num_queries
):
    for i in range(rows):
        make_instance(alice, f"vm{i}")
    client = browse(alice)
    client.get("/instances/")
    for query in ("", "?q=vm&sort=name&per_page=100"):
        with django_assert_max_num_queries(IDENTITY + FRAME + 5):
            client.get(f"/instances/{query}")


def test_the_rows_a_script_asks_for_cost_no_frame(
    browse, alice, make_instance, django_assert_max_num_queries
):
    pks = [str(make_instance(alice, f"vm{i}").pk) for i in range(5)]
    client = browse(alice)
    with django_assert_max_num_queries(IDENTITY + 4):
        answer = client.get(f"/instances/rows/?ids={','.join(pks)}").content.decode()
    assert re.findall(r'data-name="(vm\d)"', answer) == ["vm4", "vm3", "vm2", "vm1", "vm0"]
    assert "<html" not in answer


def test_the_overview_of_an_empty_project_shows_the_first_steps(browse, alice):
    context = browse(alice).get("/").context
    assert [step["done"] for step in context["first_steps"]] == [False, False, False, False]
    assert context["quotas"][0]["resource"] == "instances"


def test_the_overview_says_what_needs_a_person(browse, alice, make_instance):
    for i in range(9):
        make_instance(alice, f"vm{i}")
    make_instance(alice, "broken", "ERROR", fault="No host fits: 4096 MiB RAM needed.")
    page = browse(alice).get("/")
    assert page.context["first_steps"] is None
    assert [(line["name"], line["word"]) for line in page.context["attention"]] == [
        ("broken", "Error"),
        ("Instances", "Quota"),
    ]
    assert {c["word"]: c["count"] for c in page.context["counts"]}["Active"] == 9
    assert "No host fits: 4096 MiB RAM needed." in page.content.decode()


def test_many_errors_are_one_line_more(browse, alice, make_instance):
    for i in range(11):
        make_instance(alice, f"vm{i}", "ERROR")
    lines = browse(alice).get("/").context["attention"]
    assert (lines[8]["name"], lines[8]["url"]) == ("3 more instances", "/instances/?q=status:error")


def test_pages_of_another_project_show_nothing_of_mine(browse, alice, mallory, make_instance):
    instance = make_instance(alice, "secret-name", "ERROR")
    events.record(instance, "create", by=alice)
    client = browse(mallory)
    for path in (
        "/",
        *LISTS,
        "/tasks",
        "/shell-counts",
        "/palette.json",
        f"/instances/rows/?ids={instance.pk}",
    ):
        assert "secret-name" not in client.get(path).content.decode(), path


def one_object_paths(pk: str, number: int):
    """Every page whose address names one object."""
    for route in [str(pattern.pattern) for pattern in all_patterns(get_resolver().url_patterns)]:
        if "<uuid:pk>" in route or "<int:pk>" in route:
            yield "/" + re.sub(
                "<str:[a-z]+>", "screen", route.replace("<uuid:pk>", pk).replace("<int:pk>", str(number))
            )


def all_patterns(patterns):
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            if not str(pattern.pattern):  # pages; APIs have their own test
                yield from all_patterns(pattern.url_patterns)
        else:
            yield pattern


def test_a_stranger_finds_no_object_of_mine(browse, alice, mallory, make_instance):
    pk = str(make_instance(alice, "mine").pk)
    client = browse(mallory)
    paths = list(one_object_paths(pk, 1))
    assert len(paths) > 10
    for path in paths:
        for answer in (client.get(path), client.post(path, {"action": "delete", "address": "10.0.0.1"})):
            assert answer.status_code in (404, 405), f"{path} {answer.status_code}"
            assert "mine" not in re.sub("determined|Examine", "", answer.content.decode()).split(), path


def test_no_page_has_inline_script_or_style(browse, alice, make_instance):
    make_instance(alice, "vm")
    client = browse(alice)
    for path in ("/", *LISTS, "/instances/launch/", "/nope"):
        text = client.get(path).content.decode()
        assert not re.search(r"\sstyle=|\son[a-z]+=\"|<script(?![^>]*\ssrc=)|<style", text), path
