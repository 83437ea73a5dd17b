"""The resources of the API, each a table: what a body has, what may be said, which operation it asks for."""

from apps.networks.api.resources.floating_ips import FLOATING_IPS
from apps.networks.api.resources.networks import NETWORKS, SUBNETS
from apps.networks.api.resources.ports import PORTS
from apps.networks.api.resources.routers import ROUTERS
from apps.networks.api.resources.security_groups import SECURITY_GROUP_RULES, SECURITY_GROUPS

RESOURCES = (NETWORKS, SUBNETS, PORTS, ROUTERS, FLOATING_IPS, SECURITY_GROUPS, SECURITY_GROUP_RULES)

__all__ = [
    "FLOATING_IPS",
    "NETWORKS",
    "PORTS",
    "RESOURCES",
    "ROUTERS",
    "SECURITY_GROUPS",
    "SECURITY_GROUP_RULES",
    "SUBNETS",
]
