import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.core.context import Context
from apps.images.models import Image
from apps.instances.models import Instance
from apps.projects import tokens


@pytest.fixture
def browse(db):
    """`browse(ctx)` is a browser in which ctx is logged in."""

    def browse(ctx: Context) -> Client:
        client = Client()
        session = client.session
        session["user_id"], session["project_id"] = ctx.user_id, ctx.project_id
        session["issued_at"], session["audit_id"] = timezone.now().isoformat(), tokens.new_audit_id()
        session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
        return client

    return browse


@pytest.fixture
def make_instance(db):
    """`make_instance(ctx, name, status)` is a row; no reconciler knows of it."""

    def make(ctx: Context, name: str, status: str = "ACTIVE", **more) -> Instance:
        image, _ = Image.objects.get_or_create(name="mini", project_id=ctx.project_id, status="active")
        return Instance.objects.create(
            project_id=ctx.project_id,
            user_id=ctx.user_id,
            name=name,
            hostname=name,
            image=image,
            flavor_id="1",
            flavor_name="m1.nano",
            vcpus=1,
            ram=128,
            disk=1,
            status=status,
            **more,
        )

    return make
