"""The product's settings with a state directory of its own, the fake engines, and no broker."""

import os
import tempfile

os.environ.setdefault("CLOUDPANEL_STATE", tempfile.mkdtemp(prefix="cloudpanel-test-"))
os.environ.setdefault("CLOUDPANEL_COMPUTE", "fake")
os.environ.setdefault("CLOUDPANEL_HOST", "hv1")

from cloudpanel.settings import *  # noqa: F403

DOORBELL = False
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
INSTALLED_APPS = [*INSTALLED_APPS, "tests.kernel"]  # noqa: F405

# A file, not memory: threads and processes then meet the locks that they meet in production.
if not config.DATABASE:  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(config.STATE / "test.sqlite3")}  # noqa: F405
