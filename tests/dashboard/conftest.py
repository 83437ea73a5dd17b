import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.core.context import Context
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
