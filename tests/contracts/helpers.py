"""What the tests of compute drivers share."""

import hashlib
import socket
import subprocess
import time
from pathlib import Path


def sha512(path: Path) -> str:
    return hashlib.sha512(path.read_bytes()).hexdigest()


def wait_for(condition, seconds: float = 10):
    """The first true value of `condition()`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "did not come true"
        time.sleep(0.05)
    return value


def read_until(end: socket.socket, wanted: bytes, seconds: float = 10) -> bytes:
    end.settimeout(seconds)
    data = b""
    while wanted not in data:
        more = end.recv(4096)
        assert more, f"ended after {data!r}"
        data += more
    return data


def qemu_img(*arguments) -> None:
    subprocess.run(["qemu-img", "create", "-q", *arguments], check=True, capture_output=True)
