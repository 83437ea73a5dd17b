"""A private redis-server on a unix socket, for tests that need one."""

import contextlib
import shutil
import subprocess
import tempfile
import time

import redis


@contextlib.contextmanager
def running():
    """Its URL, `unix:///...`; the server and all it held are gone afterwards."""
    place = tempfile.mkdtemp(prefix="cpr-", dir="/tmp")
    path = f"{place}/redis.sock"
    process = subprocess.Popen(
        [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            path,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            place,
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        client = redis.Redis(unix_socket_path=path)
        while True:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.02)
        client.close()
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(place, ignore_errors=True)
