"""Run by `manage.py shell`: gives the project and user named in ROWS_FOR 500 rows of everything, as no one launches."""

import os
from datetime import timedelta

from django.utils import timezone

from apps.images.models import Image
from apps.instances.models import Instance, Keypair
from apps.networks.models import Network, SecurityGroup
from apps.projects.models import Project, User

COUNT = 500
LONG = "a-name-that-somebody-really-chose-and-that-goes-on-and-on-without-a-space-in-it-" * 3
NAMES = ["web", "база данных", "数据库服务器", "<b>not bold</b>", LONG[:200]]
STATUSES = ["ACTIVE", "SHUTOFF", "ERROR", "ACTIVE"]

since = timezone.now() - timedelta(hours=3)
project = Project.objects.get(name=os.environ["ROWS_FOR"])
user = User.objects.get(name=os.environ["ROWS_FOR"])
image = Image.objects.first()


def name(n: int) -> str:
    return f"{NAMES[n % len(NAMES)]}-{n}"


Instance.objects.bulk_create(
    Instance(
        project=project,
        name=name(n),
        hostname=f"vm-{n}",
        user_id=user.pk,
        status=STATUSES[n % len(STATUSES)],
        status_since=since,
        created_at=since,
        launched_at=since,
        fault="No host fits: 1 of 1 hosts are short of 4096 MiB RAM." if STATUSES[n % 4] == "ERROR" else "",
        image=image,
        flavor_id="42",
        flavor_name="m1.nano",
        vcpus=1,
        ram=128,
        disk=1,
    )
    for n in range(COUNT)
)
Keypair.objects.bulk_create(
    Keypair(user=user, name=name(n)[:255], public_key="ssh-ed25519 AAAA", fingerprint=":".join(["ab"] * 16))
    for n in range(COUNT)
)
Network.objects.bulk_create(
    Network(project=project, name=name(n), status="ACTIVE", description=LONG[:200]) for n in range(COUNT)
)
SecurityGroup.objects.bulk_create(
    SecurityGroup(project=project, name=name(n), status="ACTIVE") for n in range(COUNT)
)
