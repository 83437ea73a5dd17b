"""Log in, go elsewhere, log out: what a browser may and may not do."""

import pytest
from django.test import Client

from apps.core.models import Event
from apps.projects import operations
from apps.projects.models import Assignment, Project, Role, User
from tests.conftest import PASSWORD

WRONG = "User name or password is wrong."


def log_in(client, name="alice", password=PASSWORD, domain="Default", **more):
    return client.post("/login", {"username": name, "password": password, "domain": domain, **more})


@pytest.fixture
def known(alice, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": alice.user_id}
    }
    return alice


def test_a_stranger_is_sent_to_the_log_in_page_and_back(client, known):
    sent = client.get("/palette.json?q=a")
    assert sent.url == "/login?next=%2Fpalette.json%3Fq%3Da"
    page = client.get(sent.url)
    assert page.status_code == 200
    assert page.context["next"] == "/palette.json?q=a"
    answer = log_in(client, next="/palette.json?q=a")
    assert (answer.status_code, answer.url) == (303, "/palette.json?q=a")
    assert client.get("/palette.json").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil"]
)
def test_after_the_log_in_nobody_is_sent_elsewhere(client, known, target):
    assert log_in(client, next=target).url == "/"
    assert client.get("/login", {"next": target}).url == "/"  # who is logged in already


@pytest.mark.parametrize(
    ("name", "password", "realm"),
    [("alice", "guessed", "Default"), ("nobody", PASSWORD, "Default"), ("alice", PASSWORD, "Elsewhere")],
)
def test_a_refused_log_in_does_not_say_what_was_wrong(client, known, name, password, realm):
    page = log_in(client, name, password, realm)
    assert page.status_code == 401
    assert page.context["form"].non_field_errors() == [WRONG]
    assert password not in page.content.decode()
    assert client.get("/tasks").status_code == 302


def test_guessing_is_slowed_down(client, known):
    for _ in range(5):
        assert log_in(client, password="guess").status_code == 401
    pages = [log_in(client, password="guess") for _ in range(2)]
    assert pages[-1].status_code == 429
    assert "try again in" in pages[-1].context["form"].non_field_errors()[0]


def test_an_empty_form_says_what_is_missing(client, known):
    page = client.post("/login", {})
    assert page.status_code == 422
    assert set(page.context["form"].errors) == {"username", "password", "domain"}


def test_the_session_gets_a_new_key_at_the_log_in(client, known):
    client.get("/login")
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    log_in(client)
    assert client.session.session_key != before
    assert client.cookies["cloudpanel"]["httponly"]
    assert client.cookies["cloudpanel"]["samesite"] == "Lax"


def test_a_log_in_leaves_a_trace(client, known):
    log_in(client)
    assert Event.objects.filter(action="log_in", user_name="alice").exists()


def test_who_is_disabled_is_out_at_once(client, known, ada):
    log_in(client)
    operations.update_user(ada, user=User.objects.get(name="alice"), enabled=False)
    assert client.get("/tasks").status_code == 302


def test_log_out_ends_the_session_also_for_a_copied_cookie(client, known):
    log_in(client)
    thief = Client()
    thief.cookies["cloudpanel"] = client.cookies["cloudpanel"].value
    assert thief.get("/tasks").status_code == 200
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").url == "/login"
    assert client.get("/tasks").status_code == 302
    assert thief.get("/tasks").status_code == 302


@pytest.mark.parametrize("path", ["/login", "/logout", "/switch-project", "/theme", "/tasks"])
def test_every_change_needs_the_csrf_token(known, path):
    client = Client(enforce_csrf_checks=True)
    page = client.post(path, {"theme": "dark"})
    assert page.status_code == 403
    assert "too old" in page.content.decode()


def test_with_the_token_the_form_is_taken(known):
    client = Client(enforce_csrf_checks=True)
    client.get("/login")
    answer = log_in(client, csrfmiddlewaretoken=client.cookies["cloudpanel_csrf"].value)
    assert answer.status_code == 303


# --- projects ---------------------------------------------------------------------------------------


def test_another_project_of_mine_is_one_click_away(client, known, domain):
    beside = Project.objects.create(name="beside", domain=domain)
    Assignment.objects.create(user_id=known.user_id, role=Role.objects.get(name="reader"), project=beside)
    log_in(client)
    assert client.post("/switch-project", {"project": beside.pk}).url == "/"
    assert client.get("/tasks").context["request"].ctx.project_id == beside.pk


def test_a_project_of_others_is_not(client, known, other_project):
    log_in(client)
    client.post("/switch-project", {"project": other_project.pk})
    page = client.get("/tasks")
    assert page.context["request"].ctx.project_id == known.project_id


# --- theme ------------------------------------------------------------------------------------------


def test_the_theme_is_remembered_by_browser_and_account(client, known):
    assert client.post("/theme", {"theme": "dark"}).status_code == 303
    assert client.cookies["theme"].value == "dark"
    log_in(client)
    assert client.cookies["theme"].value == "system"  # the account's own
    client.post("/theme", {"theme": "light"})
    assert User.objects.get(name="alice").theme == "light"
    assert client.post("/theme", {"theme": "pink"}).status_code == 400


# --- headers ----------------------------------------------------------------------------------------


def test_pages_may_run_nothing_but_our_own_scripts(client, known):
    page = client.get("/login")
    policy = page["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page["Cache-Control"].startswith("max-age=0") or page["Cache-Control"] == "no-store"
    assert page["X-Content-Type-Options"] == "nosniff"
    text = page.content.decode()
    assert "style=" not in text
    assert "onclick" not in text


def test_an_address_that_carries_a_token_is_told_to_nobody(client, known):
    assert client.get("/login")["Referrer-Policy"] == "same-origin"
    assert client.get("/login?token=secret")["Referrer-Policy"] == "no-referrer"


def test_unknown_pages_are_ours_and_unknown_api_paths_are_the_services(client, known):
    page = client.get("/no-such-page")
    assert page.status_code == 404
    assert page["Content-Type"].startswith("text/html")
    for path in ("/identity/v3/nothing", "/image/v2/nothing"):
        answer = client.get(path)
        assert answer["Content-Type"].startswith("application/json"), path
        assert answer.status_code in (401, 404)
