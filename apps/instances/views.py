"""The portal's pages about instances, flavors and key pairs."""

from django.contrib import messages
from django.db import transaction
from django.db.models import Q, prefetch_related_objects
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import cached_property

from apps.core import filters
from apps.core.activity import activity_of
from apps.core.errors import CloudError, Conflict, NotFound
from apps.core.policy import allowed
from apps.core.views import ActionView, Column, ListPage, OperationView, PageView
from apps.instances import forms, keypairs, operations, placement, reads
from apps.instances.api.launch import encode_user_data
from apps.instances.models import NOT_IN_LISTS, Flavor, Instance, Keypair
from apps.networks import operations as networks
from apps.networks.models import FixedIP, FloatingIP, Network
from apps.quotas import operations as quotas

Status = Instance.Status
OF_IMAGES = ("image__properties", "image__tags", "image__created_at", "image__updated_at", "image__due_at")

ACTIONS = {
    "start": ("start_instance", {}, "{} is starting."),
    "stop": ("stop_instance", {}, "{} is stopping."),
    "reboot": ("reboot_instance", {}, "{} is rebooting."),
    "hard-reboot": ("reboot_instance", {"hard": True}, "{} is being reset."),
    "delete": ("delete_instance", {}, "{} is being deleted."),
    "lock": ("lock_instance", {}, "{} is locked."),
    "unlock": ("unlock_instance", {}, "{} is unlocked."),
}
SUMMARY = {
    "start": "started",
    "stop": "stopped",
    "reboot": "rebooted",
    "hard-reboot": "reset",
    "delete": "deleted",
    "lock": "locked",
    "unlock": "unlocked",
}


def act(ctx, instance: Instance, action: str) -> str:
    """Ask for `action`; returns the sentence for the message."""
    if action not in ACTIONS:
        raise CloudError(f"There is no action '{action}'.")
    name, arguments, sentence = ACTIONS[action]
    getattr(operations, name)(ctx, instance=instance, **arguments)
    return sentence.format(instance.name)


def by_address(value: str) -> Q:
    fixed = FixedIP.objects.filter(address__contains=value).values_list("port__device_id", flat=True)
    floating = FloatingIP.objects.filter(address__contains=value, port__isnull=False)
    devices = {*fixed[:1000], *floating.values_list("port__device_id", flat=True)[:1000]}
    return Q(pk__in=[device for device in devices if len(device) == 36])


class InstanceList(ListPage):
    template_name = "instances/list.html"
    row_template = "instances/_row.html"
    noun, nouns = "instance", "instances"
    default_sort = "age"  # the newest first
    views = (
        ("All", ""),
        ("Needs attention", "status:error"),
        ("Active", "status:active"),
        ("Shutoff", "status:shutoff"),
    )
    columns = (
        Column("name", filters.contains("name"), sort="name", text=True),
        Column("status", filters.status(Status.values), sort="status", hint="active, error, shutoff"),
        Column("address", by_address, hint="10.0."),
        Column("image", filters.contains("image__name"), hint="mini"),
        Column("flavor", filters.contains("flavor_name"), sort=("ram", "vcpus"), hint="m1.small"),
        Column("ram", filters.number("ram"), hint=">2g"),
        Column("vcpus", filters.number("vcpus"), hint=">=2"),
        Column("key", filters.contains("key_name")),
        Column("age", filters.age("created_at"), sort="-created_at", hint="<1d"),
        Column("id", filters.contains("id"), text=True),
    )

    def rows(self):
        rows = Instance.objects.visible_to(self.ctx).select_related("image")
        return rows.defer(*NOT_IN_LISTS, "user_data", "metadata", "flavor_extra", "tags", *OF_IMAGES)

    def prepare(self, rows):
        return with_addresses(rows)

    def get_context_data(self, **kwargs):
        return super().get_context_data(live_url=reverse("instances_rows"), **kwargs)


def with_addresses(rows: list[Instance]) -> list[Instance]:
    """The rows with `addresses` [{"network", "address", "floating"}] and their boot steps, in three queries."""
    addresses = reads.addresses_of([row.pk for row in rows])
    prefetch_related_objects(rows, "boot_steps")
    for row in rows:
        row.addresses = paired(addresses.get(str(row.pk), []))
    return rows


def paired(addresses: list[reads.Address]) -> list[dict]:
    """Each fixed address with the floating one that leads to it, or ""."""
    pairs: list[dict] = []
    for address in addresses:
        if address.floating and pairs:
            pairs[-1]["floating"] = address.address
        else:
            pairs.append({"network": address.network, "address": address.address, "floating": ""})
    return pairs


class InstancePage(PageView):
    """A page about the instance `pk`. Context: `instance` with its addresses, `tab`, and `facts`."""

    tab = ""

    @cached_property
    def instance(self) -> Instance:
        rows = Instance.objects.select_related("image", "host")
        return with_addresses([rows.get_for(self.ctx, self.kwargs["pk"])])[0]

    def get_context_data(self, **kwargs):
        facts = self.facts(self.instance)
        return super().get_context_data(instance=self.instance, tab=self.tab, **facts, **kwargs)

    def facts(self, instance: Instance) -> dict:
        return {}


