"""/v3/auth: tokens are made, looked at and revoked; where their owner may go."""

from rest_framework.response import Response

from apps.core.api import base_url
from apps.core.errors import CloudError, NotFound, Unauthorized
from apps.core.policy import enforce
from apps.projects import tokens
from apps.projects.api.base import IdentityView, take
from apps.projects.api.bodies import project_body
from apps.projects.catalog import catalog
from apps.projects.models import Assignment, Project, User
from apps.projects.operations import UNAUTHENTICATED, authenticate
from apps.projects.standing import SYSTEM, UNSCOPED, Party, Standing, roles_of, standing
from apps.projects.tokens import Token

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class Tokens(IdentityView):
    def initial(self, request, *args, **kwargs):
        self.public = request.method == "POST"
        super().initial(request, *args, **kwargs)

    def post(self, request):
        auth = self.body("auth")
        identity = take(auth, "identity", dict)
        user_id, methods, parent = self._identify(identity)
        scope, chosen = _scope(auth.get("scope"), user_id)
        found = standing(user_id, scope)
        if found is None and not chosen:
            scope = UNSCOPED
            found = standing(user_id, scope)
        if found is None:
            raise Unauthorized(UNAUTHENTICATED)
        token = tokens.issue(
            user_id,
            "" if scope == SYSTEM else scope,
            system=scope == SYSTEM,
            methods=methods,
            parent=parent,
        )
        return self._answer(token, found, 201)

    def get(self, request):
        token, found = self._subject(allow_expired=self.flag("allow_expired"))
        if token.user_id != self.ctx.user_id and "service" not in self.ctx.roles:
            enforce(self.ctx, "identity:validate_token")
        return self._answer(token, found, 200)

    def delete(self, request):
        token, _ = self._subject()
        if token.user_id != self.ctx.user_id:
            enforce(self.ctx, "identity:revoke_token")
        tokens.revoke(token.audit_id, token.expires_at)
        return Response(status=204)

    def _subject(self, *, allow_expired: bool = False) -> tuple[Token, Standing]:
        token = tokens.decode(self.request.headers.get("X-Subject-Token", ""), allow_expired=allow_expired)
        found = tokens.standing_of(token) if token else None
        if token is None or found is None:
            raise NotFound("Failed to validate token.")
        return token, found

    def _answer(self, token: Token, found: Standing, status: int) -> Response:
        shown = None if "nocatalog" in self.request.query_params else catalog(base_url(self.request))
        return Response(
            {"token": token_body(token, found, shown)},
            status=status,
            headers={"X-Subject-Token": token.value, "Vary": "X-Auth-Token"},
        )

    def _identify(self, identity: dict) -> tuple[str, tuple[str, ...], Token | None]:
        """(user id, methods, the token it is made from). All methods that are named must agree on the user."""
        names = take(identity, "methods", list)
        if not names or not all(isinstance(name, str) for name in names):
            raise CloudError("Invalid input for field 'methods': a list of one or more names is needed.")
        users: set[str] = set()
        methods: list[str] = []
        parent = None
        for name in dict.fromkeys(names):
            if name == "password":
                users.add(self._by_password(take(identity, "password", dict)))
                methods.append("password")
            elif name == "token":
                parent = self._by_token(take(identity, "token", dict))
                users.add(parent.user_id)
                methods += ["token", *parent.methods]
            else:
                raise Unauthorized("Attempted to authenticate with an unsupported method.")
        if len(users) > 1:
            raise Unauthorized(UNAUTHENTICATED)
        return users.pop(), tuple(dict.fromkeys(methods)), parent

    def _by_password(self, given: dict) -> str:
        user = take(given, "user", dict)
        password = take(user, "password", str)
        address = self.request.META.get("REMOTE_ADDR", "")
        if "id" in user:
            return authenticate("", password, user_id=take(user, "id", str), address=address).pk
        name, domain = take(user, "name", str), take(user, "domain", dict)
        if "id" in domain:
            return authenticate(name, password, take(domain, "id", str), address=address).pk
        return authenticate(name, password, domain_name=take(domain, "name", str), address=address).pk

    def _by_token(self, given: dict) -> Token:
        token = tokens.decode(take(given, "id", str))
        if token is None or tokens.standing_of(token) is None:
            raise Unauthorized(UNAUTHENTICATED)
        return token


def _scope(given, user_id: str) -> tuple[str, bool]:
    """(the scope that is asked for, whether the caller chose it): without a word, the user's default project."""
    if given is None:
        default = User.objects.filter(pk=user_id).values_list("default_project_id", flat=True).first()
        return default or UNSCOPED, False
    if given == "unscoped" or (isinstance(given, dict) and "unscoped" in given):
        return UNSCOPED, True
    if not isinstance(given, dict):
        raise CloudError("Invalid input for field 'scope': it is not of type 'object'.")
    if "system" in given:
        if take(given, "system", dict).get("all") is not True:
            raise CloudError("Invalid input for field 'system': only {\"all\": true} exists.")
        return SYSTEM, True
    if "project" in given:
        return _project(take(given, "project", dict)), True
    # Roles are given in projects and in the whole system, so nobody has one in a domain.
    raise Unauthorized(UNAUTHENTICATED)


def _project(given: dict) -> str:
    if "id" in given:
        project_id = take(given, "id", str)
    else:
        domain = take(given, "domain", dict)
        where = (
            {"domain_id": take(domain, "id", str)}
            if "id" in domain
            else {"domain__name": take(domain, "name", str)}
        )
        found = Project.objects.filter(name=take(given, "name", str), **where)
        project_id = found.values_list("pk", flat=True).first()
    if not project_id or project_id == SYSTEM:
        raise Unauthorized(UNAUTHENTICATED)
    return project_id


def token_body(token: Token, found: Standing, shown: list[dict] | None) -> dict:
    body = {
        "methods": token.methods,
        "user": _party_body(found.user) | {"password_expires_at": None},
        "audit_ids": token.audit_ids,
        "expires_at": token.expires_at.strftime(TIME),
        "issued_at": token.issued_at.strftime(TIME),
    }
    if token.scope == UNSCOPED:
        return body
    body["roles"] = roles_of(found)
    if found.project:
        body |= {"project": _party_body(found.project), "is_domain": False}
    else:
        body["system"] = {"all": True}
    if shown is not None:
        body["catalog"] = shown
    return body


def _party_body(party: Party) -> dict:
    return {
        "id": party.id,
        "name": party.name,
        "domain": {"id": party.domain_id, "name": party.domain_name},
    }


class AuthCatalog(IdentityView):
    def get(self, request):
        return Response(self.listed("catalog", catalog(base_url(request))))


class AuthProjects(IdentityView):
    def get(self, request):
        projects = tokens.available_projects(self.ctx.user_id)
        return Response(self.listed("projects", [project_body(self, project) for project in projects]))


class AuthDomains(IdentityView):
    def get(self, request):
        return Response(self.listed("domains", []))


class AuthSystem(IdentityView):
    def get(self, request):
        anywhere = Assignment.objects.filter(user_id=self.ctx.user_id, project=None).exists()
        return Response(self.listed("system", [{"all": True}] if anywhere else []))


class UserProjects(IdentityView):
    """/v3/users/{id}/projects: one's own, or, for administrators, anybody's."""

    def get(self, request, user_id):
        user = User.objects.get_for(self.ctx, user_id)
        projects = tokens.available_projects(user.pk)
        return Response(self.listed("projects", [project_body(self, project) for project in projects]))
