"""What people type: the launch page and key pairs."""

import ipaddress

from django import forms

from apps.core.context import Context
from apps.core.forms import CloudForm
from apps.images.models import Image
from apps.instances import placement, reads
from apps.instances.models import Flavor, Keypair
from apps.instances.operations import METADATA_ITEMS, hosts_zones
from apps.networks.models import Network, SecurityGroup
from apps.networks.models import Status as NetworkStatus


def launchable_images(ctx: Context):
    rows = Image.objects.visible_to(ctx).filter(status=Image.Status.ACTIVE, os_hidden=False)
    return rows.order_by("name", "pk")


def launchable_flavors(ctx: Context):
    return Flavor.objects.visible_to(ctx).filter(disabled=False).order_by("ram", "vcpus", "disk")


class ByPk(forms.ModelChoiceField):
    """A choice among rows by id; the template draws the choices itself."""

    def label_from_instance(self, obj):
        return str(obj)


class LaunchForm(CloudForm):
    name = forms.CharField(max_length=255)
    count = forms.IntegerField(min_value=1, max_value=100, initial=1, required=False, label="How many")
    image = ByPk(Image.objects.none(), error_messages={"required": "Choose an image."})
    flavor = ByPk(Flavor.objects.none(), error_messages={"required": "Choose a flavor."})
    networks = forms.ModelMultipleChoiceField(Network.objects.none(), required=False)
    reach = forms.ChoiceField(
        choices=[("project", "This project"), ("internet", "The internet")],
        initial="project",
        required=False,
        label="Who can reach it",
    )
    security_groups = forms.ModelMultipleChoiceField(
        SecurityGroup.objects.none(), required=False, label="Security groups"
    )
    keypair = forms.ModelChoiceField(
        Keypair.objects.none(), required=False, empty_label="No key", label="Key pair", to_field_name="name"
    )
    public_key = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label="Public key",
        help_text="One line, such as the content of ~/.ssh/id_ed25519.pub. It is kept as a key pair.",
    )
    public_key_name = forms.CharField(required=False, max_length=255, label="Name of the key pair")
    user_data = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        label="User data",
        help_text="A script (#!) or #cloud-config, run at the first boot.",
    )
    config_drive = forms.BooleanField(
        required=False,
        label="Config drive",
        help_text="Also give the guest its metadata as a small disk, for guests without DHCP.",
    )
    availability_zone = forms.ChoiceField(required=False, label="Availability zone")
    metadata = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One key=value in a line.",
    )

    def __init__(self, *args, ctx: Context, **kwargs):
        super().__init__(*args, ctx=ctx, **kwargs)
        networks = (
            Network.objects.visible_to(ctx)
            .filter(external=False, subnets__isnull=False)
            .distinct()
            .order_by("name")
        )
        groups = SecurityGroup.objects.visible_to(ctx).filter(project_id=ctx.project_id).order_by("name")
        self.fields["image"].queryset = launchable_images(ctx)
        self.fields["flavor"].queryset = launchable_flavors(ctx)
        self.fields["networks"].queryset = networks
        self.fields["security_groups"].queryset = groups.prefetch_related("rules__remote_group")
        self.fields["keypair"].queryset = Keypair.objects.visible_to(ctx).order_by("name")
        zones = [(zone, zone) for zone in sorted(hosts_zones())]
        self.fields["availability_zone"].choices = [("", "Any zone"), *zones]

    def clean_networks(self) -> list[Network] | None:
        """None: the default one. Without a choice, an instance has its console only, as the page says."""
        if chosen := list(self.cleaned_data["networks"]):
            return chosen
        return None if self.fields["networks"].queryset.exists() else []

    def clean_count(self) -> int:
        return self.cleaned_data["count"] or 1

    def clean_metadata(self) -> dict[str, str]:
        metadata = {}
        for line in filter(None, map(str.strip, self.cleaned_data["metadata"].splitlines())):
            key, equals, value = line.partition("=")
            if not equals or not key.strip():
                raise forms.ValidationError(f'"{line[:40]}" is no key=value.')
            metadata[key.strip()] = value.strip()
        if len(metadata) > METADATA_ITEMS:
            raise forms.ValidationError(f"{METADATA_ITEMS} lines at most, these are {len(metadata)}.")
        return metadata


class KeypairForm(CloudForm):
    name = forms.CharField(max_length=255)
    public_key = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        label="Public key",
        help_text="Paste the public half. Leave it empty, and CloudPanel makes a pair and gives you the private half once.",
    )


# --- what the launch page shows beside its fields ------------------------------------------------------


def flavors_with_fit(flavors, image: Image | None, usage: dict, rooms: list) -> list[dict]:
    """Each flavor with whether it can be launched now, and if not the reason with its number."""
    return [{"flavor": flavor, **_fit(flavor, image, usage, rooms)} for flavor in flavors]


def _left(usage: dict, resource: str) -> int | None:
    used, limit = usage[resource]
    return None if limit < 0 else limit - used


def _fit(flavor: Flavor, image: Image | None, usage: dict, rooms: list) -> dict:
    """{"fits", "text", "reason": quota, image or host}."""
    needs = (
        ("instances", 1, "Instances", ""),
        ("cores", flavor.vcpus, "vCPUs", ""),
        ("ram", flavor.ram, "RAM", " MiB"),
    )
    most = 100
    for resource, need, title, unit in needs:
        left = _left(usage, resource)
        if left is None:
            continue
        if need > left:
            return {
                "fits": False,
                "reason": "quota",
                "text": f"{title}: needs {need}{unit}, {max(left, 0)}{unit} left",
            }
        most = min(most, left // need)
    if image and flavor.ram < image.min_ram:
        return {"fits": False, "reason": "image", "text": f"RAM: the image needs {image.min_ram} MiB"}
    if image and flavor.disk and flavor.disk < image.min_disk_gib:
        return {"fits": False, "reason": "image", "text": f"Disk: the image needs {image.min_disk_gib} GiB"}
    disk = flavor.disk or (image.min_disk_gib if image else 0)
    asked = placement.Asked(flavor.vcpus, flavor.ram, disk)
    count, hosts = placement.how_many(rooms, asked, most)
    if not count:
        return {"fits": False, "reason": "host", "text": placement.decide(rooms, asked).brief()}
    where = "1 host" if hosts == 1 else f"{hosts} hosts"
    return {"fits": True, "reason": "", "text": f"{min(count, most)} more, on {where}"}


def networks_with_room(networks) -> list[dict]:
    """Each network with its ranges and how many addresses are free in them."""
    found = []
    rows = list(networks.prefetch_related("subnets"))
    taken = reads.addresses_taken([subnet.pk for row in rows for subnet in row.subnets.all()])
    for row in rows:
        subnets = list(row.subnets.all())
        free = sum(
            max(
                0,
                sum(
                    int(ipaddress.ip_address(p["end"])) - int(ipaddress.ip_address(p["start"])) + 1
                    for p in subnet.allocation_pools
                )
                - taken.get(subnet.pk, 0),
            )
            for subnet in subnets
        )
        found.append({"network": row, "cidrs": [subnet.cidr for subnet in subnets], "free": free})
    return found


def external_networks(ctx: Context):
    return Network.objects.visible_to(ctx).filter(external=True).exclude(status=NetworkStatus.DELETING)