class InstanceDetail(InstancePage):
    template_name = "instances/detail.html"
    tab = "overview"

    def facts(self, instance: Instance) -> dict:
        activity = activity_of(self.ctx, instance.pk)
        ports = networks.ports_of([str(instance.pk)]).get(str(instance.pk), [])
        groups = {group.pk: group for port in ports for group in port.security_groups.all()}
        host = instance.host if self.ctx.is_admin and instance.host_id else None
        return {
            "activity": activity[:5],
            "activity_count": len(activity),
            "ports": ports,
            "security_groups": list(groups.values()),
            "login": login_line(instance),
            "ssh_open": any(lets_ssh_in(group) for group in groups.values()),
            "placement": instance.placement if self.ctx.is_admin else None,
            "host": host,
            "floating_ips_free": list(
                FloatingIP.objects.visible_to(self.ctx).filter(port__isnull=True).order_by("address")
            ),
        }


def login_line(instance: Instance) -> str:
    """`ssh user@address`, with the floating address where there is one; "" without an address."""
    if not instance.addresses:
        return ""
    address = next(
        (a["floating"] for a in instance.addresses if a["floating"]), instance.addresses[0]["address"]
    )
    user = instance.image.login_user
    return f"ssh {user}@{address}" if user else f"ssh {address}"


def lets_ssh_in(group) -> bool:
    for rule in group.rules.all():
        tcp = rule.direction == "ingress" and rule.protocol in ("", "tcp", "6")
        if tcp and (rule.port_min is None or rule.port_min <= 22 <= (rule.port_max or rule.port_min)):
            return True
    return False


class InstancePanel(InstanceDetail):
    template_name = "instances/_panel.html"


class InstanceActivity(InstancePage):
    template_name = "instances/activity.html"
    tab = "activity"

    def facts(self, instance: Instance) -> dict:
        return {"activity": activity_of(self.ctx, instance.pk, limit=500)}


class InstanceAction(ActionView):
    """POST action=start|stop|reboot|hard-reboot|delete|lock|unlock."""

    back = "instances"

    @property
    def audit(self):
        return "instance", self.request.POST.get("action", "")

    def act(self) -> str:
        instance = Instance.objects.get_for(self.ctx, self.kwargs["pk"])
        return act(self.ctx, instance, self.request.POST.get("action", ""))


class InstancesBulk(ActionView):
    """POST action=... ids=a,b (or repeated): one operation an instance, one sentence for all."""

    back = "instances"

    @property
    def audit(self):
        return "instance", self.request.POST.get("action", "")

    def act(self) -> str:
        action = self.request.POST.get("action", "")
        ids = [pk for value in self.request.POST.getlist("ids") for pk in value.split(",") if pk]
        done, refused = [], []
        for pk in ids:
            try:
                instance = Instance.objects.get_for(self.ctx, pk)
                act(self.ctx, instance, action)
                done.append(instance.name)
            except CloudError as error:
                self.record(error)
                refused.append(error.message)
        what = "1 instance" if len(done) == 1 else f"{len(done)} instances"
        if refused:
            messages.error(
                self.request,
                f"{len(refused)} of {len(ids)} could not be {SUMMARY.get(action, 'changed')}.\n"
                + "\n".join(refused[:5]),
            )
        return f"{what} will be {SUMMARY.get(action, 'changed')}." if done else ""


