"""The console's pages and tickets through the browser's door."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.models import Event
from apps.instances import consoles
from tests.conftest import PASSWORD


@pytest.fixture
def instance(launch, alice):
    return launch(alice, name="web")


def as_(ctx) -> Client:
    """A browser in which ctx's user is logged in."""
    browser = Client()
    browser.post(reverse("login"), {"username": ctx.user_name, "password": PASSWORD, "domain": "Default"})
    return browser


@pytest.mark.parametrize("name", ["instance_console", "instance_console_text", "instance_log"])
def test_pages_are_shown_to_members_and_not_to_strangers(name, instance, alice, mallory):
    url = reverse(name, args=[instance.pk])
    page = as_(alice).get(url)
    assert (page.status_code, page.context["instance"].name) == (200, "web")
    assert as_(mallory).get(url).status_code == 404


def test_only_the_terminal_may_have_inline_styles(instance, alice):
    browser = as_(alice)
    policies = {
        name: browser.get(reverse(name, args=[instance.pk]))["Content-Security-Policy"]
        for name in ("instance_console", "instance_console_text")
    }
    assert "unsafe-inline" not in policies["instance_console"]
    assert "style-src 'self' 'unsafe-inline'" in policies["instance_console_text"]


def test_a_ticket_is_asked_for_by_post(instance, alice, mallory):
    url = reverse("console_ticket", args=[instance.pk, "screen"])
    answer = as_(alice).post(url)
    ticket = answer.json()["ticket"]
    assert answer.json()["url"] == f"http://testserver/console/novnc?token={ticket}"
    assert consoles.spend(ticket)["instance"] == str(instance.pk)
    assert as_(alice).get(url).status_code == 405
    refused = as_(mallory).post(url)
    assert refused.status_code == 404
    assert "ticket" not in refused.json()


def test_a_reader_is_refused_with_the_reason(instance, reader):
    answer = as_(reader).post(reverse("console_ticket", args=[instance.pk, "serial"]))
    assert answer.status_code == 403
    assert "needs the role member" in answer.json()["error"]
    assert Event.objects.filter(
        user_name="rita", model="instance", action="console", outcome="refused"
    ).exists()


def test_unknown_kinds_are_not_found(instance, alice):
    assert as_(alice).post(reverse("console_ticket", args=[instance.pk, "spice"])).status_code == 404


def test_a_log_that_cannot_be_had_says_the_hop_on_the_page(instance, alice):
    page = as_(alice).get(reverse("instance_log", args=[instance.pk]))
    assert page.context["error"].startswith("Portal to host:")
    assert "Portal to host:" in page.content.decode()
