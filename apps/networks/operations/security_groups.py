"""Security groups: what may reach the ports that are in them, and what these may reach."""

import ipaddress

from django.db import IntegrityError, transaction

from apps.core import events
from apps.core.context import Context
from apps.core.errors import CloudError, Conflict
from apps.core.lifecycle import begin, mark, move
from apps.core.policy import enforce
from apps.networks.models import Port, SecurityGroup, SecurityGroupRule, Status
from apps.networks.operations.common import check_tags, check_texts, owner, parse_cidr, take, write
from apps.quotas.operations import claim

DEFAULT = "default"
NUMBERS = {  # the names that the API knows, with the numbers that packets have
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
WITH_PORTS = (6, 17, 132)  # the engine matches ports of these
ICMP = (1, 58)


def protocol_number(protocol: str) -> int | None:
    """6 for "tcp" and for "6"; None for any protocol."""
    if not protocol:
        return None
    return NUMBERS[protocol] if protocol in NUMBERS else int(protocol)


def default_security_group(project_id: str) -> SecurityGroup:
    """The project's group "default", made when first looked at: everything out, and in from the group itself."""
    find = SecurityGroup.objects.filter(project_id=project_id, name=DEFAULT)
    if found := find.first():
        return found
    try:
        with transaction.atomic():
            group = begin(
                SecurityGroup(
                    project_id=project_id,
                    name=DEFAULT,
                    description="Default security group",
                    status=Status.BUILD,
                )
            )
            _add_first_rules(group, from_itself=True)
            return group
    except IntegrityError:  # somebody else looked first
        return find.get()


def _add_first_rules(group: SecurityGroup, from_itself: bool) -> None:
    rules = [("egress", ethertype, None) for ethertype in ("IPv4", "IPv6")]
    if from_itself:
        rules += [("ingress", ethertype, group) for ethertype in ("IPv4", "IPv6")]
    SecurityGroupRule.objects.bulk_create(
        SecurityGroupRule(
            project_id=group.project_id,
            group=group,
            direction=direction,
            ethertype=ethertype,
            remote_group=remote,
        )
        for direction, ethertype, remote in rules
    )


@transaction.atomic
def create_security_group(
    ctx: Context, *, name: str, description: str = "", stateful: bool = True, tags=(), project_id: str = ""
) -> SecurityGroup:
    """A group that lets everything out and nothing in."""
    project_id = owner(ctx, project_id)
    enforce(ctx, "create_security_group")
    check_texts(name=name, description=description)
    if name == DEFAULT:
        raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
    claim(project_id, security_group=1)
    group = SecurityGroup(
        project_id=project_id,
        name=name,
        description=description,
        stateful=stateful,
        tags=check_tags(tags),
        status=Status.BUILD,
    )
    begin(group, by=ctx)
    _add_first_rules(group, from_itself=False)
    return group


@transaction.atomic
def update_security_group(ctx: Context, *, group: SecurityGroup, **fields) -> SecurityGroup:
    """Write name, description, stateful."""
    enforce(ctx, "update_security_group", group)
    check_texts(**{k: v for k, v in fields.items() if k in ("name", "description")})
    take(group)
    name = fields.get("name", group.name)
    if name != group.name and DEFAULT in (name, group.name):
        raise Conflict(
            "The group 'default' keeps its name, and no other may have it.",
            field="name",
            kind="SecurityGroupCannotUpdateDefault",
        )
    if fields.get("stateful", group.stateful) != group.stateful:
        _check_unused(group)
    return write(group, ctx, **fields)


def _check_unused(group: SecurityGroup) -> None:
    ports = Port.objects.alive().filter(security_groups=group).count()
    if ports:
        raise Conflict(
            f"Security Group {group.pk} in use by {ports} ports. Take it off them first.",
            kind="SecurityGroupInUse",
        )


@transaction.atomic
def delete_security_group(ctx: Context, *, group: SecurityGroup) -> None:
    """The group is gone for everybody, with the rules of other groups that name it."""
    enforce(ctx, "delete_security_group", group)
    take(group)
    if group.name == DEFAULT:
        raise Conflict(
            "Insufficient rights for removing default security group.",
            kind="SecurityGroupCannotRemoveDefault",
        )
    _check_unused(group)
    for rule in (
        SecurityGroupRule.objects.filter(remote_group=group).exclude(group=group).select_related("group")
    ):
        events.record(rule, "delete", by=ctx, detail=f"security group {group} is deleted")
        mark(rule.group)
        rule.delete()
    move(group, Status.DELETING, by=ctx, action="delete")


# --- rules --------------------------------------------------------------------------------------------


@transaction.atomic
def create_security_group_rule(
    ctx: Context,
    *,
    group: SecurityGroup,
    direction: str,
    ethertype: str = "IPv4",
    protocol: str = "",
    port_min: int | None = None,
    port_max: int | None = None,
    remote_prefix: str = "",
    remote_group: SecurityGroup | None = None,
    description: str = "",
) -> SecurityGroupRule:
    """Lets that traffic pass. Ports are for TCP, UDP and SCTP; ICMP has its type and code in their place."""
    enforce(ctx, "create_security_group_rule", group)
    check_texts(description=description)
    rule = SecurityGroupRule(
        project_id=group.project_id,
        group=group,
        direction=_check_choice("direction", direction, ("ingress", "egress")),
        ethertype=_check_choice("ethertype", ethertype, ("IPv4", "IPv6")),
        protocol=_check_protocol(protocol),
        port_min=port_min,
        port_max=port_max,
        remote_group=remote_group,
        description=description,
    )
    rule.remote_prefix = _check_prefix(rule, remote_prefix)
    _check_ports(rule)
    claim(group.project_id, security_group_rule=1)
    take(group)
    _check_new(rule)
    rule.save(force_insert=True)
    events.record(rule, "create", by=ctx)
    mark(group)
    return rule


def _refuse(message: str, field: str, kind: str) -> CloudError:
    return CloudError(message, field=field, kind=kind)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    found = next((choice for choice in choices if choice.lower() == str(value).lower()), None)
    if found is None:
        raise _refuse(
            f"Invalid input for {name}. Reason: '{value}' is not in {list(choices)}.", name, "InvalidInput"
        )
    return found


def _check_protocol(protocol: str) -> str:
    protocol = str(protocol).lower()
    if protocol in ("", "any"):
        return ""
    if protocol in NUMBERS or (protocol.isdecimal() and int(protocol) <= 255):
        return protocol
    raise _refuse(
        f"Security group rule protocol {protocol} not supported. Only protocol values {sorted(NUMBERS)} and integer "
        "representations [0 to 255] are supported.",
        "protocol",
        "SecurityGroupRuleInvalidProtocol",
    )


def _check_prefix(rule: SecurityGroupRule, prefix: str) -> str:
    if not prefix:
        return ""
    if rule.remote_group:
        raise _refuse(
            "Only remote_ip_prefix or remote_group_id may be provided.",
            "remote_prefix",
            "SecurityGroupMultipleRemoteEntites",
        )
    cidr = parse_cidr(prefix, "remote_ip_prefix")
    if f"IPv{ipaddress.ip_network(cidr).version}" != rule.ethertype:
        raise _refuse(
            f"Conflicting value ethertype {rule.ethertype} for CIDR {prefix}",
            "remote_prefix",
            "SecurityGroupRuleParameterConflict",
        )
    return cidr


def _check_ports(rule: SecurityGroupRule) -> None:
    low, high = rule.port_min, rule.port_max
    if low is None and high is None:
        return
    number = protocol_number(rule.protocol)
    if number is None:
        raise _refuse(
            "Must also specify protocol if port range is given.",
            "protocol",
            "SecurityGroupProtocolRequiredWithPorts",
        )
    if number in ICMP:
        if low is None:
            raise _refuse(
                f"ICMP code (port-range-max) {high} is provided but ICMP type (port-range-min) is missing.",
                "port_min",
                "SecurityGroupMissingIcmpType",
            )
        for field, value in (("port_min", low), ("port_max", high)):
            if value is not None and not 0 <= value <= 255:
                raise _refuse(
                    f"Invalid value for ICMP {'type' if field == 'port_min' else 'code'} '{value}': 0 to 255.",
                    field,
                    "SecurityGroupInvalidIcmpValue",
                )
        return
    if number not in WITH_PORTS:
        raise _refuse(
            f"Protocol {rule.protocol} has no ports that a rule could match: leave the range out.",
            "port_min",
            "SecurityGroupInvalidProtocolForPort",
        )
    if low is None or high is None or not 1 <= low <= high <= 65535:
        raise _refuse(
            f"Invalid port range {low}-{high}: port_range_min must be <= port_range_max, both 1 to 65535.",
            "port_min",
            "SecurityGroupInvalidPortRange",
        )


def _check_new(rule: SecurityGroupRule) -> None:
    same = SecurityGroupRule.objects.filter(
        group=rule.group,
        direction=rule.direction,
        ethertype=rule.ethertype,
        port_min=rule.port_min,
        port_max=rule.port_max,
        remote_prefix=rule.remote_prefix,
        remote_group=rule.remote_group,
    )
    for other in same:
        if protocol_number(other.protocol) == protocol_number(rule.protocol):
            raise Conflict(
                f"Security group rule already exists. Rule id is {other.pk}.", kind="SecurityGroupRuleExists"
            )


@transaction.atomic
def delete_security_group_rule(ctx: Context, *, rule: SecurityGroupRule) -> None:
    """That traffic passes no more, unless another rule lets it."""
    enforce(ctx, "delete_security_group_rule", rule)
    group = take(rule.group)
    events.record(rule, "delete", by=ctx)
    rule.delete()
    mark(group)
