from apps.core.policy import ADMIN, declare

# What everybody may do with themselves (change their password, list their projects, look at and revoke their
# tokens) is said where it is done; which users, projects and domains are seen at all, by `visible_to`.
declare(
    {
        f"identity:{rule}": ADMIN
        for kind, plural in (("user", "users"), ("project", "projects"), ("domain", "domains"))
        for rule in (f"list_{plural}", f"create_{kind}", f"update_{kind}", f"delete_{kind}")
    }
    | {
        f"identity:{rule}": ADMIN
        for rule in (
            "list_roles",
            "get_role",
            "list_role_assignments",
            "list_grants",
            "check_grant",
            "create_grant",
            "revoke_grant",
            "list_system_grants_for_user",
            "check_system_grant_for_user",
            "create_system_grant_for_user",
            "revoke_system_grant_for_user",
            "list_services",
            "get_service",
            "list_endpoints",
            "get_endpoint",
            "validate_token",
            "revoke_token",
        )
    }
)
