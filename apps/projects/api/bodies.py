"""Rows as Keystone shows them. `view` gives the address of its links."""

from apps.projects.models import Domain, Project, Role, User


def user_body(view, user: User) -> dict:
    body = user.extra | {
        "id": user.pk,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": {},
        "links": view.link(f"users/{user.pk}"),
    }
    if user.email:
        body["email"] = user.email
    if user.description:
        body["description"] = user.description
    if user.default_project_id:
        body["default_project_id"] = user.default_project_id
    return body


def project_body(view, project: Project) -> dict:
    return project.extra | {
        "id": project.pk,
        "name": project.name,
        "description": project.description,
        "domain_id": project.domain_id,
        "parent_id": project.parent_id or project.domain_id,
        "enabled": project.enabled,
        "is_domain": False,
        "tags": project.tags,
        "options": {},
        "links": view.link(f"projects/{project.pk}"),
    }


def domain_body(view, domain: Domain) -> dict:
    return domain.extra | {
        "id": domain.pk,
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.enabled,
        "tags": [],
        "options": {},
        "links": view.link(f"domains/{domain.pk}"),
    }


def role_body(view, role: Role) -> dict:
    return {
        "id": role.pk,
        "name": role.name,
        "description": role.description or None,
        "domain_id": None,
        "options": {},
        "links": view.link(f"roles/{role.pk}"),
    }
