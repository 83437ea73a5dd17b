"""Rules of security groups in words."""

from django import template

register = template.Library()

_PROTOCOLS = {
    "": "Everything",
    "tcp": "TCP",
    "udp": "UDP",
    "icmp": "ICMP",
    "ipv6-icmp": "ICMPv6",
    "6": "TCP",
    "17": "UDP",
}


@register.filter
def rules_of(group, direction: str) -> list:
    """The rules of a group for "ingress" or "egress"."""
    return [rule for rule in group.rules.all() if rule.direction == direction]


@register.filter
def rule_what(rule) -> str:
    """ "TCP 22", "UDP 6000 to 6010", "ICMP", "Everything"."""
    protocol = _PROTOCOLS.get(
        rule.protocol, f"Protocol {rule.protocol}" if rule.protocol.isdigit() else rule.protocol.upper()
    )
    low, high = rule.port_min, rule.port_max
    if low is None:
        return protocol
    if "ICMP" in protocol:
        return f"{protocol} type {low}" + (f" code {high}" if high is not None else "")
    return f"{protocol} {low}" if high in (None, low) else f"{protocol} {low} to {high}"


@register.filter
def rule_where(rule) -> str:
    """ "anywhere", "10.0.0.0/8", "members of web"."""
    six = "" if rule.ethertype == "IPv4" else ", IPv6"
    if rule.remote_group_id:
        return f"members of {rule.remote_group.name}" + six
    if not rule.remote_prefix or rule.remote_prefix in ("0.0.0.0/0", "::/0"):
        return "anywhere" + six
    return rule.remote_prefix


@register.filter
def lets_in(group) -> str:
    """ "TCP 22, ICMP; everything from members of default", from the prefetched rules."""
    words = {}
    for rule in group.rules.all():
        if rule.direction == "ingress":
            where = rule_where(rule).removesuffix(", IPv6")
            words.setdefault(where, dict[str, None]())[rule_what(rule)] = None
    return "; ".join(f"{', '.join(what)} from {where}" for where, what in words.items())


@register.filter
def ssh_from_anywhere(group) -> bool:
    return any(
        rule.direction == "ingress"
        and rule.protocol in ("", "tcp")
        and (rule.port_min is None or rule.port_min <= 22 <= (rule.port_max or rule.port_min))
        and not rule.remote_group_id
        and rule.remote_prefix in ("", "0.0.0.0/0")
        for rule in group.rules.all()
    )
