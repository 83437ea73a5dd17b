"""The product's settings with a state directory of its own, the fake engines, and no broker."""

import os
import tempfile

os.environ.setdefault("CLOUDPANEL_STATE", tempfile.mkdtemp(prefix="cloudpanel-test-"))
os.environ.setdefault("CLOUDPANEL_COMPUTE", "fake")
os.environ.setdefault("CLOUDPANEL_HOST", "hv1")

from cloudpanel.settings import *  # noqa: E402, F403

DOORBELL = False
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
