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
    if rule.remote_group_id:
        return f"members of {rule.remote_group.name}"
    if not rule.remote_prefix or rule.remote_prefix in ("0.0.0.0/0", "::/0"):
        return "anywhere" if rule.ethertype == "IPv4" else "anywhere (IPv6)"
    return rule.remote_prefix
