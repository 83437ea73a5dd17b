"""Everything that may be asked of the network; each function is one transaction, and none waits for the engine.

Whoever adds to a network or takes from it holds the network's row, so addresses are given out once. Rows are
locked in the order project, router, network, port, floating IP.
"""

from apps.networks.operations.common import set_tags
from apps.networks.operations.connected import create_connected_network, delete_connected_network, way_outside
from apps.networks.operations.floating_ips import (
    associate_floating_ip,
    create_floating_ip,
    disassociate,
    release_floating_ip,
    update_floating_ip,
)
from apps.networks.operations.networks import (
    create_network,
    default_network,
    delete_network,
    update_network,
)
from apps.networks.operations.ports import (
    bind_port,
    create_port,
    delete_port,
    let_go_of_port,
    ports_of,
    release_ports,
    set_port_host,
    update_port,
)
from apps.networks.operations.routers import (
    add_router_interface,
    clear_gateway,
    create_router,
    delete_router,
    look_at_gateways,
    remove_router_interface,
    set_gateway,
    update_router,
)
from apps.networks.operations.security_groups import (
    create_security_group,
    create_security_group_rule,
    default_security_group,
    delete_security_group,
    delete_security_group_rule,
    update_security_group,
)
from apps.networks.operations.subnets import create_subnet, delete_subnet, update_subnet
from apps.networks.resolvers import resolvers
from apps.networks.seen import port_is_up, port_seen

__all__ = [
    "add_router_interface",
    "associate_floating_ip",
    "bind_port",
    "clear_gateway",
    "create_connected_network",
    "create_floating_ip",
    "create_network",
    "create_port",
    "create_router",
    "create_security_group",
    "create_security_group_rule",
    "create_subnet",
    "default_network",
    "default_security_group",
    "delete_connected_network",
    "delete_network",
    "delete_port",
    "delete_router",
    "delete_security_group",
    "delete_security_group_rule",
    "delete_subnet",
    "disassociate",
    "let_go_of_port",
    "look_at_gateways",
    "port_is_up",
    "port_seen",
    "ports_of",
    "release_floating_ip",
    "release_ports",
    "remove_router_interface",
    "resolvers",
    "set_gateway",
    "set_port_host",
    "set_tags",
    "update_floating_ip",
    "update_network",
    "update_port",
    "update_router",
    "update_security_group",
    "update_subnet",
    "way_outside",
]
