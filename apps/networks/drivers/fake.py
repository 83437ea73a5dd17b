"""A network that exists on paper: no packets, the same contract.

In memory for tests; with a directory, a JSON file there that the processes of a demonstration share.
"""

from dataclasses import asdict
from pathlib import Path

from apps.core.errors import DriverError
from apps.core.paper import Paper
from apps.networks.drivers.base import FloatingIPSpec, NetworkSpec, PortSpec, RouterSpec, SecurityGroupSpec

KINDS = ("networks", "ports", "routers", "security_groups", "floating_ips")


class FakeNetwork(Paper):
    """`fail_next`: raised by the next verb, once. `things`: {kind: {id: spec as a dict}} as the verbs left it."""

    def __init__(self, directory: Path | None = None):
        super().__init__(KINDS, directory / "network.json" if directory else None)

    @property
    def things(self) -> dict[str, dict[str, dict]]:
        with self._opened() as things:
            return things

    def ensure_network(self, spec: NetworkSpec) -> None:
        with self._ensured() as things:
            things["networks"][spec.id] = asdict(spec)

    def ensure_no_network(self, id: str) -> None:
        with self._ensured() as things:
            things["networks"].pop(id, None)
            _remove_where(things["ports"], network=id)

    def ensure_port(self, spec: PortSpec) -> None:
        with self._ensured() as things:
            _need(things, "networks", spec.network)
            for group in spec.security_groups:
                _need(things, "security_groups", group)
            things["ports"][spec.id] = asdict(spec)

    def ensure_no_port(self, id: str) -> None:
        with self._ensured() as things:
            things["ports"].pop(id, None)

    def port_up(self, id: str) -> bool:
        """True as soon as the port has a host: nobody plugs here."""
        with self._ensured() as things:
            return bool(things["ports"].get(id, {}).get("host"))

    def ensure_security_group(self, spec: SecurityGroupSpec) -> None:
        with self._ensured() as things:
            things["security_groups"][spec.id] = asdict(spec)

    def ensure_no_security_group(self, id: str) -> None:
        with self._ensured() as things:
            things["security_groups"].pop(id, None)

    def ensure_router(self, spec: RouterSpec) -> None:
        with self._ensured() as things:
            for leg in [*spec.interfaces, *filter(None, [spec.gateway])]:
                _need(things, "networks", leg.network)
            things["routers"][spec.id] = asdict(spec)

    def ensure_no_router(self, id: str) -> None:
        with self._ensured() as things:
            things["routers"].pop(id, None)
            _remove_where(things["floating_ips"], router=id)

    def ensure_floating_ip(self, spec: FloatingIPSpec) -> None:
        with self._ensured() as things:
            _need(things, "routers", spec.router)
            things["floating_ips"][spec.id] = asdict(spec)

    def ensure_no_floating_ip(self, id: str) -> None:
        with self._ensured() as things:
            things["floating_ips"].pop(id, None)

    def marked(self) -> dict[str, set[str]]:
        with self._ensured() as things:
            return {kind: set(things[kind]) for kind in KINDS}

    def userspace_datapath(self, chassis: str) -> bool:
        return False

    def remove_everything(self) -> None:
        with self._ensured() as things:
            for kind in KINDS:
                things[kind].clear()


def _need(things: dict, kind: str, id: str) -> None:
    if id not in things[kind]:
        raise DriverError(f"The {kind.removesuffix('s').replace('_', ' ')} {id} is not in the network yet.")


def _remove_where(rows: dict[str, dict], **match: str) -> None:
    for id in [id for id, row in rows.items() if match.items() <= row.items()]:
        del rows[id]
