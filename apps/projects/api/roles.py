"""/v3/roles, who has which (/v3/role_assignments), and giving and taking them (grants)."""

from rest_framework.response import Response

from apps.core.errors import NotFound
from apps.core.policy import enforce
from apps.projects import operations
from apps.projects.api.base import IdentityView
from apps.projects.api.bodies import role_body
from apps.projects.models import Assignment, Project, Role, User


class Roles(IdentityView):
    def get(self, request):
        enforce(self.ctx, "identity:list_roles")
        roles = Role.objects.none() if request.query_params.get("domain_id") else Role.objects.all()
        rows, next_page = self.page(self.filtered(roles, "name"))
        return Response(self.listed("roles", [role_body(self, role) for role in rows], next_page))


class OneRole(IdentityView):
    def get(self, request, role_id):
        enforce(self.ctx, "identity:get_role")
        return Response({"role": role_body(self, find_role(role_id))})


def find_role(role_id: str) -> Role:
    role = Role.objects.filter(pk=role_id).first()
    if role is None:
        raise NotFound(f"Could not find role: {role_id}.")
    return role


class Grants(IdentityView):
    """The roles of a user in a project, or, where the path begins with /system, in the whole system."""

    def get(self, request, user_id, project_id=None):
        rule = "identity:list_grants" if project_id else "identity:list_system_grants_for_user"
        user, project = self._ends(rule, user_id, project_id)
        roles = Role.objects.filter(assignments__user=user, assignments__project=project).order_by("name")
        return Response(self.listed("roles", [role_body(self, role) for role in roles]))

    def _ends(self, rule: str, user_id: str, project_id: str | None) -> tuple[User, Project | None]:
        enforce(self.ctx, rule)
        user = User.objects.get_for(self.ctx, user_id)
        return user, Project.objects.get_for(self.ctx, project_id) if project_id else None


class OneGrant(Grants):
    def get(self, request, user_id, role_id, project_id=None):
        rule = "identity:check_grant" if project_id else "identity:check_system_grant_for_user"
        user, project = self._ends(rule, user_id, project_id)
        role = find_role(role_id)
        if not Assignment.objects.filter(user=user, project=project, role=role).exists():
            raise NotFound(f"Could not find role assignment with role: {role_id}, user: {user_id}.")
        return Response(status=204)

    def put(self, request, user_id, role_id, project_id=None):
        rule = "identity:create_grant" if project_id else "identity:create_system_grant_for_user"
        user, project = self._ends(rule, user_id, project_id)
        operations.assign(self.ctx, user=user, role=find_role(role_id), project=project)
        return Response(status=204)

    def delete(self, request, user_id, role_id, project_id=None):
        rule = "identity:revoke_grant" if project_id else "identity:revoke_system_grant_for_user"
        user, project = self._ends(rule, user_id, project_id)
        operations.unassign(self.ctx, user=user, role=find_role(role_id), project=project)
        return Response(status=204)


class RoleAssignments(IdentityView):
    def get(self, request):
        enforce(self.ctx, "identity:list_role_assignments")
        query = request.query_params
        found = Assignment.objects.select_related("user__domain", "role", "project__domain").order_by("pk")
        for key, column in (("user.id", "user"), ("scope.project.id", "project")):
            if key in query:
                found = found.filter(**{column: query[key]})
        if "scope.system" in query:
            found = found.filter(project=None)
        # There are no groups, no roles in domains and no inherited ones.
        if query.keys() & {"group.id", "scope.domain.id", "scope.OS-INHERIT:inherited_to"}:
            found = found.none()
        pairs = [(row, row.role) for row in found]
        if self.flag("effective"):
            pairs = effective(pairs)
        if "role.id" in query:
            pairs = [pair for pair in pairs if pair[1].pk == query["role.id"]]
        rows = [self._body(row, role) for row, role in pairs]
        return Response(self.listed("role_assignments", rows))

    def _body(self, row: Assignment, role: Role) -> dict:
        user, project = row.user, row.project
        body: dict = {"user": {"id": user.pk}, "role": {"id": role.pk}}
        if self.flag("include_names"):
            body["user"] |= {"name": user.name, "domain": named(user.domain)}
            body["role"] |= {"name": role.name}
        if project is None:
            body["scope"] = {"system": {"all": True}}
            where = "system"
        else:
            body["scope"] = {"project": {"id": project.pk}}
            where = f"projects/{project.pk}"
            if self.flag("include_names"):
                body["scope"]["project"] |= {"name": project.name, "domain": named(project.domain)}
        path = f"{where}/users/{user.pk}/roles/{row.role_id}"
        return body | {"links": {"assignment": f"{self.root}/{path}"}}


def named(domain) -> dict:
    return {"id": domain.pk, "name": domain.name}


def effective(pairs: list[tuple[Assignment, Role]]) -> list[tuple[Assignment, Role]]:
    """With the roles that are implied, each once for a user in a scope."""
    by_name = {role.name: role for role in Role.objects.all()}
    result = {}
    for row, role in pairs:
        for name in sorted(Role.with_implied([role.name])):
            if name in by_name:
                result.setdefault((row.user_id, row.project_id, name), (row, by_name[name]))
    return list(result.values())
