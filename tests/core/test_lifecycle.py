"""What the kernel promises, one at a time, on one thread."""

import pytest

from apps.core import lifecycle
from apps.core.errors import Conflict, DriverError, NotFound
from apps.core.events import follow
from apps.core.lifecycle import end, later, mark, move
from apps.core.models import Event
from tests.kernel.models import Thing

LABEL = "kernel.thing"


def fresh(thing):
    return Thing.objects.get(pk=thing.pk)


def test_a_kept_promise_rests(keep, thing, settle):
    keep(lambda t: move(t, "ready") and None)
    settle()
    row = fresh(thing)
    assert (row.status, row.due_at, row.claimed_by, row.failures) == ("ready", None, "", 0)
    assert list(Event.objects.values_list("action", "outcome")) == [("create", "begun"), ("ready", "done")]


def test_a_move_that_is_not_in_the_table_is_a_conflict(thing):
    with pytest.raises(Conflict, match="Cannot polish thing thing while it is making"):
        move(thing, "making", action="polish")


def test_of_two_moves_from_one_status_the_second_is_a_conflict(keep, thing):
    stale = fresh(thing)
    move(thing, "ready")
    with pytest.raises(Conflict, match="it was making and is ready now"):
        move(stale, "broken")


def test_a_permanent_failure_moves_where_the_table_says_and_keeps_the_reason(keep, thing, settle):
    def fail(t):
        raise DriverError("no free PCI slot", permanent=True)

    keep(fail)
    settle()
    row = fresh(thing)
    assert (row.status, row.fault, row.due_at) == ("broken", "no free PCI slot", None)
    assert Event.objects.filter(outcome="failed", detail="no free PCI slot").count() == 1


def test_a_passing_failure_backs_off_shows_and_is_forgotten_on_success(keep, thing, settle):
    tries = []

    def flaky(t):
        tries.append(1)
        if len(tries) < 3:
            raise DriverError("the engine does not answer")
        move(t, "ready")

    keep(flaky)
    lifecycle.run(LABEL, thing.pk)
    row = fresh(thing)
    assert (row.status, row.failures, row.fault) == ("making", 1, "the engine does not answer")
    assert row.due_at is not None
    settle()
    row = fresh(thing)
    assert (row.status, row.failures, row.fault, len(tries)) == ("ready", 0, "", 3)


def test_a_fault_of_ours_is_tried_again_and_does_not_leak(keep, thing):
    def broken(t):
        raise RuntimeError("secret=hunter2")

    keep(broken)
    lifecycle.run(LABEL, thing.pk)
    row = fresh(thing)
    assert row.failures == 1
    assert "hunter2" not in row.fault


def test_a_promise_without_fallback_is_tried_for_ever(keep, thing, alice):
    move(thing, "removing", by=alice)

    def fail(t):
        raise DriverError("busy", permanent=True)

    keep(fail)
    lifecycle.run(LABEL, thing.pk)
    row = fresh(thing)
    assert (row.status, row.failures) == ("removing", 1)
    assert row.due_at is not None


def test_what_is_marked_while_it_is_worked_on_is_looked_at_again(keep, thing):
    runs = []

    def work(t):
        runs.append(t.status)
        if len(runs) == 1:
            mark(fresh(t))
            move(t, "ready")

    keep(work)
    lifecycle.run(LABEL, thing.pk)
    assert runs == ["making", "ready"]
    assert fresh(thing).due_at is None


def test_a_row_deleted_by_an_operation_during_its_build_is_not_brought_back(keep, thing, alice, settle):
    def work(t):
        if t.status == "removing":
            return end(t)
        move_in_another_request(t)
        move(t, "ready")

    def move_in_another_request(t):
        active = lifecycle._current.set(None)
        move(fresh(t), "removing", by=alice)
        lifecycle._current.reset(active)

    keep(work)
    settle()
    assert not Thing.objects.filter(pk=thing.pk).exists()
    assert not Event.objects.filter(action="ready").exists()


