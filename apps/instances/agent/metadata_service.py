"""169.254.169.254 in every network that has an instance on this host.

The network is known by the socket that a request comes in on, the instance by the source address; port security
sees to it that both are true.
"""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable

from channels.db import database_sync_to_async

from apps.core.errors import DriverError
from apps.hosts import metadata_ports
from apps.hosts.streams import StreamServer
from apps.instances import metadata
from apps.instances.agent import http
from apps.instances.agent.boots import Boots
from apps.instances.agent.http import Request, Response
from apps.instances.models import Instance
from apps.networks.models import FixedIP, Port, Status, Subnet

log = logging.getLogger(__name__)

LOOK_SECONDS = 60  # between looks when nobody says that something has changed
RETRY_SECONDS = 2  # after something failed
PASSWORD_MAX = 1020  # octets; what Nova keeps


class MetadataService:
    """`changed` is set by whoever starts or removes an instance here; the set of networks then follows."""

    def __init__(self, host: str, boots: Boots):
        self.host = host
        self.boots = boots
        self.changed = asyncio.Event()
        self._servers: dict[str, StreamServer] = {}  # by network id
        self._complaint = ""

    async def run(self, ready: Callable[[], None]) -> None:
        try:
            while True:
                self.changed.clear()
                whole = await self._match()
                if whole:
                    ready()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS if whole else RETRY_SECONDS):
                        await self.changed.wait()
        finally:
            for network in list(self._servers):
                await self._close(network)

    async def _match(self) -> bool:
        """Every network of our instances is served, no other; False when something is to be tried again."""
        wanted = await database_sync_to_async(networks_of)(self.host)
        try:
            here = await asyncio.to_thread(metadata_ports.existing)
        except DriverError as error:
            self._complain(str(error))
            return False
        done = [
            await self._serve(network, addresses, network in here) for network, addresses in wanted.items()
        ]
        done += [await self._stop(network) for network in (here | self._servers.keys()) - wanted.keys()]
        if all(done):
            self._complaint = ""
        return all(done)

    def _complain(self, text: str) -> None:
        """Once, not at each try."""
        if text != self._complaint:
            self._complaint = text
            log.warning("Metadata: %s", text)

    async def _serve(self, network: str, addresses: list[str], known: bool) -> bool:
        try:
            await asyncio.to_thread(metadata_ports.ensure_metadata_port, network, addresses)
            if not known:
                await self._close(network)  # what was listened on went with the namespace
            if network not in self._servers:
                listening = await asyncio.to_thread(metadata_ports.listening_socket, network)
                self._servers[network] = await http.serve(listening, self._answerer(network))
        except (DriverError, OSError) as error:
            self._complain(f"network {network}: {error}")
            return False
        return True

    async def _stop(self, network: str) -> bool:
        await self._close(network)
        try:
            await asyncio.to_thread(metadata_ports.ensure_no_metadata_port, network)
        except DriverError as error:
            self._complain(f"network {network}: {error}")
            return False
        return True

    async def _close(self, network: str) -> None:
        if server := self._servers.pop(network, None):
            await server.close()

    def _answerer(self, network: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            found, response = await database_sync_to_async(respond)(network, request)
            if found is not None:
                self.boots.asked(found, request.path)
            return response

        return answer


def networks_of(host: str) -> dict[str, list[str]]:
    """{id of a network with an instance's port on `host`: its metadata addresses, "10.0.0.2/24"}."""
    ports = Port.objects.filter(host=host, device_owner__startswith="compute:").exclude(
        status=Status.DELETING
    )
    found: dict[str, list[str]] = {
        str(network): [] for network in ports.order_by().values_list("network_id", flat=True).distinct()
    }
    for subnet in Subnet.objects.filter(network_id__in=found, ip_version=4).exclude(metadata_ip=""):
        prefix = ipaddress.ip_network(subnet.cidr).prefixlen
        found[str(subnet.network_id)].append(f"{subnet.metadata_ip}/{prefix}")
    return found


def caller(network: str, address: str) -> Instance | None:
    """The instance that has the address in the network."""
    device = (
        FixedIP.objects.filter(
            address=address, port__network_id=network, port__device_owner__startswith="compute:"
        )
        .exclude(port__status=Status.DELETING)
        .values_list("port__device_id", flat=True)
        .first()
    )
    if device is None:
        return None
    rows = Instance.objects.exclude(status=Instance.Status.DELETED)
    return rows.select_related("host").filter(pk=device).first()


def respond(network: str, request: Request) -> tuple[Instance | None, Response]:
    """Who asks, and the answer: 404 for a stranger and for what is not there."""
    instance = caller(network, request.client)
    if instance is None:
        return None, Response(404)
    parts = request.path.split("?")[0].rstrip("/").split("/")
    if (
        request.method == "POST"
        and parts[1:2] == ["openstack"]
        and parts[-1] == "password"
        and len(parts) == 4
    ):
        return instance, _keep_password(instance, parts[2], request.body)
    if request.method not in ("GET", "HEAD"):
        return instance, Response(405)
    content = metadata.answer(instance, request.path)
    if content is None:
        return instance, Response(404)
    if parts[-1].endswith(".json"):
        return instance, Response(200, content, "application/json")
    if parts[-1] in ("user_data", "user-data"):
        return instance, Response(200, content, "application/octet-stream")
    return instance, Response(200, content)


def _keep_password(instance: Instance, version: str, body: bytes) -> Response:
    """A guest may say its password once, encrypted with the key pair's public half."""
    if version not in metadata.OPENSTACK_VERSIONS:
        return Response(404)
    if not body.isascii() or not 0 < len(body) <= PASSWORD_MAX:
        return Response(400)
    kept = Instance.objects.filter(pk=instance.pk, guest_password="").update(
        guest_password=body.decode("ascii")
    )
    return Response(200 if kept else 409)
