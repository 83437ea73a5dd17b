"""A ticket opens one console, once, within a minute."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache

from apps.core.errors import Conflict, Forbidden, NotFound, Unavailable
from apps.core.models import Event
from apps.instances import consoles
from tests import redis_server


@pytest.fixture(scope="module")
def redis_url():
    with redis_server.running() as url:
        yield url


@pytest.fixture(autouse=True)
def redis_cache(settings, redis_url):
    """The product's cache, on a server of our own."""
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}
    }


def test_it_says_who_may_see_what(launch, alice):
    instance = launch(alice)
    value = consoles.spend(consoles.issue(alice, instance, "screen"))
    assert (value["user"], value["project"], value["instance"], value["kind"]) == (
        alice.user_id,
        alice.project_id,
        str(instance.pk),
        "screen",
    )
    assert consoles.holder(value).roles == alice.roles


def test_looking_does_not_spend_it_and_spending_does(launch, alice):
    ticket = consoles.issue(alice, launch(alice), "serial")
    assert consoles.peek(ticket)
    assert consoles.peek(ticket)
    assert consoles.spend(ticket)
    assert consoles.spend(ticket) is None
    assert consoles.peek(ticket) is None


def test_a_hundred_spend_it_at_once_and_one_wins(launch, alice):
    ticket = consoles.issue(alice, launch(alice), "screen")
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: consoles.spend(ticket), range(100)))
    assert len([answer for answer in answers if answer]) == 1


def test_only_its_hash_is_kept_for_a_minute(launch, alice):
    ticket = consoles.issue(alice, launch(alice), "screen")
    client = cache._cache.get_client()
    (key,) = client.keys("*console*")
    assert ticket.encode() not in key
    assert ticket.encode() not in client.get(key)
    assert 55 <= client.ttl(key) <= 60


def test_issuing_is_audited(launch, alice):
    instance = launch(alice)
    consoles.issue(alice, instance, "screen")
    event = Event.objects.get(object_id=str(instance.pk), action="console")
    assert (event.user_name, event.detail) == ("alice", "screen")


def test_worthless_tickets_are_none():
    for ticket in ("", "x", "x" * 10_000):
        assert consoles.spend(ticket) is None


def test_who_may_not_gets_none(launch, alice, reader, mallory):
    instance = launch(alice)
    with pytest.raises(Forbidden):
        consoles.issue(reader, instance, "screen")
    with pytest.raises(NotFound):
        consoles.issue(mallory, instance, "screen")


def test_a_guest_that_is_off_has_no_console(launch, alice, settle):
    from apps.instances.operations import stop_instance

    instance = launch(alice)
    stop_instance(alice, instance=instance)
    settle()
    instance.refresh_from_db()
    with pytest.raises(Conflict, match="SHUTOFF"):
        consoles.issue(alice, instance, "screen")


def test_without_the_cache_the_reason_says_so(launch, alice, settings):
    instance = launch(alice)
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "unix:///nonexistent/redis.sock",
        }
    }
    with pytest.raises(Unavailable, match="Redis"):
        consoles.issue(alice, instance, "screen")


def test_the_page_of_a_url_needs_no_login_and_does_not_spend_it(client, launch, alice):
    ticket = consoles.issue(alice, launch(alice, name="web"), "screen")
    url = urlsplit(consoles.page_path("screen", ticket))
    assert (url.path, parse_qs(url.query)["token"]) == ("/console/novnc", [ticket])
    for _ in range(2):
        page = client.get(url.geturl())
        assert page.status_code == 200
        assert page.context["instance"].name == "web"
        assert page["Referrer-Policy"] == "no-referrer"
    assert consoles.spend(ticket)
    assert client.get(url.geturl()).context["instance"] is None
