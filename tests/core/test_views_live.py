"""The live socket: who may open it, what it hears, when it closes."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from apps.core import consumers
from apps.core.context import Context
from apps.core.live import project_group, user_group
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)  # Channels looks after database connections

ALICE = Context(user_id="alice", project_id="lab", roles=frozenset({"member"}))


async def nobody():
    return None


def socket(who, headers=(), path="/ws/live"):
    class Known:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            return await self.inner({**scope, "who": who}, receive, send)

    application = consumers.SameOrigin(Known(consumers.LiveConsumer.as_asgi()))
    hosts = () if any(name == b"host" for name, _ in headers) else ((b"host", b"cloud:8000"),)
    return Socket(application, path, [*hosts, *headers])


def is_(ctx):
    async def who():
        return ctx

    return who


async def tell(group, payload):
    await get_channel_layer().group_send(group, {"type": "changed", "payload": payload})


async def test_it_hears_of_its_own_project_only():
    mine = socket(is_(ALICE))
    assert await mine.connect()
    assert await mine.hears() == {"type": "beat"}
    await tell(project_group("other"), {"id": "theirs"})
    await tell("admin", {"id": "hosts"})
    assert await mine.receive_nothing()
    await tell(project_group("lab"), {"id": "mine"})
    assert await mine.hears() == {"id": "mine"}
    await mine.leave()


async def test_what_a_stranger_sends_changes_nothing():
    stranger = socket(is_(Context(user_id="mallory", project_id="other")), path="/ws/live?project=lab")
    assert await stranger.connect()
    await stranger.hears()
    await stranger.says({"type": "join", "project": "lab"})
    await tell(project_group("lab"), {"id": "mine"})
    assert await stranger.receive_nothing()
    await stranger.leave()


async def test_administrators_hear_of_what_has_no_project():
    ada = socket(is_(Context(user_id="ada", project_id="admin", roles=frozenset({"admin"}))))
    await ada.connect()
    await ada.hears()
    await tell("admin", {"id": "hosts"})
    assert await ada.hears() == {"id": "hosts"}
    await ada.leave()


async def test_without_a_log_in_it_says_so_and_closes():
    anonymous = socket(nobody)
    assert await anonymous.connect()
    assert await anonymous.hears() == 4401


@pytest.mark.parametrize(
    ("now", "code"), [(None, 4401), (Context(user_id="alice", project_id="elsewhere"), 1013)]
)
async def test_it_closes_when_the_log_in_ends_or_goes_to_another_project(now, code):
    answers = [ALICE, now]

    async def who():
        return answers.pop(0)

    mine = socket(who)
    await mine.connect()
    await mine.hears()
    await get_channel_layer().group_send(user_group("alice"), {"type": "check"})
    assert await mine.hears() == code


async def test_what_changes_during_the_handshake_does_not_disturb_it(monkeypatch):
    layer = get_channel_layer()
    join = layer.group_add

    async def join_and_hear(group, channel):
        await join(group, channel)
        await tell(project_group("lab"), {"id": "early"})

    monkeypatch.setattr(layer, "group_add", join_and_hear)
    mine = socket(is_(ALICE))
    assert await mine.connect()
    assert await mine.hears() == {"type": "beat"}
    await mine.leave()


async def test_it_beats(monkeypatch):
    monkeypatch.setattr(consumers, "HEARTBEAT", 0.05)
    mine = socket(is_(ALICE))
    await mine.connect()
    for _ in range(3):
        assert await mine.hears() == {"type": "beat"}
    await mine.leave()


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ([(b"origin", b"http://cloud:8000")], True),
        ([(b"origin", b"http://evil:8000")], False),
        ([(b"origin", b"http://cloud:9000")], False),
        ([(b"origin", b"null")], False),
        (
            [(b"origin", b"https://cloud"), (b"host", b"127.0.0.1:8000"), (b"x-forwarded-host", b"cloud")],
            True,
        ),
    ],
)
async def test_only_pages_of_this_portal_open_it(headers, let_in):
    page = socket(is_(ALICE), headers)
    assert await page.connect() is let_in
    if let_in:
        await page.leave()


async def test_unknown_hosts_are_refused(settings):
    settings.ALLOWED_HOSTS = ["cloud"]
    page = socket(
        is_(ALICE), [(b"host", b"rebound.example:8000"), (b"origin", b"http://rebound.example:8000")]
    )
    assert not await page.connect()


async def test_a_broken_redis_closes_every_socket(tmp_path, settings):
    """The layer connects again silently; the pages must know that they missed something."""
    redis = str(tmp_path / "redis.sock")
    server = await asyncio.create_subprocess_exec(
        "redis-server", "--port", "0", "--unixsocket", redis, "--save", "", "--dir", str(tmp_path),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "redis.sock").exists():
        await asyncio.sleep(0.02)
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [f"unix://{redis}"]},
        }
    }
    try:
        pages = [socket(is_(ALICE)) for _ in range(2)]
        for page in pages:
            assert await page.connect()
            await page.hears()
        await tell(project_group("lab"), {"id": "mine"})
        for page in pages:
            assert await page.hears() == {"id": "mine"}
        server.kill()
        for page in pages:
            assert await page.hears(timeout=5) == 1013
        late = socket(is_(ALICE))
        assert not await late.connect(timeout=5)
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()
