"""The portal's address."""

import socket

from cloudpanel import config


def listen_address() -> tuple[str, int]:
    """CLOUDPANEL_LISTEN as host and port; ValueError if it is not that."""
    host, _, port = config.LISTEN.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def listen() -> socket.socket:
    """The portal's listening socket, which every web process accepts from; OSError if the port is in use."""
    host, port = listen_address()
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    return listener
