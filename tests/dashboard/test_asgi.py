"""Django behind uvicorn: persistent threads, whole answers with their length, files in pieces."""

import asyncio
import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from cloudpanel.asgi import Portal

closed = threading.Event()


def name_of_thread(request):
    return HttpResponse(threading.current_thread().name)


def big_file(request):
    return FileResponse(open(request.GET["path"], "rb"))


def counting(request):
    async def numbers():
        for number in range(3):
            yield str(number)

    response = StreamingHttpResponse(numbers())
    response._resource_closers.append(closed.set)
    return response


urlpatterns = [path("thread", name_of_thread), path("file", big_file), path("stream", counting)]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.filterwarnings("error")]


@pytest.fixture
def portal():
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        yield Portal()


async def get(portal, path: str, query: str = ""):
    """(status, headers, pieces of the body)"""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    client = ApplicationCommunicator(portal, scope)
    await client.send_input({"type": "http.request"})
    start = await client.receive_output(5)
    pieces, more = [], True
    while more:
        message = await client.receive_output(5)
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    await client.wait(5)
    return start["status"], {k.decode().lower(): v.decode() for k, v in start["headers"]}, pieces


async def test_requests_share_a_few_threads_that_stay(portal):
    answers = [await get(portal, "/thread") for _ in range(20)]
    names = {answer[2][0] for answer in answers}
    assert names
    assert all(name.startswith(b"request") for name in names)
    assert len(names) <= 8
    assert answers[0][1]["content-length"] == str(len(answers[0][2][0]))


async def test_a_file_is_sent_in_pieces(portal, tmp_path):
    (tmp_path / "big").write_bytes(bytes(range(256)) * 1024)
    status, headers, pieces = await get(portal, "/file", f"path={tmp_path}/big")
    assert status == 200
    assert b"".join(pieces) == (tmp_path / "big").read_bytes()
    assert len([piece for piece in pieces if piece]) == 4
    assert headers["content-length"] == str(256 * 1024)


async def test_an_asynchronous_stream_is_closed_at_its_end(portal):
    closed.clear()
    _, headers, pieces = await get(portal, "/stream")
    assert b"".join(pieces) == b"012"
    assert "content-length" not in headers
    assert closed.is_set()


async def test_a_slow_sender_holds_no_thread(portal):
    scope = {"type": "http", "method": "POST", "path": "/thread", "query_string": b"", "headers": []}
    slow = [ApplicationCommunicator(portal, scope) for _ in range(20)]
    for client in slow:
        await client.send_input({"type": "http.request", "body": b"a", "more_body": True})
    await asyncio.sleep(0.05)
    assert (await get(portal, "/thread"))[0] == 200
    for client in slow:
        await client.send_input({"type": "http.disconnect"})
        await client.wait(5)
