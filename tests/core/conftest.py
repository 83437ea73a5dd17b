import pytest

from apps.core import lifecycle
from tests.kernel.models import Thing


@pytest.fixture
def keep():
    """`keep(function)` makes `function` the reconciler of Thing for this test."""

    def keep(function, **options):
        lifecycle._reconcilers.pop("kernel.thing", None)
        lifecycle.reconciles(Thing, **options)(function)
        return function

    yield keep
    lifecycle._reconcilers.pop("kernel.thing", None)


@pytest.fixture
def thing(lab, alice):
    """A thing that is promised: status making, due."""
    return lifecycle.begin(Thing(project=lab, name="thing", status="making"), by=alice)
