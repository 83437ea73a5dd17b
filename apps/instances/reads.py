"""Reads that lists need: a constant number of queries whatever the number of instances."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count

from apps.networks.models import FixedIP, FloatingIP, Port
from apps.networks.models import Status as NetworkStatus


@dataclass(frozen=True)
class Address:
    network: str
    address: str
    mac: str
    version: int
    floating: bool


def addresses_of(ids: Iterable) -> dict[str, list[Address]]:
    """{instance id: addresses, each fixed one followed by its floating one}, in two queries."""
    keys = [str(pk) for pk in ids]
    if not keys:
        return {}
    floating = defaultdict(list)
    rows = FloatingIP.objects.filter(port__device_id__in=keys).exclude(status=NetworkStatus.DELETING)
    for port, fixed, address in rows.values_list("port_id", "fixed_address", "address"):
        floating[port, fixed].append(address)
    found: dict[str, list[Address]] = defaultdict(list)
    fixed_rows = (
        FixedIP.objects.filter(port__device_id__in=keys)
        .exclude(port__status=NetworkStatus.DELETING)
        .order_by("port__created_at", "pk")
        .values_list(
            "port__device_id",
            "port__network__name",
            "address",
            "port__mac_address",
            "subnet__ip_version",
            "port_id",
        )
    )
    for device, network, address, mac, version, port in fixed_rows:
        found[device].append(Address(network, address, mac, version, floating=False))
        for public in floating.get((port, address), ()):
            found[device].append(Address(network, public, mac, version, floating=True))
    return found


def groups_of(ids: Iterable) -> dict[str, list[str]]:
    """{instance id: names of its ports' security groups, one name a port and group}, in one query."""
    keys = [str(pk) for pk in ids]
    found: dict[str, list[str]] = defaultdict(list)
    rows = (
        Port.objects.filter(device_id__in=keys)
        .exclude(status=NetworkStatus.DELETING)
        .order_by("created_at")
        .values_list("device_id", "security_groups__name")
    )
    for device, name in rows:
        found[device] += [name] if name else []
    return found


def addresses_taken(subnets: Iterable) -> dict:
    """{subnet id: addresses held by ports}, in one query."""
    rows = FixedIP.objects.filter(subnet_id__in=list(subnets)).values("subnet_id").annotate(taken=Count("pk"))
    return {row["subnet_id"]: row["taken"] for row in rows}
