"""Ten at once against a quota of five. Run on PostgreSQL and on SQLite."""

import pytest
from django.db import transaction

from apps.core.errors import QuotaExceeded
from apps.projects.models import Domain, Project
from apps.quotas import limits, operations
from tests.kernel.models import Thing
from tests.races.test_kernel import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project():
    domain = Domain.objects.create(id="default", name="Default")
    return Project.objects.create(name="lab", domain=domain)


@pytest.fixture
def things():
    @limits.counts("things", 5, "compute", "Things")
    def count(project_id):
        return Thing.objects.filter(project_id=project_id).count()

    yield
    del limits.registry["things"]


def launch(project):
    def launch():
        with transaction.atomic():
            # A row that refers to the project first, as an operation may write one before it claims.
            Thing.objects.create(project=project, status="ready").delete()
            operations.claim(project, things=1)
            return Thing.objects.create(project=project, status="ready")

    return launch


def test_ten_launches_against_a_quota_of_five(project, things):
    results = together(*[launch(project)] * 10)
    refused = [result for result in results if isinstance(result, QuotaExceeded)]
    assert Thing.objects.filter(project=project).count() == 5
    assert len(refused) == 5, results
    assert {error.data["things"]["used"] for error in refused} == {5}


def test_projects_do_not_wait_for_each_other_but_each_keeps_its_limit(project, things):
    others = [Project.objects.create(name=f"p{n}", domain_id="default") for n in range(3)]
    together(*[launch(p) for p in others for _ in range(7)])
    assert [Thing.objects.filter(project=p).count() for p in others] == [5, 5, 5]
