"""Browser sessions: checked on each request like tokens."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory

from apps.core.errors import NotFound
from apps.core.models import Event
from apps.projects import middleware, operations
from apps.projects.models import Assignment, Project, User
from tests.conftest import PASSWORD


@pytest.fixture
def browse():
    """`browse(session, path)` sends one request through the middleware; returns it as the view saw it."""

    def browse(session, path="/instances"):
        request = RequestFactory().get(path)
        request.session, request.id = session, "req-00000000-0000-0000-0000-000000000000"
        seen = []
        middleware.SessionContext(lambda r: seen.append(r) or HttpResponse())(request)
        return seen[0]

    return browse


@pytest.fixture
def session(alice, browse):
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    request = browse(store)
    middleware.log_in(request, User.objects.get(pk=alice.user_id))
    return request.session


def test_anonymous_browsers_have_no_context(db, browse, django_assert_num_queries):
    with django_assert_num_queries(0):
        request = browse(import_module(settings.SESSION_ENGINE).SessionStore())
    assert request.ctx is None


def test_logged_in_is_one_query(session, alice, browse, django_assert_num_queries):
    with django_assert_num_queries(1):
        ctx = browse(session).ctx
    assert (ctx.user_id, ctx.project_id, ctx.roles) == (alice.user_id, alice.project_id, alice.roles)
    assert ctx.request_id == "req-00000000-0000-0000-0000-000000000000"
    assert Event.objects.filter(action="log_in", user_id=alice.user_id).exists()


def test_apis_take_no_session(session, browse, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert browse(session, "/compute/v2.1/servers").ctx is None


def test_projects_for_the_switcher_are_read_when_shown(session, browse, django_assert_num_queries):
    request = browse(session)
    with django_assert_num_queries(1):
        assert [project.name for project in request.projects] == ["lab"]
        assert len(request.projects) == 1


def test_switching_needs_a_role_there(session, alice, mallory, roles, browse):
    request = browse(session)
    with pytest.raises(NotFound):
        middleware.switch_project(request, mallory.project_id)
    with pytest.raises(NotFound):
        middleware.switch_project(request, "")
    assert browse(session).ctx.project_id == alice.project_id
    Assignment.objects.create(user_id=alice.user_id, role=roles["reader"], project_id=mallory.project_id)
    middleware.switch_project(request, mallory.project_id)
    assert browse(session).ctx.project_id == mallory.project_id


def test_when_the_project_is_gone_another_one_is_chosen(session, alice, mallory, roles, browse):
    Assignment.objects.create(user_id=alice.user_id, role=roles["reader"], project_id=mallory.project_id)
    Project.objects.filter(pk=alice.project_id).update(enabled=False)
    assert browse(session).ctx.project_id == mallory.project_id
    assert session["project_id"] == mallory.project_id
    Assignment.objects.all().delete()
    assert browse(session).ctx.project_id == ""


def test_disabling_the_user_logs_them_out(session, alice, ada, browse):
    operations.update_user(ada, user=User.objects.get(pk=alice.user_id), enabled=False)
    assert browse(session).ctx is None
    assert "user_id" not in session


def test_after_a_change_of_password_only_the_renewed_session_goes_on(session, alice, browse):
    here = browse(session)
    copy = dict(session.items())
    operations.change_password(alice, original=PASSWORD, password="another")
    middleware.renew(here)
    assert browse(session).ctx is not None
    other = import_module(settings.SESSION_ENGINE).SessionStore()
    other.update(copy)
    assert browse(other).ctx is None


def test_logging_out_ends_copies_of_the_cookie_too(session, browse):
    copy = dict(session.items())
    middleware.log_out(browse(session))
    other = import_module(settings.SESSION_ENGINE).SessionStore()
    other.update(copy)
    assert browse(other).ctx is None


def test_a_session_of_before_the_password_was_set_is_over(session, alice, ada, browse):
    user = User.objects.get(pk=alice.user_id)
    user.tokens_valid_after = user.created_at + timedelta(days=1)
    user.save()
    assert browse(session).ctx is None