class Launch(OperationView):
    template_name = "instances/launch.html"
    form_class = forms.LaunchForm
    refused = "The instance was not launched."
    audit = ("instance", "create")

    def get_initial(self) -> dict:
        given = self.request.GET
        initial: dict = {"name": given.get("name", "") or self.free_name()}
        named = [image for image in self.images if image.name == given.get("image")]
        image = next(iter(named or self.images), None)
        initial["image"] = image.pk if image else None
        fitting = [row for row in self.flavors(image) if row["fits"]]
        initial["flavor"] = fitting[0]["flavor"].pk if fitting else None
        network = default_network(self.ctx)
        initial["networks"] = [network.pk] if network else []
        group = networks.default_security_group(self.ctx.project_id)
        initial["security_groups"] = [group.pk]
        keypair = Keypair.objects.visible_to(self.ctx).order_by("name").first()
        initial["keypair"] = keypair.name if keypair else None
        return initial

    def free_name(self) -> str:
        """instance-N: typed only by who wants another."""
        count = Instance.objects.filter(project_id=self.ctx.project_id).count()
        return f"instance-{count + 1}"

    @cached_property
    def images(self) -> list:
        return list(forms.launchable_images(self.ctx))

    @cached_property
    def quota(self) -> dict:
        return quotas.usage(self.ctx.project_id)

    @cached_property
    def offered(self) -> tuple[list, list]:
        """(flavors, hosts with their room)."""
        return list(forms.launchable_flavors(self.ctx)), placement.rooms()

    def flavors(self, image):
        flavors, rooms = self.offered
        return forms.flavors_with_fit(flavors, image, self.quota, rooms)

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        form = context["form"]
        chosen = form["image"].value()
        image = next((i for i in self.images if str(i.pk) == str(chosen)), next(iter(self.images), None))
        external = forms.external_networks(self.ctx).first()
        return context | {
            "images": self.images,
            "flavors": self.flavors(image),
            "networks": forms.networks_with_room(form.fields["networks"].queryset),
            "security_groups": list(form.fields["security_groups"].queryset),
            "keypairs": list(form.fields["keypair"].queryset),
            "zones": form.fields["availability_zone"].choices,
            "external": external,
            "quota": self.quota,
            "floating_quota": self.quota["floatingip"],
            "may_launch": allowed(self.ctx, "os_compute_api:servers:create"),
        }

    @transaction.atomic
    def operate(self, **fields):
        """All or nothing: a launch that is refused makes no key pair either."""
        ctx = self.ctx
        keypair = fields["keypair"]
        if fields["public_key"].strip():
            name = fields["public_key_name"].strip() or f"{fields['name']}-key"
            keypair, _ = keypairs.create_keypair(ctx, name=name, public_key=fields["public_key"])
        external = None
        if fields["reach"] == "internet":
            external = forms.external_networks(ctx).first()
            if external is None:
                raise CloudError("No network leads outside. Choose 'This project'.", field="reach")
        chosen = fields["networks"]
        return operations.create_instance(
            ctx,
            name=fields["name"],
            image=fields["image"],
            flavor=fields["flavor"],
            nics=None if chosen is None else [operations.NicRequest(network=network) for network in chosen],
            security_groups=list(fields["security_groups"]) or None,
            keypair=keypair,
            user_data=encode_user_data(fields["user_data"].replace("\r\n", "\n")),
            config_drive=fields["config_drive"],
            availability_zone=fields["availability_zone"],
            metadata=fields["metadata"],
            count=fields["count"],
            external_network=external,
            refuse=True,
        )

    def done(self, made: list[Instance]) -> HttpResponse:
        if len(made) == 1:
            return HttpResponseRedirect(reverse("instance", args=[made[0].pk]), status=303)
        return HttpResponseRedirect(reverse("instances"), status=303)


def default_network(ctx):
    """What a launch without a network would use; where that is not clear, the oldest of the project's own."""
    try:
        return networks.default_network(ctx)
    except Conflict:
        mine = Network.objects.visible_to(ctx).filter(project_id=ctx.project_id, external=False)
        return mine.filter(subnets__isnull=False).order_by("created_at", "pk").first()
    except CloudError:
        return None


class FlavorList(ListPage):
    template_name = "instances/flavors.html"
    row_template = "instances/_flavor_row.html"
    noun, nouns = "flavor", "flavors"
    default_sort = "ram"
    columns = (
        Column("name", filters.contains("name"), sort="name", text=True),
        Column("vcpus", filters.number("vcpus"), sort="vcpus", hint=">=2"),
        Column("ram", filters.number("ram"), sort="ram", hint=">2g"),
        Column("disk", filters.number("disk"), sort="disk", hint=">10"),
    )

    def rows(self):
        return Flavor.objects.visible_to(self.ctx).filter(disabled=False)

    def prepare(self, rows):
        usage = quotas.usage(self.ctx.project_id, "compute")
        for entry in forms.flavors_with_fit(rows, None, usage, placement.rooms()):
            entry["flavor"].fits, entry["flavor"].fit = entry["fits"], entry["text"]
        return rows


class KeypairList(ListPage):
    template_name = "instances/keypairs.html"
    row_template = "instances/_keypair_row.html"
    noun, nouns = "key pair", "key pairs"
    default_sort = "name"
    columns = (
        Column("name", filters.contains("name"), sort="name", text=True),
        Column("fingerprint", filters.contains("fingerprint")),
        Column("age", filters.age("created_at"), sort="-created_at"),
    )

    def rows(self):
        return Keypair.objects.visible_to(self.ctx)


class KeypairCreate(OperationView):
    audit = ("keypair", "create")
    template_name = "instances/keypair_create.html"
    form_class = forms.KeypairForm
    refused = "The key pair was not made."

    def operate(self, **fields):
        return keypairs.create_keypair(self.ctx, **fields)

    def done(self, result):
        keypair, private = result
        if private:
            context = {"keypair": keypair, "private_key": private}
            return render(self.request, "instances/keypair_created.html", context)
        messages.success(self.request, f"Key pair {keypair.name} is kept.")
        return HttpResponseRedirect(reverse("keypairs"), status=303)


class KeypairDelete(ActionView):
    audit = ("keypair", "delete")
    back = "keypairs"

    def act(self) -> str:
        keypair = Keypair.objects.visible_to(self.ctx).filter(pk=self.kwargs["pk"]).first()
        if keypair is None:
            raise NotFound("There is no such key pair of yours.")
        keypairs.delete_keypair(self.ctx, keypair=keypair)
        return f"Key pair {keypair.name} is deleted. Instances that have it keep it."
