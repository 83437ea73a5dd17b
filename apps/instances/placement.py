"""Which host an instance goes to, and why: filters and weighers over rows, and a record of the decision.

`place` runs inside the transaction that inserts the instance, with the hosts locked, so two launches never
take the same room.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.db.models import Count, Sum

from apps.core.errors import NoValidHost
from apps.hosts.models import Host
from apps.instances.models import Flavor, Instance

OVERHEAD_MIB = 64  # memory that a hypervisor process takes beside its guest's
MIN_FREE_GIB = 1  # disk that stays free on a host


@dataclass
class Room:
    """A host and what instances hold of it."""

    host: Host
    vcpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    instances: int = 0

    @property
    def free_vcpus(self) -> int:
        return int(self.host.vcpus * self.host.cpu_ratio) - self.vcpus

    @property
    def free_memory_mib(self) -> int:
        held = self.memory_mib + self.instances * OVERHEAD_MIB
        return self.host.memory_mib - self.host.reserved_memory_mib - held - OVERHEAD_MIB

    @property
    def free_disk_gib(self) -> int:
        return min(self.host.disk_gib - self.disk_gib, self.host.disk_free_gib) - MIN_FREE_GIB

    def take(self, asked: "Asked") -> None:
        self.vcpus += asked.vcpus
        self.memory_mib += asked.memory_mib
        self.disk_gib += asked.disk_gib
        self.instances += 1


@dataclass(frozen=True)
class Asked:
    """What one instance needs."""

    vcpus: int
    memory_mib: int
    disk_gib: int
    zone: str = ""
    host: str = ""


@dataclass(frozen=True)
class Verdict:
    ok: bool
    found: str  # "3072 free", "maintenance"


@dataclass(frozen=True)
class Rule:
    """One column of the decision: `needs` says what is asked, `judge` looks at one host, `lacks` words a no."""

    name: str
    needs: Callable[[Asked], str]
    judge: Callable[[Room, Asked], Verdict]
    lacks: Callable[[Asked], str]


def _number(found: int, needed: int) -> Verdict:
    return Verdict(found >= needed, f"{max(found, 0)} free")


FILTERS: list[Rule] = [
    Rule(
        "Takes instances",
        lambda a: "",
        lambda r, a: Verdict(r.host.enabled, "yes" if r.host.enabled else "maintenance"),
        lambda a: "in maintenance",
    ),
    Rule(
        "Answers",
        lambda a: "",
        lambda r, a: Verdict(r.host.is_up, "yes" if r.host.is_up else "not heard of"),
        lambda a: "not answering",
    ),
    Rule(
        "Zone",
        lambda a: a.zone,
        lambda r, a: Verdict(
            a.zone in ("", r.host.availability_zone) and a.host in ("", r.host.name), r.host.availability_zone
        ),
        lambda a: "elsewhere than asked for",
    ),
    Rule(
        "vCPU",
        lambda a: str(a.vcpus),
        lambda r, a: _number(r.free_vcpus, a.vcpus),
        lambda a: f"short of {a.vcpus} vCPUs",
    ),
    Rule(
        "RAM",
        lambda a: f"{a.memory_mib} MiB",
        lambda r, a: _number(r.free_memory_mib, a.memory_mib),
        lambda a: f"short of {a.memory_mib} MiB RAM",
    ),
    Rule(
        "Disk",
        lambda a: f"{a.disk_gib} GiB",
        lambda r, a: _number(r.free_disk_gib, a.disk_gib),
        lambda a: f"short of {a.disk_gib} GiB disk",
    ),
]

# A host's weight is the sum; the heaviest wins. Free memory first: it spreads, and memory is what runs out.
WEIGHERS: list[Callable[[Room, Asked], float]] = [
    lambda room, asked: room.free_memory_mib / max(room.host.memory_mib, 1),
    lambda room, asked: -0.01 * room.instances,
]


@dataclass
class Decision:
    """The record of one placement, kept with the request: {"hosts": [{"host", "rules": [[name, needs, ok, found]]}]}."""

    asked: Asked
    chosen: Room | None = None
    hosts: list[dict] = field(default_factory=list)

    def reason(self) -> str:
        """Why no host fits, with the numbers and without host names: "3 of 5 hosts are short of 4096 MiB RAM"."""
        if not self.hosts:
            return "No host fits: the cloud has no host yet."
        wording = {rule.name: rule.lacks(self.asked) for rule in FILTERS}
        failed: dict[str, list[str]] = {}
        for host in self.hosts:
            name, _, _, found = next(rule for rule in host["rules"] if not rule[2])
            failed.setdefault(name, []).append(found)
        total = len(self.hosts)
        parts = []
        for name, found in failed.items():
            most = [f for f in found if f.endswith(" free")]
            best = f" (most: {max(most, key=lambda f: int(f.split()[0]))})" if most else ""
            count = "the only host is" if total == 1 else f"{len(found)} of {total} hosts are"
            parts.append(f"{count} {wording[name]}{best}")
        return f"No host fits: {', '.join(parts)}."

    def brief(self) -> str:
        """Why no host fits, in a few words: "Disk: needs 80 GiB, 72 free on the roomiest host"."""
        last = [next((rule for rule in host["rules"] if not rule[2]), None) for host in self.hosts]
        short = [rule for rule in last if rule and rule[3].endswith(" free")]
        if not short:
            return "No host takes instances now"
        name, needs, _, found = max(short, key=lambda rule: int(rule[3].split()[0]))
        return f"{name}: needs {needs}, {found}" + ("" if len(self.hosts) == 1 else " on the roomiest host")

    def record(self) -> dict:
        return {
            "asked": {"vcpus": self.asked.vcpus, "ram": self.asked.memory_mib, "disk": self.asked.disk_gib},
            "chosen": self.chosen.host.name if self.chosen else "",
            "hosts": self.hosts,
            "reason": "" if self.chosen else self.reason(),
        }


def rooms(*, locked: bool = False) -> list[Room]:
    """Every host with what is held of it, in two queries."""
    hosts = Host.objects.order_by("pk")
    if locked:
        hosts = hosts.select_for_update()
    found = {host.pk: Room(host) for host in hosts}
    held = (
        Instance.objects.exclude(status=Instance.Status.DELETED)
        .filter(host__isnull=False)
        .values("host_id")
        .annotate(vcpus=Sum("vcpus"), ram=Sum("ram"), gib=Sum("disk"), count=Count("pk"))
    )
    for row in held:
        room = found[row["host_id"]]
        room.vcpus, room.memory_mib = row["vcpus"], row["ram"]
        room.disk_gib, room.instances = row["gib"], row["count"]
    return list(found.values())


def decide(candidates: list[Room], asked: Asked) -> Decision:
    """Look at every host, rule by rule until the first no, and choose the heaviest that passes."""
    decision = Decision(asked)
    fitting = []
    for room in candidates:
        rules: list[list] = []
        for rule in FILTERS:
            verdict = rule.judge(room, asked)
            rules.append([rule.name, rule.needs(asked), verdict.ok, verdict.found])
            if not verdict.ok:
                break
        else:
            fitting.append(room)
        decision.hosts.append({"host": room.host.name, "rules": rules})
    if fitting:
        decision.chosen = max(fitting, key=lambda room: sum(weigh(room, asked) for weigh in WEIGHERS))
    return decision


def place(asked: Asked, count: int) -> list[Decision]:
    """A decision for each of `count` equal instances, hosts locked until the transaction ends."""
    candidates = rooms(locked=True)
    decisions = []
    for _ in range(count):
        decision = decide(candidates, asked)
        if decision.chosen:
            decision.chosen.take(asked)
        decisions.append(decision)
    return decisions


def no_valid_host(decision: Decision) -> NoValidHost:
    """The refusal, with what would fit now."""
    hint = smaller_flavor(decision.asked)
    return NoValidHost(decision.reason() + hint, data=decision.record())


def smaller_flavor(asked: Asked) -> str:
    """ " m1.small would fit now.", or nothing."""
    candidates = rooms()
    smaller = Flavor.objects.filter(disabled=False, is_public=True, ram__lt=asked.memory_mib).order_by("-ram")
    for flavor in smaller:
        wish = Asked(flavor.vcpus, flavor.ram, flavor.disk, asked.zone)
        if decide(candidates, wish).chosen:
            return f" {flavor.name} would fit now."
    return " Ask an administrator to add a host or to make room."


def how_many(candidates: list[Room], asked: Asked, most: int = 100) -> tuple[int, int]:
    """(instances of this size that fit now, hosts that would take one), counting no further than `most`."""
    total = hosts = 0
    for room in candidates:
        if not decide([room], asked).chosen:
            continue
        hosts += 1
        fits = [1 + (room.free_memory_mib - asked.memory_mib) // (asked.memory_mib + OVERHEAD_MIB)]
        fits.append(room.free_vcpus // max(asked.vcpus, 1))
        if asked.disk_gib:
            fits.append(room.free_disk_gib // asked.disk_gib)
        total += max(1, min(fits))
    return min(total, most), hosts
