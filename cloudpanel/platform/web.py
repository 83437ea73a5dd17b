"""`python -m cloudpanel.platform.web NAME`: one web process, on the supervisor's listening socket or its own.

Several of them accept from one socket, so the kernel hands each connection to one that is idle, and one that
dies is started again like any other process.
"""

import os
import socket
import sys

import uvicorn

from cloudpanel import config
from cloudpanel.platform.listen import listen


class Server(uvicorn.Server):
    """Says in var/run/NAME.ready that it serves."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            (config.RUN / f"{sys.argv[1]}.ready").write_text(str(os.getpid()))


def main() -> None:
    inherited = os.environ.pop("CLOUDPANEL_LISTEN_FD", "")
    listener = socket.socket(fileno=int(inherited)) if inherited else listen()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpanel.settings")
    Server(
        uvicorn.Config(
            "cloudpanel.asgi:application",
            log_config=None,  # Django's, which masks secrets
            server_header=False,
            lifespan="off",
            ws_per_message_deflate=False,  # screens come compressed already
            timeout_graceful_shutdown=3,
        )
    ).run(sockets=[listener])


if __name__ == "__main__":
    main()
