"""/v3/users, /v3/projects and /v3/domains."""

from rest_framework.response import Response

from apps.core.errors import CloudError, Forbidden
from apps.core.policy import enforce
from apps.projects import operations
from apps.projects.api.base import IdentityView, known, take
from apps.projects.api.bodies import domain_body, project_body, user_body
from apps.projects.models import Domain, Project, User

MOST_TAGS = 80


def extra_of(given: dict, *ours: str) -> dict:
    """Attributes that we do not know: they are kept and shown again."""
    never = {"id", "links", "password_expires_at", *ours}
    return {key: value for key, value in given.items() if key not in never}


def no_options(given: dict) -> None:
    if given.get("options") and (options := take(given, "options", dict)):
        raise CloudError(f"These options are not served: {', '.join(sorted(options))}.", field="options")


def domain_of(given: dict, ctx) -> Domain:
    """The domain that is named, or else the caller's."""
    own = ctx.project_domain_id or ctx.user_domain_id
    return Domain.objects.get_for(ctx, take(given, "domain_id", str) if given.get("domain_id") else own)


def same_domain(given: dict, obj) -> None:
    if given.get("domain_id", obj.domain_id) != obj.domain_id:
        raise CloudError("A domain is chosen once: domain_id cannot be changed.", field="domain_id")


# --- users ------------------------------------------------------------------------------------------

USER_KEYS = (
    "name", "password", "domain_id", "email", "description", "enabled", "default_project_id", "options",
    "original_password",
)  # fmt: skip


class Users(IdentityView):
    def get(self, request):
        enforce(self.ctx, "identity:list_users")
        users = self.filtered(User.objects.all(), "name", "domain_id", "enabled", "name__contains")
        rows, next_page = self.page(users)
        return Response(self.listed("users", [user_body(self, user) for user in rows], next_page))

    def post(self, request):
        given = self.body("user")
        name = take(given, "name", str)
        user = operations.create_user(
            self.ctx,
            name=name,
            password=_password(given),
            domain=domain_of(given, self.ctx),
            extra=extra_of(given, *USER_KEYS),
            **_user_columns(self.ctx, given),
        )
        return Response({"user": user_body(self, user)}, status=201)


class OneUser(IdentityView):
    def get(self, request, user_id):
        return Response({"user": user_body(self, User.objects.get_for(self.ctx, user_id))})

    def patch(self, request, user_id):
        given = self.body("user")
        user = User.objects.get_for(self.ctx, user_id)
        same_domain(given, user)
        changes = _user_columns(self.ctx, given) | known(given, name=str)
        extra = extra_of(given, *USER_KEYS)
        if extra:
            changes["extra"] = user.extra | extra
        user = operations.update_user(self.ctx, user=user, password=_password(given), **changes)
        return Response({"user": user_body(self, user)})

    def delete(self, request, user_id):
        operations.delete_user(self.ctx, user=User.objects.get_for(self.ctx, user_id))
        return Response(status=204)


class UserPassword(IdentityView):
    """Users change their own here; administrators PATCH the user."""

    def post(self, request, user_id):
        given = self.body("user")
        if user_id != self.ctx.user_id:
            raise Forbidden("A password is changed here by its owner alone; administrators update the user.")
        operations.change_password(
            self.ctx,
            original=take(given, "original_password", str),
            password=take(given, "password", str),
            address=request.META.get("REMOTE_ADDR", ""),
        )
        return Response(status=204)


def _password(given: dict) -> str | None:
    return None if given.get("password") is None else take(given, "password", str)


def _user_columns(ctx, given: dict) -> dict:
    no_options(given)
    columns = known(given, enabled=bool)
    for key in ("email", "description"):
        if key in given:
            columns[key] = "" if given[key] is None else take(given, key, str)
    if "default_project_id" in given:
        project_id = given["default_project_id"]
        columns["default_project"] = (
            Project.objects.get_for(ctx, take(given, "default_project_id", str)) if project_id else None
        )
    return columns


# --- projects ---------------------------------------------------------------------------------------

PROJECT_KEYS = ("name", "domain_id", "parent_id", "description", "enabled", "is_domain", "tags", "options")


