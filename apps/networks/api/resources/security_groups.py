"""Security groups and their rules."""

from django.db.models import Prefetch

from apps.core.context import Context
from apps.networks import operations
from apps.networks.api.resources.shared import A, always, common, flag, id_of, in_owners_project, or_null
from apps.networks.api.wire import DROPPED, Resource, as_id, as_number, number, only, text_or_number
from apps.networks.models import SecurityGroup, SecurityGroupRule


def _create_rule(ctx: Context, *, group: SecurityGroup, project_id: str = "", **args) -> SecurityGroupRule:
    in_owners_project(group, project_id)
    return operations.create_security_group_rule(ctx, group=group, **args)


def _group(ctx: Context, value, name: str) -> SecurityGroup:
    return SECURITY_GROUPS.reference(ctx, value, name)


SECURITY_GROUP_RULES = Resource(
    name="security_group_rule",
    collection="security_group_rules",
    path="security-group-rules",
    missing="SecurityGroupRuleNotFound",
    model=SecurityGroupRule,
    attributes=(
        *common(named=False, tagged=False),
        A(
            "security_group_id",
            "group_id",
            read=id_of("group_id"),
            filter_as=as_id,
            post="group",
            parse=_group,
            required=True,
        ),
        A("direction", "direction", post="direction", required=True),
        A("ethertype", "ethertype", post="ethertype", null="IPv4"),
        A(
            "protocol",
            "protocol",
            read=or_null("protocol"),
            post="protocol",
            parse=text_or_number,
            null="",
        ),
        A("port_range_min", "port_min", filter_as=as_number, post="port_min", parse=number, null=None),
        A("port_range_max", "port_max", filter_as=as_number, post="port_max", parse=number, null=None),
        A("remote_ip_prefix", "remote_prefix", read=or_null("remote_prefix"), post="remote_prefix", null=""),
        A("normalized_cidr", "remote_prefix", read=or_null("remote_prefix")),
        A(
            "remote_group_id",
            "remote_group_id",
            read=id_of("remote_group_id"),
            filter_as=as_id,
            post="remote_group",
            parse=_group,
            null=None,
        ),
        A("remote_address_group_id", read=always(None), post=DROPPED, parse=only(), null=None),
    ),
    create=_create_rule,
    update=None,
    delete=lambda ctx, row: operations.delete_security_group_rule(ctx, rule=row),
    related=lambda rows: rows.select_related("group"),
)

_rule_body = SECURITY_GROUP_RULES.renderer(Context(user_id=""))


def _look_at_default_group(ctx: Context) -> None:
    """Every project has it as soon as it looks."""
    if ctx.project_id:
        operations.default_security_group(ctx.project_id)


SECURITY_GROUPS = Resource(
    name="security_group",
    collection="security_groups",
    path="security-groups",
    missing="SecurityGroupNotFound",
    model=SecurityGroup,
    attributes=(
        *common(),
        flag("stateful", "stateful"),
        A("shared", read=always(False)),
        A("security_group_rules", read=lambda row: [_rule_body(rule) for rule in row.rules.all()]),
    ),
    create=lambda ctx, name="", **args: operations.create_security_group(ctx, name=name, **args),
    update=lambda ctx, row, **args: operations.update_security_group(ctx, group=row, **args),
    delete=lambda ctx, row: operations.delete_security_group(ctx, group=row),
    related=lambda rows: rows.prefetch_related(
        Prefetch("rules", SecurityGroupRule.objects.order_by("created_at", "pk"))
    ),
    look=_look_at_default_group,
)
