"""What uvicorn serves: `uvicorn cloudpanel.asgi:application`. Pages and APIs are Django's; websockets are Channels'."""

import os
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpanel.settings")

import django

django.setup(set_prefix=False)

from asgiref.sync import sync_to_async  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.handlers.asgi import ASGIHandler, RequestAborted, get_script_prefix  # noqa: E402
from django.core.handlers.base import BaseHandler  # noqa: E402
from django.core.signals import request_started  # noqa: E402
from django.http import FileResponse  # noqa: E402
from django.urls import path, re_path, set_script_prefix  # noqa: E402

from apps.core.consumers import LiveConsumer, SameOrigin, WithSession, refuse  # noqa: E402
from apps.instances.consumers import websocket_urls  # noqa: E402
from apps.projects.middleware import context_from_session  # noqa: E402

THREADS = 8


class Portal(ASGIHandler):
    """Django on a fixed pool of threads, one hop a request.

    Django's own handler makes a thread for each request, and so a new database connection, and changes threads
    several times in it. Here a thread lives as long as the process, with its connection; it works from the first
    middleware to the last, and neither waits for a slow sender nor for a slow reader.
    """

    def __init__(self):
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self.in_thread = lambda function, *args: sync_to_async(
            function, thread_sensitive=False, executor=pool
        )(*args)

    async def __call__(self, scope, receive, send):
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response = None
        try:
            response = await self.in_thread(self.answer, scope, body)
            await self.send_response(response, send)
        finally:
            body.close()
            if response is not None and response.streaming:
                await self.in_thread(response.close)

    def answer(self, scope, body):
        """The response; closed already, which ends the request for the database, unless it streams."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, response = self.create_request(scope, body)
        if request is not None:
            response = self.get_response(request)
        response._handler_class = self.__class__
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            if response.status_code not in (204, 304):
                response.headers.setdefault("Content-Length", str(len(response.content)))
            response.close()
        return response

    async def send_response(self, response, send):
        if response.streaming and not response.is_async:
            response.streaming_content = self.read_in_thread(response.streaming_content)
        await super().send_response(response, send)

    async def read_in_thread(self, chunks):
        """A file's chunks, each read by a thread of the pool."""
        chunks = iter(chunks)
        while (chunk := await self.in_thread(next, chunks, None)) is not None:
            yield chunk


websockets = [path("ws/live", LiveConsumer.as_asgi()), *websocket_urls, re_path("", refuse)]

application = ProtocolTypeRouter(
    {"http": Portal(), "websocket": SameOrigin(WithSession(URLRouter(websockets), context_from_session))}
)
