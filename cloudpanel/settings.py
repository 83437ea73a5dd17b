"""Django's settings, all derived from `cloudpanel.config`."""

import contextlib
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet
from django.core.management.utils import get_random_secret_key

from cloudpanel import config

BASE_DIR = config.ROOT
DEBUG = config.DEBUG
ALLOWED_HOSTS = config.ALLOWED_HOSTS.split(",")


def _secret(name: str, make) -> str:
    """The text of var/secrets/`name`, made on first use; several processes may race for it."""
    path = config.SECRETS / name
    if not path.exists():
        config.SECRETS.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(make())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()


SECRET_KEY = _secret("django.key", get_random_secret_key)
CREDENTIAL_KEY = _secret("credential.key", lambda: Fernet.generate_key().decode())
FERNET_DIR = config.SECRETS / "fernet"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "channels",
    "crispy_forms",
    "crispy_bootstrap5",
    "apps.core",
    "apps.projects",
    "apps.quotas",
    "apps.images",
    "apps.hosts",
    "apps.networks",
    "apps.instances",
    "apps.dashboard",
]

MIDDLEWARE = [
    "apps.core.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.core.middleware.PageHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.projects.middleware.SessionContext",
]

ROOT_URLCONF = "cloudpanel.urls"
ASGI_APPLICATION = "cloudpanel.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "apps.dashboard.context.shell",
            ],
        },
    }
]


def _database() -> dict:
    if not config.DATABASE:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": config.STATE / "cloudpanel.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
            },
        }
    url = urlsplit(config.DATABASE)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or ""),
        "PORT": url.port or "",
        "OPTIONS": {
            "pool": {"min_size": 1, "max_size": max(16, config.WORKER_THREADS * 2 + 4), "timeout": 20}
        },
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "projects.User"
PASSWORD_HASHERS = ["apps.projects.passwords.Argon2idHasher"]

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": config.REDIS,
        "KEY_PREFIX": "cp",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 2},
    }
}
SESSION_ENGINE = "apps.core.sessions"
SESSION_COOKIE_NAME = "cloudpanel"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_NAME = "cloudpanel_csrf"
CSRF_FAILURE_VIEW = "apps.dashboard.views.csrf_failure"
LOGIN_URL = "login"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [config.REDIS], "prefix": "cpws"},
    }
}

DOORBELL = True  # False: no broker; tests run the reconcilers themselves
CELERY_BROKER_URL = (
    config.REDIS.replace("unix://", "redis+socket://") if config.REDIS.startswith("unix") else config.REDIS
)

STATIC_URL = "/static/"
STATIC_ROOT = config.STATE / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_MAX_AGE = 600

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"

CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["apps.core.wire.WireRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.wire.WireParser"],
}

SECURE_REFERRER_POLICY = "no-referrer"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname).1s %(name)s %(message)s"}},
    "filters": {"secrets": {"()": "apps.core.logs.MaskSecrets"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["secrets"]},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "ovsdbapp": {"level": "WARNING"},
        "channels_redis": {
            "level": "CRITICAL"
        },  # a trace for each socket of a lost Redis; consumers say it once
        "celery": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        # uvicorn's own handlers know no filter: its lines, the access log too, go through ours.
        "uvicorn": {"level": "INFO", "handlers": [], "propagate": True},
        "uvicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
    },
}

IMAGES_DIR = Path(config.STATE) / "images"
INSTANCES_DIR = Path(config.STATE) / "instances"
CONTEXT_FROM_TOKEN = "apps.projects.tokens.context_from_token"
