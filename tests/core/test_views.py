"""The frame of pages: lists, forms, buttons, and what happens to strangers and refusals."""

import pytest
from django import forms
from django.contrib.messages.storage.fallback import FallbackStorage
from django.http import HttpResponse
from django.test import RequestFactory

from apps.core import filters
from apps.core.context import new_request_id
from apps.core.errors import CloudError, Conflict, DriverError, Forbidden, NotFound, QuotaExceeded
from apps.core.forms import CloudForm
from apps.core.models import Event
from apps.core.views import ActionView, Column, ListPage, OperationView, PageView, safe_path
from apps.projects.models import Project

TEMPLATES = {
    "page.html": "page of {{ view.ctx.user_name }}",
    "row.html": "[{{ row.name }}]",
    "form.html": "{{ refused }}|{{ form.non_field_errors.0 }}|{{ form.name.errors.0 }}|{{ form.name.value }}",
    "403.html": "403 {{ reason }}",
    "404.html": "404 {{ reason }}",
    "components/toasts.html": "{% for m in messages %}{{ m.tags }}: {{ m }}{% endfor %}",
}


@pytest.fixture(autouse=True)
def templates(settings):
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", TEMPLATES)],
                "context_processors": ["django.contrib.messages.context_processors.messages"],
            },
        }
    ]


@pytest.fixture
def ask(rf: RequestFactory):
    """`ask(View, ctx, method, path, data, **headers)` is the rendered answer."""

    def ask(view, ctx, method="get", path="/things", data=None, pk=None, **headers) -> HttpResponse:
        request = getattr(rf, method)(path, data or {}, headers=headers)
        request.ctx, request.id, request.resolver_match, request.session = ctx, new_request_id(), None, {}
        request._messages = FallbackStorage(request)
        response = view.as_view()(request, **({"pk": pk} if pk else {}))
        return response.render() if hasattr(response, "render") else response

    return ask


def text(response) -> str:
    return response.content.decode()


# --- pages ------------------------------------------------------------------------------------------


class Page(PageView):
    template_name = "page.html"


def failing(error):
    class Failing(Page):
        def get_context_data(self, **kwargs):
            raise error

    return Failing


def test_a_page_knows_who_asks(ask, alice):
    assert text(ask(Page, alice)) == "page of alice"


def test_strangers_log_in_first_and_come_back(ask):
    assert ask(Page, None, path="/things?q=a b").url == "/login?next=%2Fthings%3Fq%3Da%2520b"
    posted = ask(Page, None, "post", referer="http://testserver/launch?image=1")
    assert posted.url == "/login?next=%2Flaunch%3Fimage%3D1"
    assert ask(Page, None, "post", referer="http://evil/launch").url == "/login"


def test_a_script_of_a_stranger_is_told_where_to_go(ask):
    answer = ask(Page, None, **{"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/login")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (NotFound("Instance 7 could not be found."), 404, "404 Instance 7"),
        (Forbidden("It needs the role admin."), 403, "403 It needs"),
        (Conflict("It is busy."), 409, "403 It is busy"),
        (DriverError("no answer"), 503, "403 A part of the cloud does not answer: no answer"),
    ],
)
def test_a_refused_page_says_why(ask, alice, error, status, words):
    answer = ask(failing(error), alice)
    assert answer.status_code == status
    assert text(answer).startswith(words)


def test_who_is_in_no_project_is_told_so(ask, alice):
    from dataclasses import replace

    assert ask(Page, replace(alice, project_id="")).status_code == 403


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("/instances?q=a", True),
        ("http://testserver/x", True),
        ("//evil.example/x", False),
        ("https://evil.example/", False),
        ("javascript:alert(1)", False),
        ("/\\evil.example", False),
        ("http:///evil.example", False),
        ("", False),
    ],
)
def test_only_paths_of_ours_are_gone_to(rf, url, good):
    assert bool(safe_path(rf.get("/"), url)) is good


# --- lists ------------------------------------------------------------------------------------------


class Projects(ListPage):
    template_name = "page.html"
    row_template = "row.html"
    columns = (
        Column("name", filters.contains("name"), sort="name", text=True),
        Column("about", filters.contains("description"), text=True, hint="part of it"),
        Column("age", filters.age(), sort="-created_at"),
        Column("enabled", filters.truth("enabled")),
    )
    default_sort = "name"

    def rows(self):
        return Project.objects.filter(name__startswith="p-").select_related("domain")


@pytest.fixture
def many(domain):
    rows = [
        Project(name=f"p-{i:03}", description="odd" if i % 2 else "even", domain=domain) for i in range(120)
    ]
    return Project.objects.bulk_create(rows)


def listed(rf, ctx, path):
    view = Projects()
    request = rf.get(path)
    request.ctx = view.ctx = ctx
    view.setup(request)
    return view.get_context_data()


def names(context):
    return [row.name for row in context["rows"]]


def test_a_list_is_paged(rf, alice, many):
    context = listed(rf, alice, "/?page=3")
    assert names(context) == [f"p-{i:03}" for i in range(100, 120)]
    assert (context["total"], context["matched"], context["per_page"]) == (120, 120, 50)
    assert context["page"].paginator.num_pages == 3
    assert len(names(listed(rf, alice, "/?per_page=100"))) == 100
    assert names(listed(rf, alice, "/?page=99"))[-1] == "p-119"
    assert len(names(listed(rf, alice, "/?per_page=7&page=x"))) == 50


