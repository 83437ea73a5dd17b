"""The cast: Alice and Bob are members of project `lab`, Mallory of another one, Ada administers the cloud."""

import os
from pathlib import Path

import pytest
from django.utils import timezone

from apps.core import lifecycle
from apps.core.context import Context
from apps.hosts.models import Host
from apps.projects.models import Assignment, Domain, Project, Role, User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def domain(db):
    return Domain.objects.get_or_create(id="default", defaults={"name": "Default"})[0]


@pytest.fixture
def roles(db):
    names = ("admin", "manager", "member", "reader", "service")
    return {name: Role.objects.get_or_create(name=name)[0] for name in names}


@pytest.fixture
def lab(domain):
    return Project.objects.create(name="lab", domain=domain)


@pytest.fixture
def other_project(domain):
    return Project.objects.create(name="other", domain=domain)


@pytest.fixture
def make_user(domain, roles):
    def make(name: str, project: Project, role: str = "member") -> User:
        user = User(name=name, domain=domain, default_project=project)
        user.set_password(PASSWORD)
        user.save()
        Assignment.objects.create(user=user, role=roles[role], project=project)
        return user

    return make


def context(user: User, project: Project, *roles: str) -> Context:
    return Context(
        user_id=user.pk,
        user_name=user.name,
        user_domain_id=user.domain_id,
        project_id=project.pk,
        project_name=project.name,
        project_domain_id=project.domain_id,
        roles=Role.with_implied(roles),
    )


@pytest.fixture
def alice(make_user, lab):
    return context(make_user("alice", lab), lab, "member")


@pytest.fixture
def bob(make_user, lab):
    return context(make_user("bob", lab), lab, "member")


@pytest.fixture
def reader(make_user, lab):
    return context(make_user("rita", lab, "reader"), lab, "reader")


@pytest.fixture
def mallory(make_user, other_project):
    return context(make_user("mallory", other_project), other_project, "member")


@pytest.fixture
def ada(make_user, domain):
    project = Project.objects.create(name="admin", domain=domain)
    return context(make_user("ada", project, "admin"), project, "admin")


@pytest.fixture
def host(db):
    """A hypervisor with room: 8 CPUs, 16 GiB of memory, 200 GiB of disk."""
    return Host.objects.create(
        name="hv1",
        seen_at=timezone.now(),
        vcpus=8,
        memory_mib=16384,
        disk_gib=200,
        disk_free_gib=200,
        reserved_memory_mib=0,
        hypervisor="fake",
        virt_type="fake",
    )


@pytest.fixture
def settle():
    """Run the reconcilers until nothing is due, back-off and `later` included; fails when that never happens."""

    def settle(rounds: int = 40) -> None:
        for _ in range(rounds):
            busy = False
            for label, model in lifecycle.reconcilers().items():
                for pk in list(model._base_manager.filter(due_at__isnull=False).values_list("pk", flat=True)):
                    busy = True
                    lifecycle.run(label, pk)
            if not busy:
                return
        left = [
            f"{label} {row} {row.status} {row.fault}"
            for label, model in lifecycle.reconcilers().items()
            for row in model._base_manager.filter(due_at__isnull=False)
        ]
        pytest.fail(f"never settles: {left}")

    return settle


@pytest.fixture
def api(client):
    """`api(ctx)` is a Django test client that speaks JSON with ctx's token."""
    from django.test import Client

    from apps.projects import tokens

    def api(ctx: Context) -> Client:
        token = tokens.issue(ctx.user_id, project_id=ctx.project_id)
        return Client(headers={"X-Auth-Token": getattr(token, "value", token)})

    return api


@pytest.fixture(scope="session")
def cloud():
    """The running cloud that `python -m tests.stack` made for us."""
    from tests.cloud import Cloud

    state = os.environ.get("CLOUDPANEL_STACK")
    if not state:
        pytest.fail("These tests need a cloud of their own: python -m tests.stack pytest tests/system")
    return Cloud(Path(state))
