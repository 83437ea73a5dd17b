"""Secrets that the cloud must be able to read again, encrypted at rest with var/secrets/credential.key."""

import functools

from cryptography.fernet import Fernet
from django.conf import settings


@functools.cache
def _box() -> Fernet:
    return Fernet(settings.CREDENTIAL_KEY)


def encrypt(text: str) -> str:
    return _box().encrypt(text.encode()).decode() if text else ""


def decrypt(text: str) -> str:
    return _box().decrypt(text.encode()).decode() if text else ""
