import pytest

from apps.networks import operations
from apps.networks.models import SecurityGroup, SecurityGroupRule

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(alice):
    return operations.create_security_group(alice, name="web")


def test_the_default_group_is_there_when_looked_at(alice, settle, engine):
    group = operations.default_security_group(alice.project_id)
    assert operations.default_security_group(alice.project_id) == group
    settle()
    rules = engine.things["security_groups"][str(group.pk)]["rules"]
    assert sorted((rule["direction"], rule["ethertype"]) for rule in rules) == [
        ("egress", "IPv4"),
        ("egress", "IPv6"),
        ("ingress", "IPv4"),
        ("ingress", "IPv6"),
    ]
    assert {rule["remote_group"] for rule in rules if rule["direction"] == "ingress"} == {str(group.pk)}


def test_a_new_rule_reaches_the_engine_and_leaves_it(alice, web, settle, engine):
    rule = operations.create_security_group_rule(
        alice,
        group=web,
        direction="ingress",
        protocol="tcp",
        port_min=80,
        port_max=80,
        remote_prefix="10.1.2.3/8",
    )
    settle()
    sent = engine.things["security_groups"][str(web.pk)]["rules"][-1]
    assert (sent["protocol"], sent["port_min"], sent["remote_prefix"]) == ("6", 80, "10.0.0.0/8")
    operations.delete_security_group_rule(alice, rule=rule)
    settle()
    assert len(engine.things["security_groups"][str(web.pk)]["rules"]) == 2


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"direction": "sideways"}, "InvalidInput"),
        ({"ethertype": "IPX"}, "InvalidInput"),
        ({"protocol": "tpc"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": "256"}, "SecurityGroupRuleInvalidProtocol"),
        ({"port_min": 80, "port_max": 80}, "SecurityGroupProtocolRequiredWithPorts"),
        ({"protocol": "tcp", "port_min": 90, "port_max": 80}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_min": 80}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_min": 1, "port_max": 65536}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "icmp", "port_max": 0}, "SecurityGroupMissingIcmpType"),
        ({"protocol": "icmp", "port_min": 256}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "gre", "port_min": 1, "port_max": 2}, "SecurityGroupInvalidProtocolForPort"),
        ({"remote_prefix": "fd00::/8"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_prefix": "all"}, "InvalidInput"),
    ],
)
def test_impossible_rules_are_refused(alice, web, refused, fields, kind):
    given = {"group": web, "direction": "ingress"} | fields
    refused(kind, operations.create_security_group_rule, alice, **given)


def test_the_same_rule_twice_is_refused(alice, web, refused):
    for protocol in ("tcp", "6"):
        given = {"group": web, "direction": "ingress", "protocol": protocol, "port_min": 80, "port_max": 80}
        if protocol == "tcp":
            rule = operations.create_security_group_rule(alice, **given)
        else:
            error = refused("SecurityGroupRuleExists", operations.create_security_group_rule, alice, **given)
            assert str(rule.pk) in error.message


def test_a_group_that_is_used_or_default_stays(alice, private, web, refused, settle):
    port = operations.create_port(alice, network=private, security_groups=[web])
    refused("SecurityGroupInUse", operations.delete_security_group, alice, group=web)
    default = operations.default_security_group(alice.project_id)
    refused("SecurityGroupCannotRemoveDefault", operations.delete_security_group, alice, group=default)
    operations.update_port(alice, port=port, security_groups=[default])
    operations.delete_security_group(alice, group=web)
    settle()
    assert SecurityGroup.objects.get() == default


def test_rules_that_name_a_deleted_group_go_with_it(alice, web, settle, engine):
    db = operations.create_security_group(alice, name="db")
    operations.create_security_group_rule(
        alice, group=db, direction="ingress", protocol="tcp", port_min=5432, port_max=5432, remote_group=web
    )
    settle()
    operations.delete_security_group(alice, group=web)
    settle()
    assert len(engine.things["security_groups"][str(db.pk)]["rules"]) == 2
    assert list(engine.things["security_groups"]) == [str(db.pk)]


def test_nobody_else_is_called_default(alice, web, refused):
    refused("SecurityGroupDefaultAlreadyExists", operations.create_security_group, alice, name="default")
    refused(
        "SecurityGroupCannotUpdateDefault", operations.update_security_group, alice, group=web, name="default"
    )


def test_changed_groups_of_a_port_reach_the_engine(alice, private, web, settle, engine):
    port = operations.create_port(alice, network=private, security_groups=[])
    settle()
    assert engine.things["ports"][str(port.pk)]["security_groups"] == ()
    operations.update_port(alice, port=port, security_groups=[web])
    settle()
    assert engine.things["ports"][str(port.pk)]["security_groups"] == (str(web.pk),)


def test_no_groups_without_port_security(alice, private, web, refused):
    refused(
        "PortSecurityAndIPRequiredForSecurityGroups",
        operations.create_port,
        alice,
        network=private,
        port_security_enabled=False,
        security_groups=[web],
    )
    port = operations.create_port(alice, network=private, port_security_enabled=False)
    assert not port.security_groups.exists()


def test_strangers_change_nothing(mallory, web, refused):
    refused("itemNotFound", operations.delete_security_group, mallory, group=web)
    rule = SecurityGroupRule.objects.filter(group=web).first()
    refused("itemNotFound", operations.delete_security_group_rule, mallory, rule=rule)
