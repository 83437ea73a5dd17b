"""What a project may have: counted, claimed, changed."""

import pytest
from django.db import transaction

from apps.core.errors import CloudError, Forbidden, NotFound, QuotaExceeded
from apps.core.models import Event
from apps.networks.models import Network
from apps.projects.models import Project
from apps.quotas import limits, operations


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Two services, three resources, of which one counter answers two."""
    monkeypatch.setattr(limits, "registry", {})
    monkeypatch.setattr(operations, "registry", limits.registry)
    calls = []

    @limits.counts("network", 2, "network", "Networks")
    def networks(project_id):
        calls.append("network")
        return Network.objects.filter(project_id=project_id).count()

    @limits.counts("instances", 5, "compute", "Instances")
    @limits.counts("ram", 1024, "compute", "RAM", "MiB")
    def instances(project_id):
        calls.append("instances")
        return {"instances": 1, "ram": 1000}

    return calls


def test_what_fits_is_granted(lab):
    operations.claim(lab, network=2)
    operations.claim(lab.pk, instances=4, ram=24)


def test_what_does_not_fit_is_refused_with_the_numbers(lab):
    with pytest.raises(QuotaExceeded) as refusal:
        operations.claim(lab, instances=1, ram=512)
    assert refusal.value.message == "Quota exceeded for ram: Requested 512, but already used 1000 of 1024 ram"
    assert refusal.value.data == {"ram": {"asked": 512, "used": 1000, "limit": 1024}}


def test_several_that_do_not_fit_are_said_at_once(lab):
    with pytest.raises(QuotaExceeded) as refusal:
        operations.claim(lab, instances=7, ram=512)
    assert refusal.value.message == (
        "Quota exceeded for instances, ram: Requested 7, 512, but already used 1, 1000 of 5, 1024 instances, ram"
    )


def test_minus_one_is_without_limit_and_not_even_counted(lab, ada, registry):
    operations.set_limits(ada, project=lab, service="compute", limits={"instances": -1, "ram": -1})
    registry.clear()
    operations.claim(lab, instances=10**6, ram=10**6)
    assert not registry


def test_a_counter_runs_once_and_only_when_asked(lab, registry):
    operations.claim(lab, instances=1, ram=1)
    assert registry == ["instances"]
    registry.clear()
    operations.claim(lab, instances=0)
    assert not registry


def test_unknown_project_is_not_found(db):
    with pytest.raises(NotFound):
        operations.claim("nothing", network=1)


@pytest.mark.django_db(transaction=True)
def test_claims_belong_into_a_transaction():
    with pytest.raises(RuntimeError):
        operations.claim("anything", network=1)


def test_usage_shows_used_and_limit(lab, ada):
    Network.objects.create(project=lab, status="ACTIVE")
    operations.set_limits(ada, project=lab, service="network", limits={"network": 7})
    assert operations.usage(lab.pk) == {"network": (1, 7), "instances": (1, 5), "ram": (1000, 1024)}
    assert operations.usage(lab.pk, "network") == {"network": (1, 7)}
    assert operations.defaults("compute") == {"instances": 5, "ram": 1024}


def test_own_limits_replace_defaults_until_they_are_reset(lab, ada, other_project):
    assert operations.set_limits(ada, project=lab, service="compute", limits={"instances": 9}) == {
        "instances": 9,
        "ram": 1024,
    }
    assert operations.limits_of(lab.pk) == {"network": 2, "instances": 9, "ram": 1024}
    assert operations.limits_of(other_project.pk)["instances"] == 5
    event = Event.objects.get(action="set_limits")
    assert (event.project_id, event.data) == (lab.pk, {"instances": {"from": 5, "to": 9}})
    operations.reset_limits(ada, project=lab, service="compute")
    assert operations.limits_of(lab.pk)["instances"] == 5


def test_a_limit_below_what_is_used_needs_force(lab, ada):
    with pytest.raises(CloudError, match="already used and reserved 1000"):
        operations.set_limits(ada, project=lab, service="compute", limits={"ram": 500})
    operations.set_limits(ada, project=lab, service="compute", limits={"ram": 500}, force=True)
    assert operations.usage(lab.pk)["ram"] == (1000, 500)


@pytest.mark.parametrize(
    "bad", [{"ram": -2}, {"ram": "7"}, {"ram": True}, {"ram": 2**31}, {"network": 7}, {"x": 1}]
)
def test_bad_limits_change_nothing(lab, ada, bad):
    with pytest.raises(CloudError):
        operations.set_limits(ada, project=lab, service="compute", limits={"instances": 9} | bad)
    assert operations.limits_of(lab.pk)["instances"] == 5


def test_members_may_not_change_limits(lab, alice):
    with pytest.raises(Forbidden):
        operations.set_limits(alice, project=lab, service="compute", limits={"instances": 9})
    with pytest.raises(Forbidden):
        operations.reset_limits(alice, project=lab, service="compute")


def test_a_resource_is_counted_once(db):
    with pytest.raises(ValueError, match="network"):
        limits.counts("network", 1, "network", "Networks")(lambda project_id: 0)


def test_deleting_a_project_takes_its_limits_along(lab, ada):
    operations.set_limits(ada, project=lab, service="network", limits={"network": 7})
    with transaction.atomic():
        Project.objects.get(pk=lab.pk).delete()