def test_a_list_is_sorted_by_its_columns_only(rf, alice, many):
    assert names(listed(rf, alice, "/?sort=-name"))[0] == "p-119"
    assert names(listed(rf, alice, "/?sort=age"))[0] == "p-119"  # the youngest first
    assert names(listed(rf, alice, "/?sort=-age"))[0] == "p-000"
    context = listed(rf, alice, "/?sort=domain__users__password")
    assert (context["sort"], names(context)[0]) == ("name", "p-000")


def test_a_list_is_filtered_and_counts_both(rf, alice, many):
    context = listed(rf, alice, "/?q=odd -name:11")
    assert (context["total"], context["matched"]) == (120, 54)
    assert context["filter_text"] == "odd -name:11"
    assert context["fields"] == "name:|about:part of it|age:|enabled:"


@pytest.mark.parametrize("query", ["", "?q=odd&sort=-age&page=2", "?per_page=200", "?q=nothing"])
def test_a_list_makes_two_queries_whatever_the_rows(rf, alice, many, query, django_assert_max_num_queries):
    with django_assert_max_num_queries(2):
        listed(rf, alice, f"/{query}")


def test_a_script_gets_only_the_rows_it_names(ask, alice, many, django_assert_num_queries):
    ids = ",".join([many[7].pk, many[3].pk, "no-such-row", ""])
    with django_assert_num_queries(1):
        answer = ask(Projects, alice, path=f"/?ids={ids}")
    assert text(answer) == "[p-003][p-007]"
    assert text(ask(Projects, alice, path=f"/?ids={ids}&q=003&sort=-name")) == "[p-003]"
    assert text(ask(Projects, alice, path="/?ids=")) == ""


# --- forms ------------------------------------------------------------------------------------------


class NameForm(CloudForm):
    name = forms.CharField()


def asking(error=None):
    class Make(OperationView):
        form_class = NameForm
        template_name = "form.html"
        success_url = "/made"
        audit = ("thing", "create")
        refused = "The thing was not made."

        def operate(self, name):
            if error:
                raise error
            return name

    return Make


def test_a_form_asks_for_its_operation(ask, alice):
    answer = ask(asking(), alice, "post", data={"name": "a"})
    assert (answer.status_code, answer.url) == (303, "/made")


def test_an_incomplete_form_is_shown_again(ask, alice):
    answer = ask(asking(), alice, "post")
    assert answer.status_code == 422
    assert "This field is required." in text(answer)
    assert not Event.objects.exists()


def test_a_refusal_is_shown_in_the_form_and_written_down(ask, alice):
    over = {"ram": {"asked": 4096, "used": 7168, "limit": 8192}}
    answer = ask(
        asking(QuotaExceeded("RAM: needs 4096", data=over)), alice, "post", data={"name": "web"}, pk="7"
    )
    assert (answer.status_code, text(answer)) == (422, "The thing was not made.|RAM: needs 4096||web")
    event = Event.objects.get()
    assert (event.model, event.action, event.outcome) == ("thing", "create", "refused")
    assert (event.object_name, event.object_id, event.user_name, event.data) == ("web", "7", "alice", over)


def test_a_refusal_of_one_field_stands_at_the_field(ask, alice):
    answer = ask(asking(CloudError("Too long.", field="name")), alice, "post", data={"name": "web"})
    assert text(answer) == "The thing was not made.||Too long.|web"
    assert not Event.objects.exists()


def test_a_form_about_something_of_others_is_not_found(ask, alice):
    answer = ask(asking(NotFound("Thing 7 could not be found.")), alice, "post", data={"name": "web"})
    assert (answer.status_code, text(answer)) == (404, "404 Thing 7 could not be found.")
    assert (
        ask(asking(NotFound("No image.", field="name")), alice, "post", data={"name": "web"}).status_code
        == 422
    )


# --- buttons ----------------------------------------------------------------------------------------


def doing(error=None):
    class Stop(ActionView):
        audit = ("thing", "stop")
        back = "/things"
        refused = "web was not stopped."

        def act(self):
            if error:
                raise error
            return "web is being stopped"

    return Stop


def test_a_button_is_no_link(ask, alice):
    assert ask(doing(), alice).status_code == 405


def test_a_button_goes_back_to_where_it_was(ask, alice):
    assert ask(doing(), alice, "post").url == "/things"
    assert ask(doing(), alice, "post", data={"next": "/things?q=web"}).url == "/things?q=web"
    assert ask(doing(), alice, "post", data={"next": "https://evil.example"}).url == "/things"


def test_a_script_gets_what_there_is_to_say(ask, alice):
    answer = ask(doing(), alice, "post", **{"HX-Request": "true"})
    assert (answer.status_code, text(answer)) == (200, "success: web is being stopped")


def test_a_refused_button_says_why_and_is_written_down(ask, alice):
    answer = ask(doing(Conflict("It is busy.")), alice, "post", pk="7", **{"HX-Request": "true"})
    assert (answer.status_code, text(answer)) == (409, "error: web was not stopped.\nIt is busy.")
    assert Event.objects.get().outcome == "refused"


def test_a_button_of_something_of_others_is_not_found(ask, alice):
    gone = doing(NotFound("Thing 7 could not be found."))
    assert ask(gone, alice, "post").status_code == 404
    assert ask(gone, alice, "post", **{"HX-Request": "true"}).status_code == 404
