from apps.core.policy import ADMIN, declare

declare(
    {
        "os_compute_api:os-quota-sets:update": ADMIN,
        "os_compute_api:os-quota-sets:delete": ADMIN,
        "update_quota": ADMIN,
        "delete_quota": ADMIN,
    }
)
