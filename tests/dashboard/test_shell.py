"""The frame of every page: its numbers, its words, and how few queries they cost."""

from datetime import timedelta

import pytest
from django.db.models import Q
from django.utils import timezone

from apps.core import activity, counting, events, navigation
from apps.core.errors import CloudError
from apps.core.models import Event
from apps.dashboard import palette
from apps.dashboard.shell import CLEARED, Shell, tasks
from apps.instances.models import Instance, Keypair
from apps.projects.models import Project


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Only what the tests name is in the frame."""
    for name, empty in (("_entries", []), ("_kinds", {}), ("_actions", [])):
        monkeypatch.setattr(navigation, name, empty)
    rows = Instance.objects.visible_to
    navigation.entry("", "Overview", "overview", "speedometer2")
    navigation.entry("Compute", "Instances", "tasks", "pc", rows=rows, errors=Q(status="ERROR"))
    navigation.entry("Administration", "Hosts", "palette", "hdd", admin=True)
    navigation.kind(Instance, "Instance", "pc", list_url="tasks", task=True)


class Request:
    def __init__(self, ctx, path="/tasks", session=None):
        self.ctx, self.path, self.session = ctx, path, session if session is not None else {}


def failed(ctx, name, **more):
    return Event.objects.create(
        project_id=ctx.project_id, model="instance", object_name=name, action="fail", outcome="failed", **more
    )


def test_the_navigation_counts_my_projects_rows_and_errors(alice, mallory, make_instance):
    for name, status in (("a", "ACTIVE"), ("b", "ERROR"), ("c", "DELETED")):
        make_instance(alice, name, status)
    make_instance(mallory, "theirs", "ERROR")
    top, compute = Shell(Request(alice)).nav
    assert (top["title"], top["items"][0]["label"], top["items"][0]["current"]) == ("", "Overview", False)
    item = compute["items"][0]
    assert (item["label"], item["count"], item["errors"], item["current"]) == ("Instances", 2, 1, True)


def test_only_administrators_see_administration(alice, ada):
    assert [group["title"] for group in Shell(Request(alice)).nav] == ["", "Compute"]
    assert [group["title"] for group in Shell(Request(ada)).nav] == ["", "Compute", "Administration"]


@pytest.mark.parametrize("rows", [0, 30])
def test_the_frame_costs_two_queries(alice, make_instance, rows, django_assert_num_queries):
    for i in range(rows):
        make_instance(alice, f"vm{i}", "BUILD", due_at=timezone.now())
    shell = Shell(Request(alice))
    with django_assert_num_queries(2):
        assert shell.nav[1]["items"][0]["count"] == rows
        assert shell.strip["running"] == rows


def test_the_strip_says_what_runs_what_failed_and_what_was_last(alice, mallory, make_instance):
    make_instance(alice, "new", "BUILD", due_at=timezone.now())
    make_instance(alice, "done", "ACTIVE")
    failed(alice, "broken")
    failed(alice, "long ago", at=timezone.now() - timedelta(days=3))
    failed(mallory, "theirs")
    strip = Shell(Request(alice)).strip
    assert (strip["running"], strip["failed"]) == (1, 1)
    assert strip["last"].text == "Fail long ago"
    later = {CLEARED: timezone.now().isoformat()}
    assert Shell(Request(alice, session=later)).strip["failed"] == 0


def test_the_drawer_lists_them(alice, make_instance):
    make_instance(
        alice, "new", "BUILD", due_at=timezone.now(), step="disk", progress=62, fault="no answer yet"
    )
    failed(alice, "broken", detail="no host fits")
    drawer = tasks(alice, {})
    (running,) = drawer["running"]
    assert [running[k] for k in ("name", "status", "step", "progress", "fault")] == [
        "new", "BUILD", "disk", 62, "no answer yet",
    ]  # fmt: skip
    assert [line.text for line in drawer["failed"]] == ["Fail broken: no host fits"]


def test_an_event_becomes_a_sentence(alice, make_instance):
    instance = make_instance(alice, "web")
    events.record(instance, "create", by=alice, outcome="begun")
    events.record(instance, "active")
    events.record(instance, "rebooting-hard", by=alice, outcome="begun")
    events.refused(alice, CloudError("RAM: needs 8"), model="instance", action="create", name="db")
    lines = [activity.line(event) for event in Event.objects.order_by("-id")]
    assert [line.text for line in lines] == [
        "Create db: RAM: needs 8", "Hard reboot web", "web is active", "Create web",
    ]  # fmt: skip
    assert [line.status for line in lines] == ["refused", "begun", "done", "begun"]
    assert [line.who for line in lines] == ["alice", "alice", "", "alice"]


def test_an_action_and_its_end_are_one_line(alice, make_instance):
    web, db = make_instance(alice, "web"), make_instance(alice, "db")
    events.record(web, "create", by=alice, outcome="begun")
    events.record(db, "create", by=alice, outcome="begun")
    events.record(web, "active")
    events.record(db, "fail", outcome="failed", detail="no host fits")
    events.record(web, "shutoff")  # by itself
    events.record(web, "start", by=alice, outcome="begun")
    assert [(line.text, line.status) for line in activity.recent(alice)] == [
        ("Start web", "begun"),
        ("Shutoff web", "done"),
        ("Create db: no host fits", "failed"),
        ("Create web", "done"),
    ]


def test_what_ends_in_error_has_failed(alice, make_instance):
    events.record(make_instance(alice, "web", "ERROR"), "lost", detail="The guest is gone.")
    assert [(line.text, line.status) for line in activity.recent(alice)] == [
        ("Lost web: The guest is gone.", "failed")
    ]


def test_what_has_no_name_of_its_own_is_no_news(alice, make_instance):
    Event.objects.create(project_id=alice.project_id, model="port", object_name="p", action="create")
    assert activity.recent(alice) == []
    assert Shell(Request(alice)).last is None


def test_activity_of_others_is_not_shown(alice, mallory, ada, make_instance):
    instance = make_instance(alice, "web")
    events.record(instance, "create", by=alice)
    assert len(activity.activity_of(alice, instance.pk)) == 1
    assert activity.activity_of(mallory, instance.pk) == []
    assert len(activity.activity_of(ada, instance.pk)) == 1


def test_the_palette_finds_resources_of_mine_by_every_word(alice, mallory, make_instance):
    for name in ("web old", "web new", "db"):
        make_instance(alice, name)
    make_instance(mallory, "web theirs")
    found = [item for item in palette.items(alice, "new WEB") if item["group"] == "Resources"]
    assert [(item["label"], item["sub"], item["url"]) for item in found] == [
        ("web new", "Instance", "/tasks")
    ]
    assert {item["label"] for item in palette.items(alice)} >= {
        "web old",
        "web new",
        "db",
        "Instances",
        "Overview",
    }
    assert "web theirs" not in {item["label"] for item in palette.items(alice)}


def test_several_counts_are_one_query(alice, lab, django_assert_num_queries):
    asked = {
        "all": Project.objects.order_by("name"),
        "twice": Project.objects.filter(assignments__role__name="member").distinct(),
        "none": Keypair.objects.none(),
    }
    with django_assert_num_queries(1):
        assert counting.count(asked) == {"all": 1, "twice": 1, "none": 0}
    with django_assert_num_queries(0):
        assert counting.count({"none": Keypair.objects.none()}) == {"none": 0}
