"""Which addresses of a network are free. The caller holds the network, so that what is free stays free."""

import ipaddress
import random
from collections.abc import Iterable

from apps.core.errors import Conflict, NotFound
from apps.networks.models import FixedIP, FloatingIP, Network, Subnet
from apps.networks.operations.common import invalid, parse_address

TRIES = 24  # random addresses looked up at once
FIXED_IPS_MAX = 5  # of one port

Address = tuple[Subnet, str]


def bounds(subnet: Subnet):
    """The first and the last address that a machine can have; IPv4's very last one is for broadcasts."""
    net = ipaddress.ip_network(subnet.cidr)
    return net[1], net[-2] if net.version == 4 else net[-1]


def is_host(subnet: Subnet, address: str) -> bool:
    ip = ipaddress.ip_address(address)
    first, last = bounds(subnet)
    return ip.version == subnet.ip_version and first <= ip <= last


def taken(subnet: Subnet, among: list[str] | None = None) -> set[str]:
    """The addresses, all or `among` these, that a port, a floating IP or the metadata service has."""
    fixed = FixedIP.objects.filter(subnet=subnet).order_by()
    floating = FloatingIP.objects.filter(subnet=subnet).order_by()
    if among is not None:
        fixed, floating = fixed.filter(address__in=among), floating.filter(address__in=among)
    found = set(fixed.values_list("address", flat=True).union(floating.values_list("address", flat=True)))
    return found | ({subnet.metadata_ip} if subnet.metadata_ip else set())


class Pools:
    """The addresses that a subnet gives out, by number."""

    def __init__(self, subnet: Subnet):
        self.address = ipaddress.IPv4Address if subnet.ip_version == 4 else ipaddress.IPv6Address
        self.ranges = [
            (int(self.address(pool["start"])), int(self.address(pool["end"])))
            for pool in subnet.allocation_pools
        ]
        self.size = sum(high - low + 1 for low, high in self.ranges)

    def __getitem__(self, n: int) -> str:
        for low, high in self.ranges:
            if n <= high - low:
                return str(self.address(low + n))
            n -= high - low + 1
        raise IndexError(n)

    def some(self, most: int) -> list[str]:
        """Up to `most` of them at random; all when there are no more."""
        if self.size <= most:
            return random.sample([self[n] for n in range(self.size)], self.size)
        return list({self[random.randrange(self.size)] for _ in range(most)})


def pick(subnet: Subnet, besides: Iterable[str] = ()) -> str:
    """A free address of the pools, none of `besides`; "" when there is none left.

    At random: one that was just given back rests a while.
    """
    pools = Pools(subnet)
    some = pools.some(TRIES)
    used = taken(subnet, some) | set(besides)
    for address in some:
        if address not in used:
            return address
    if pools.size <= TRIES:
        return ""
    used = taken(subnet) | set(besides)  # nearly full
    return next((address for n in range(pools.size) if (address := pools[n]) not in used), "")


def exhausted(network: Network, subnets: list[Subnet]) -> Conflict:
    why = "; ".join(f"all {Pools(subnet).size} of {subnet.cidr} are taken" for subnet in subnets)
    return Conflict(
        f"No more IP addresses available on network {network.pk}: {why or 'it has no subnet'}. Release some, or "
        "add a subnet.",
        kind="IpAddressGenerationFailure",
    )


def in_use(network: Network, address: str) -> Conflict:
    return Conflict(
        f"Unable to complete operation for network {network.pk}. The IP address {address} is in use.",
        field="fixed_ips",
        kind="IpAddressInUse",
    )


def allocate(network: Network, asked: list[dict] | None, held: dict[str, str] | None = None) -> list[Address]:
    """Free addresses as asked: [{"subnet_id"}, {"ip_address"} or both ...]; None: one of each IP version.

    `held` {address: subnet id} are the port's own, which it may keep. Conflict when an address is taken or a
    pool is empty; CloudError for an address or a subnet that is none of the network's.
    """
    subnets = list(network.subnets.order_by("created_at", "pk"))
    if asked is None:
        return _one_of_each(network, subnets)
    if len(asked) > FIXED_IPS_MAX:
        raise invalid(
            f"Invalid input for operation: {len(asked)} fixed IPs, at most {FIXED_IPS_MAX} fit a port.",
            "fixed_ips",
        )
    held, found = dict(held or {}), []
    for item in asked:
        found.append(_as_asked(network, subnets, item, held, [address for _, address in found]))
    return found


def _one_of_each(network: Network, subnets: list[Subnet]) -> list[Address]:
    found = []
    for version in (4, 6):
        fitting = [subnet for subnet in subnets if subnet.ip_version == version]
        picked = next(((subnet, address) for subnet in fitting if (address := pick(subnet))), None)
        if picked:
            found.append(picked)
        elif fitting:
            raise exhausted(network, fitting)
    return found


def _as_asked(
    network: Network, subnets: list[Subnet], item, held: dict[str, str], given: list[str]
) -> Address:
    if not isinstance(item, dict) or not any(item.values()) or not set(item) <= {"subnet_id", "ip_address"}:
        raise invalid(
            "Invalid input for fixed_ips. Reason: each has 'subnet_id', 'ip_address' or both.", "fixed_ips"
        )
    subnet = _subnet(subnets, item["subnet_id"]) if item.get("subnet_id") else None
    if not item.get("ip_address"):
        own = next((address for address, pk in held.items() if pk == str(subnet.pk)), "")
        address = own or pick(subnet, given)
        if not address:
            raise exhausted(network, [subnet])
        held.pop(own, None)
        return subnet, address
    address = parse_address(item["ip_address"], "fixed_ips")
    subnet = subnet or next((s for s in subnets if s.contains(address)), None)
    if subnet is None:
        raise invalid(
            f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
            "fixed_ips",
            "InvalidIpForNetwork",
        )
    if not is_host(subnet, address):
        raise invalid(
            f"IP address {address} is not a valid IP for the specified subnet {subnet.cidr}.",
            "fixed_ips",
            "InvalidIpForSubnet",
        )
    if address in given or (held.pop(address, "") != str(subnet.pk) and address in taken(subnet, [address])):
        raise in_use(network, address)
    return subnet, address


def _subnet(subnets: list[Subnet], pk) -> Subnet:
    for subnet in subnets:
        if str(subnet.pk) == str(pk):
            return subnet
    raise NotFound(
        f"Subnet {pk} could not be found on this network.", field="fixed_ips", kind="SubnetNotFound"
    )
