"""Key pairs: the public halves that are put into guests."""

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import IntegrityError, transaction

from apps.core import events
from apps.core.context import Context
from apps.core.errors import CloudError, Conflict, Forbidden
from apps.core.policy import enforce
from apps.instances.models import Keypair

MAX_KEYPAIRS = 100  # a user


def fingerprint(public_key: str) -> str:
    """MD5 of the key's body, colon separated, as `ssh-keygen -l -E md5` prints it."""
    body = base64.b64decode(public_key.split()[1])
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, 32, 2))


def check_public_key(public_key: str) -> str:
    """The key in one line; CloudError when it is no OpenSSH public key."""
    line = public_key.strip()
    try:
        if "\n" in line:
            raise ValueError("more than one line")
        serialization.load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm, IndexError):
        raise CloudError(
            "Keypair data is invalid: an OpenSSH public key in one line is needed, such as ~/.ssh/id_ed25519.pub.",
            field="public_key",
        ) from None
    return line


@transaction.atomic
def create_keypair(ctx: Context, *, name: str, public_key: str = "") -> tuple[Keypair, str]:
    """(key pair, private key): the private key is "" when a public one was given, and is not kept."""
    enforce(ctx, "os_compute_api:os-keypairs:create")
    name = name.strip()
    if not 1 <= len(name) <= 255:
        raise CloudError(f"Name: 1 to 255 characters, this has {len(name)}.", field="name")
    used = Keypair.objects.filter(user_id=ctx.user_id).count()
    if used >= MAX_KEYPAIRS:
        raise Forbidden(f"Quota exceeded, too many key pairs: {used} of {MAX_KEYPAIRS}. Delete one first.")
    private = ""
    if public_key.strip():
        public_key = check_public_key(public_key)
    else:
        private, public_key = generate(f"Generated-by-CloudPanel {name}")
    keypair = Keypair(
        user_id=ctx.user_id, name=name, public_key=public_key, fingerprint=fingerprint(public_key)
    )
    try:
        with transaction.atomic():
            keypair.save(force_insert=True)
    except IntegrityError:
        raise Conflict(
            f"Key pair '{name}' already exists. Choose another name, or delete it.", field="name"
        ) from None
    events.record(keypair, "create", by=ctx)
    return keypair, private


def generate(comment: str) -> tuple[str, str]:
    """(private, public) halves of a new Ed25519 pair, in OpenSSH's formats."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}"


@transaction.atomic
def delete_keypair(ctx: Context, *, keypair: Keypair) -> None:
    """The pair is gone; guests that have the public half keep it."""
    enforce(ctx, "os_compute_api:os-keypairs:delete")
    events.record(keypair, "delete", by=ctx)
    keypair.delete()