class Projects(IdentityView):
    def get(self, request):
        enforce(self.ctx, "identity:list_projects")
        projects = self.filtered(Project.objects.all(), "name", "domain_id", "enabled", "name__contains")
        query = request.query_params
        if "parent_id" in query:
            projects = projects.filter(domain_id=query["parent_id"])
        if self.flag("is_domain"):
            projects = projects.none()
        tests = {
            "tags": lambda has, asked: asked <= has,
            "tags-any": lambda has, asked: bool(asked & has),
            "not-tags": lambda has, asked: not asked <= has,
            "not-tags-any": lambda has, asked: not asked & has,
        }
        for key in tests.keys() & query.keys():
            asked = set(query[key].split(","))
            fits = [pk for pk, tags in projects.values_list("pk", "tags") if tests[key](set(tags), asked)]
            projects = projects.filter(pk__in=fits)
        rows, next_page = self.page(projects)
        return Response(self.listed("projects", [project_body(self, row) for row in rows], next_page))

    def post(self, request):
        given = self.body("project")
        domain = domain_of(given, self.ctx)
        if given.get("is_domain"):
            raise CloudError(
                "A project that acts as a domain is not served; create a domain.", field="is_domain"
            )
        project = operations.create_project(
            self.ctx,
            name=take(given, "name", str),
            domain=domain,
            extra=extra_of(given, *PROJECT_KEYS),
            **_project_columns(given, domain.pk),
        )
        return Response({"project": project_body(self, project)}, status=201)


class OneProject(IdentityView):
    def get(self, request, project_id):
        body = project_body(self, Project.objects.get_for(self.ctx, project_id))
        # Projects stand beside each other, so nothing is above or below one.
        for way in ("parents", "subtree"):
            if f"{way}_as_list" in request.query_params:
                body[way] = []
            elif f"{way}_as_ids" in request.query_params:
                body[way] = None
        return Response({"project": body})

    def patch(self, request, project_id):
        given = self.body("project")
        project = Project.objects.get_for(self.ctx, project_id)
        same_domain(given, project)
        changes = _project_columns(given, project.domain_id) | known(given, name=str)
        extra = extra_of(given, *PROJECT_KEYS)
        if extra:
            changes["extra"] = project.extra | extra
        project = operations.update_project(self.ctx, project=project, **changes)
        return Response({"project": project_body(self, project)})

    def delete(self, request, project_id):
        operations.delete_project(self.ctx, project=Project.objects.get_for(self.ctx, project_id))
        return Response(status=204)


def _project_columns(given: dict, domain_id: str) -> dict:
    no_options(given)
    if (given.get("parent_id") or domain_id) != domain_id:
        raise CloudError(
            "Projects within projects are not served: parent_id is the domain.", field="parent_id"
        )
    columns = known(given, enabled=bool, tags=list)
    if "description" in given:
        columns["description"] = "" if given["description"] is None else take(given, "description", str)
    tags = columns.get("tags", [])
    if len(tags) > MOST_TAGS or not all(
        isinstance(t, str) and 0 < len(t) <= 255 and not set("/,") & set(t) for t in tags
    ):
        raise CloudError(
            f"At most {MOST_TAGS} tags of 1 to 255 characters, without / and comma.", field="tags"
        )
    return columns


# --- domains ----------------------------------------------------------------------------------------

DOMAIN_KEYS = ("name", "description", "enabled", "options", "tags")


class Domains(IdentityView):
    def get(self, request):
        enforce(self.ctx, "identity:list_domains")
        rows, next_page = self.page(self.filtered(Domain.objects.all(), "name", "enabled"))
        return Response(self.listed("domains", [domain_body(self, row) for row in rows], next_page))

    def post(self, request):
        given = self.body("domain")
        domain = operations.create_domain(
            self.ctx,
            name=take(given, "name", str),
            extra=extra_of(given, *DOMAIN_KEYS),
            **_domain_columns(given),
        )
        return Response({"domain": domain_body(self, domain)}, status=201)


class OneDomain(IdentityView):
    def get(self, request, domain_id):
        return Response({"domain": domain_body(self, Domain.objects.get_for(self.ctx, domain_id))})

    def patch(self, request, domain_id):
        given = self.body("domain")
        domain = Domain.objects.get_for(self.ctx, domain_id)
        changes = _domain_columns(given) | known(given, name=str)
        extra = extra_of(given, *DOMAIN_KEYS)
        if extra:
            changes["extra"] = domain.extra | extra
        domain = operations.update_domain(self.ctx, domain=domain, **changes)
        return Response({"domain": domain_body(self, domain)})

    def delete(self, request, domain_id):
        operations.delete_domain(self.ctx, domain=Domain.objects.get_for(self.ctx, domain_id))
        return Response(status=204)


def _domain_columns(given: dict) -> dict:
    no_options(given)
    columns = known(given, enabled=bool)
    if "description" in given:
        columns["description"] = "" if given["description"] is None else take(given, "description", str)
    return columns
