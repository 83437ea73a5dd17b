"""The live socket of the whole product, opened with a browser's cookie."""

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from apps.core import live
from apps.projects import operations
from apps.projects.models import Project, User
from cloudpanel.asgi import application
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)


def open_socket(client: Client, path: str = "/ws/live") -> Socket:
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    return Socket(
        application, path, [(b"host", b"cloud"), (b"origin", b"http://cloud"), (b"cookie", cookies.encode())]
    )


async def test_each_hears_of_their_own_project(browse, alice, mallory):
    mine = open_socket(await sync_to_async(browse)(alice))
    theirs = open_socket(await sync_to_async(browse)(mallory), "/ws/live?project=" + alice.project_id)
    for socket in (mine, theirs):
        assert await socket.connect()
        assert await socket.hears() == {"type": "beat"}
    await sync_to_async(live.tell)(alice.project_id, {"type": "changed", "id": "1"})
    assert await mine.hears() == {"type": "changed", "id": "1"}
    assert await theirs.receive_nothing()
    for socket in (mine, theirs):
        await socket.leave()


async def test_no_cookie_no_news(db):
    anonymous = open_socket(Client())
    assert await anonymous.connect()
    assert await anonymous.hears() == 4401


async def test_a_log_out_closes_the_other_tabs(browse, alice):
    client = await sync_to_async(browse)(alice)
    tab = open_socket(client)
    await tab.connect()
    await tab.hears()
    await sync_to_async(client.post)("/logout")
    assert await tab.hears() == 4401


async def test_a_change_of_project_closes_the_other_tabs(browse, alice, domain, roles):
    def join_another():
        project = Project.objects.create(name="beside", domain=domain)
        project.assignments.create(user_id=alice.user_id, role=roles["member"])
        return project.pk

    client = await sync_to_async(browse)(alice)
    tab = open_socket(client)
    await tab.connect()
    await tab.hears()
    await sync_to_async(client.post)("/switch-project", {"project": await sync_to_async(join_another)()})
    assert await tab.hears() == 1013


async def test_who_is_disabled_hears_nothing_more(browse, alice, ada):
    tab = open_socket(await sync_to_async(browse)(alice))
    await tab.connect()
    await tab.hears()

    def disable():
        operations.update_user(ada, user=User.objects.get(pk=alice.user_id), enabled=False)

    await sync_to_async(disable)()
    assert await tab.hears() == 4401


async def test_nothing_else_is_a_websocket(db):
    for path in ("/", "/ws", "/ws/live/other", "/compute/v2.1/servers"):
        assert not await open_socket(Client(), path).connect(), path
