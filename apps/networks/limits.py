from apps.core import counting
from apps.networks.models import (
    ROUTER_GATEWAY,
    FloatingIP,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
)
from apps.quotas.limits import counts


@counts("network", 100, "network", "Networks")
@counts("subnet", 100, "network", "Subnets")
@counts("port", 500, "network", "Ports")
@counts("router", 10, "network", "Routers")
@counts("floatingip", 50, "network", "Floating IPs")
@counts("security_group", 10, "network", "Security groups")
@counts("security_group_rule", 100, "network", "Security group rules")
def count_networks(project_id: str) -> dict[str, int]:
    """Everything that is not being deleted, in one query; the routers' own ports outside count for nobody."""
    models = {
        "network": Network,
        "subnet": Subnet,
        "port": Port,
        "router": Router,
        "floatingip": FloatingIP,
        "security_group": SecurityGroup,
        "security_group_rule": SecurityGroupRule,
    }
    rows = {name: model.objects.alive().filter(project_id=project_id) for name, model in models.items()}
    rows["port"] = rows["port"].exclude(device_owner=ROUTER_GATEWAY)
    return counting.count(rows)
