from apps.core.policy import ADMIN, MEMBER, READER, declare

KINDS = (
    "network",
    "subnet",
    "port",
    "router",
    "floatingip",
    "security_group",
    "security_group_rule",
)

declare({f"get_{kind}": READER for kind in KINDS})
declare({f"{verb}_{kind}": MEMBER for verb in ("create", "update", "delete") for kind in KINDS})
declare(
    {
        "add_router_interface": MEMBER,
        "remove_router_interface": MEMBER,
        "create_network:shared": ADMIN,
        "create_network:router:external": ADMIN,
        "create_network:provider": ADMIN,
        "create_network:is_default": ADMIN,
        "create_port:binding:host_id": ADMIN,
        "create_port:device_owner": ADMIN,  # of the network's own: "network:..."
        "create_port:device_id": ADMIN,  # whose it is; compute says it by itself for what it plugs
        "create_port:network_owner": ADMIN,  # an address, a MAC or no security on a port in another project's network
        "set_gateway:external_fixed_ips": ADMIN,
        "create_port:external_network": ADMIN,  # a port on a network that leads outside and is not shared
        "create_floatingip:floating_ip_address": ADMIN,
        "create:other_project": ADMIN,  # anything for another project
    }
)
