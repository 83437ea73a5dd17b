from apps.core.policy import ADMIN, MEMBER, READER, declare

declare(
    {
        "os_compute_api:servers:index": READER,
        "os_compute_api:servers:show": READER,
        "os_compute_api:servers:create": MEMBER,
        "os_compute_api:servers:create:forced_host": ADMIN,
        "os_compute_api:servers:update": MEMBER,
        "os_compute_api:servers:delete": MEMBER,
        "os_compute_api:servers:start": MEMBER,
        "os_compute_api:servers:stop": MEMBER,
        "os_compute_api:servers:reboot": MEMBER,
        "os_compute_api:os-lock-server:lock": MEMBER,
        "os_compute_api:os-lock-server:unlock": MEMBER,
        "os_compute_api:os-lock-server:unlock:unlock_override": ADMIN,
        "os_compute_api:server-metadata": MEMBER,
        "os_compute_api:os-attach-interfaces:list": READER,
        "os_compute_api:os-attach-interfaces:show": READER,
        "os_compute_api:os-attach-interfaces:create": MEMBER,
        "os_compute_api:os-attach-interfaces:delete": MEMBER,
        "os_compute_api:os-console-output": MEMBER,
        "os_compute_api:os-remote-consoles": MEMBER,
        "os_compute_api:os-extended-server-attributes": ADMIN,
        "os_compute_api:os-keypairs:index": READER,
        "os_compute_api:os-keypairs:create": READER,
        "os_compute_api:os-keypairs:delete": READER,
        "os_compute_api:os-flavor-manage:create": ADMIN,
        "os_compute_api:os-flavor-manage:delete": ADMIN,
        "os_compute_api:os-availability-zone:list": READER,
        "os_compute_api:os-availability-zone:detail": ADMIN,
        "os_compute_api:limits": READER,
    }
)
