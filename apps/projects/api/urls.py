"""Below /identity."""

from django.urls import path, re_path

from apps.projects.api import auth, discovery, owners, roles
from apps.projects.api.base import NotServed

urlpatterns = [
    path("", discovery.Versions.as_view()),
    path("/", discovery.Versions.as_view()),
    path("/v3", discovery.Version.as_view()),
    path("/v3/", discovery.Version.as_view()),
    path("/v3/auth/tokens", auth.Tokens.as_view()),
    path("/v3/auth/catalog", auth.AuthCatalog.as_view()),
    path("/v3/auth/projects", auth.AuthProjects.as_view()),
    path("/v3/auth/domains", auth.AuthDomains.as_view()),
    path("/v3/auth/system", auth.AuthSystem.as_view()),
    path("/v3/users", owners.Users.as_view()),
    path("/v3/users/<user_id>", owners.OneUser.as_view()),
    path("/v3/users/<user_id>/password", owners.UserPassword.as_view()),
    path("/v3/users/<user_id>/projects", auth.UserProjects.as_view()),
    path("/v3/projects", owners.Projects.as_view()),
    path("/v3/projects/<project_id>", owners.OneProject.as_view()),
    path("/v3/projects/<project_id>/users/<user_id>/roles", roles.Grants.as_view()),
    path("/v3/projects/<project_id>/users/<user_id>/roles/<role_id>", roles.OneGrant.as_view()),
    path("/v3/system/users/<user_id>/roles", roles.Grants.as_view()),
    path("/v3/system/users/<user_id>/roles/<role_id>", roles.OneGrant.as_view()),
    path("/v3/domains", owners.Domains.as_view()),
    path("/v3/domains/<domain_id>", owners.OneDomain.as_view()),
    path("/v3/roles", roles.Roles.as_view()),
    path("/v3/roles/<role_id>", roles.OneRole.as_view()),
    path("/v3/role_assignments", roles.RoleAssignments.as_view()),
    path("/v3/regions", discovery.Regions.as_view()),
    path("/v3/regions/<id>", discovery.Regions.as_view()),
    path("/v3/services", discovery.Services.as_view()),
    path("/v3/services/<id>", discovery.Services.as_view()),
    path("/v3/endpoints", discovery.Endpoints.as_view()),
    path("/v3/endpoints/<id>", discovery.Endpoints.as_view()),
    re_path(r"^/", NotServed.as_view()),
]
