"""What the overview says: what needs a person, what there is, what is left; or the first steps of a new project."""

from django.db.models import Count, Q
from django.urls import reverse

from apps.core.context import Context
from apps.core.templatetags.cloudpanel import family, in_unit
from apps.instances.models import Instance, Keypair
from apps.networks.models import FloatingIP, Network, SecurityGroupRule
from apps.quotas.limits import registry
from apps.quotas.operations import usage

SHOWN = 8  # of a sort, in "needs attention"
TIGHT = 0.85  # of a quota
QUOTAS = ("instances", "cores", "ram", "key_pairs", "network", "floatingip", "security_group_rule")
FAMILIES = (
    ("ok", "Active"),
    ("work", "In progress"),
    ("stop", "Stopped"),
    ("warn", "Attention"),
    ("err", "Error"),
)


def of(ctx: Context) -> dict:
    """{"first_steps", "attention", "counts", "instances", "quotas"}; the steps are None once there is an instance."""
    by_status = dict(Instance.objects.visible_to(ctx).order_by().values_list("status").annotate(Count("pk")))
    total = sum(by_status.values())
    quotas = _quotas(ctx)
    return {
        "first_steps": None if total else first_steps(ctx),
        "attention": _attention(ctx, quotas, by_status.get(Instance.Status.ERROR, 0)) if total else [],
        "instances": total,
        "counts": [
            {"family": name, "word": word, "count": sum(n for s, n in by_status.items() if family(s) == name)}
            for name, word in FAMILIES
        ],
        "quotas": sorted(
            (q for q in quotas if q["resource"] in QUOTAS), key=lambda q: QUOTAS.index(q["resource"])
        ),
    }


def _quotas(ctx: Context) -> list[dict]:
    return [
        {
            "resource": resource,
            "label": registry[resource].title,
            "unit": registry[resource].unit,
            "used": used,
            "limit": limit,
        }
        for resource, (used, limit) in usage(ctx.project_id).items()
    ]


def _attention(ctx: Context, quotas: list[dict], in_error: int) -> list[dict]:
    """[{"status", "word", "name", "url", "text", "detail", "verb", "to"}], the worst first."""
    lines = []
    failed = Instance.objects.visible_to(ctx).filter(status=Instance.Status.ERROR)
    for row in failed.order_by("-status_since")[:SHOWN]:
        url = reverse("instance", args=[row.pk])
        lines.append(_line("error", "Error", row.name, url, "is in error", row.fault, "Show", url))
    if in_error > SHOWN:
        url, more = f"{reverse('instances')}?q=status:error", f"{in_error - SHOWN} more instances"
        lines.append(_line("error", "Error", more, url, "are in error", "", "Show all", url))
    for q in quotas:
        if q["limit"] > 0 and q["used"] > TIGHT * q["limit"]:
            detail = f"{in_unit(q['used'], q['unit'])} of {in_unit(q['limit'], q['unit'])}."
            share = f"at {100 * q['used'] // q['limit']} %"
            lines.append(_line("quota", "Quota", q["label"], "", share, detail))
    idle = FloatingIP.objects.visible_to(ctx).filter(port=None)
    for row in idle.order_by("-created_at")[:SHOWN]:
        detail = "It is reserved for the project and counts against its quota."
        lines.append(
            _line(
                "unused", "Unused", row.address, "", "points nowhere", detail, "Show", reverse("floating_ips")
            )
        )
    return lines


def _line(status, word, name, url, text, detail, verb="", to="") -> dict:
    return {
        "status": status,
        "word": word,
        "name": name,
        "url": url,
        "text": text,
        "detail": detail,
        "verb": verb,
        "to": to,
    }


def first_steps(ctx: Context) -> list[dict]:
    """[{"done", "title", "text", "verb", "url", "primary"}]: what there is already, and what is left to do."""
    network = (
        Network.objects.visible_to(ctx)
        .filter(external=False)
        .prefetch_related("subnets")
        .order_by("created_at")
        .first()
    )
    ssh = SecurityGroupRule.objects.filter(
        Q(port_min__isnull=True) | Q(port_min__lte=22, port_max__gte=22),
        Q(protocol="") | Q(protocol="tcp"),
        project_id=ctx.project_id,
        group__name="default",
        direction="ingress",
        remote_group=None,
    ).exists()
    cidrs = ", ".join(subnet.cidr for subnet in network.subnets.all()) if network else ""
    return [
        {
            "done": bool(network),
            "title": "A network is ready" if network else "Make a network",
            "text": f"{network.name} {cidrs}" if network else "Instances get their address from it.",
            "verb": "" if network else "Create network",
            "url": "" if network else reverse("network_create"),
        },
        {
            "done": ssh,
            "title": "Security group lets SSH in" if ssh else "Let SSH in",
            "text": "default: TCP 22 in, everything out."
            if ssh
            else "Nothing from outside reaches an instance yet: add a rule for TCP 22 to the group default.",
            "verb": "Security groups",
            "url": reverse("security_groups"),
        },
        {
            "done": Keypair.objects.visible_to(ctx).exists(),
            "title": "Add your SSH key",
            "text": "So that you can log in. Paste the public half, or let CloudPanel make a pair.",
            "verb": "Add key",
            "url": reverse("keypair_create"),
        },
        {
            "done": False,
            "title": "Launch your first instance",
            "text": "A name is enough; the rest has defaults.",
            "verb": "Launch instance",
            "url": reverse("launch"),
            "primary": True,
        },
    ]