def test_who_lost_the_claim_writes_nothing(keep, thing):
    def work(t):
        Thing.objects.filter(pk=t.pk).update(claimed_by="other/boot/1")
        move(t, "ready")

    keep(work)
    lifecycle.run(LABEL, thing.pk)
    row = fresh(thing)
    assert (row.status, row.claimed_by) == ("making", "other/boot/1")


def test_who_lost_the_claim_writes_nothing_about_other_rows_either(keep, thing, lab):
    other = lifecycle.begin(Thing(project=lab, name="other", status="ready"))

    def work(t):
        Thing.objects.filter(pk=t.pk).update(claimed_by="other/boot/1")
        move(other, "removing")

    keep(work)
    lifecycle.run(LABEL, thing.pk)
    assert fresh(other).status == "ready"


def test_a_starting_worker_frees_the_claims_of_its_earlier_life(keep, thing):
    keep(lambda t: None)
    Thing.objects.filter(pk=thing.pk).update(claimed_by="w1/oldboot/7", claimed_until="2999-01-01T00:00:00Z")
    lifecycle.run(LABEL, thing.pk)
    assert fresh(thing).claimed_by == "w1/oldboot/7"
    lifecycle.start_worker("w1")
    assert fresh(thing).claimed_by == ""


def test_a_claim_that_ran_out_is_anybodys(keep, thing):
    Thing.objects.filter(pk=thing.pk).update(claimed_by="dead/boot/1", claimed_until="2001-01-01T00:00:00Z")
    keep(lambda t: move(t, "ready") and None)
    lifecycle.run(LABEL, thing.pk)
    assert fresh(thing).status == "ready"


def test_the_sweep_finds_what_is_overdue_and_free_only(keep, thing, lab):
    keep(lambda t: None)
    Thing.objects.filter(pk=thing.pk).update(due_at="2001-01-01T00:00:00Z")
    fresh_one = lifecycle.begin(Thing(project=lab, status="making"))
    held = lifecycle.begin(Thing(project=lab, status="making"))
    Thing.objects.filter(pk=held.pk).update(
        due_at="2001-01-01T00:00:00Z", claimed_by="w/b/1", claimed_until="2999-01-01T00:00:00Z"
    )
    assert [row.pk for row in lifecycle.due()] == [thing.pk]
    assert fresh_one.due_at is not None


def test_later_comes_again_without_counting_as_failure(keep, thing):
    keep(lambda t: later(20))
    lifecycle.run(LABEL, thing.pk)
    row = fresh(thing)
    assert row.failures == 0
    assert row.due_at is not None


def test_a_follower_is_marked_once_when_the_object_changes(keep, thing, lab):
    keep(lambda t: None)
    waiting = lifecycle.begin(Thing(project=lab, name="waiting", status="ready"))
    follow(waiting, thing.pk)
    move(thing, "ready")
    assert fresh(waiting).marks == 1
    mark(thing)
    move(thing, "removing")
    assert fresh(waiting).marks == 1


def test_another_projects_row_does_not_exist(thing, mallory, alice):
    assert Thing.objects.get_for(alice, thing.pk) == thing
    for pk in (thing.pk, "no-uuid", ""):
        with pytest.raises(NotFound):
            Thing.objects.get_for(mallory, pk)


def test_the_renewing_thread_looks_after_its_own_connection(monkeypatch):
    """It is in no request and no task, so nobody else closes a connection that broke."""
    looks = []
    monkeypatch.setattr(lifecycle, "close_old_connections", lambda: looks.append(1))
    lifecycle._worker._renew_once()
    assert looks == [1]


def test_a_fault_is_told_of_the_status_that_had_it(keep, thing, alice):
    def fail(t):
        active = lifecycle._current.set(None)
        move(fresh(t), "removing", by=alice)
        lifecycle._current.reset(active)
        raise DriverError("the disk is full")

    keep(fail)
    lifecycle._run_once(lifecycle._reconcilers[LABEL], thing.pk)
    row = fresh(thing)
    assert (row.status, row.failures, row.fault) == ("removing", 0, "")
    assert row.due_at is not None
