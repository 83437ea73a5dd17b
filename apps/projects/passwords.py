from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id at OWASP's setting: 19 MiB, two passes, one lane (Password Storage Cheat Sheet)."""

    memory_cost = 19456
    time_cost = 2
    parallelism = 1
