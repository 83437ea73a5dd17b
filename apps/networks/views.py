"""The portal's pages of networks, floating IPs and security groups."""

from django.http import HttpResponseRedirect
from django.urls import reverse

from apps.core import filters, navigation
from apps.core.context import Context
from apps.core.policy import allowed
from apps.core.views import ActionView, Column, ListPage, OperationView, PageView
from apps.networks import forms, operations
from apps.networks.models import (
    ROUTER_INTERFACE,
    FloatingIP,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Status,
)
from apps.networks.operations.common import is_id


class NetworkList(ListPage):
    template_name = "networks/list.html"
    row_template = "networks/_row.html"
    noun, nouns = "network", "networks"
    default_sort = "name"
    columns = (
        Column("name", filters.contains("name"), sort="name", text=True),
        Column("status", filters.status(Status.values), sort="status", hint="active, build"),
        Column("cidr", filters.contains("subnets__cidr"), hint="10.0."),
        Column("external", filters.truth("external"), hint="yes, no"),
        Column("age", filters.age("created_at"), sort="-created_at"),
        Column("id", filters.contains("id"), text=True),
    )

    def rows(self):
        return Network.objects.visible_to(self.ctx).prefetch_related("subnets")

    def get_context_data(self, **kwargs):
        may = allowed(self.ctx, "create_network")
        return super().get_context_data(routers=routers_with_subnets(self.ctx), may_create=may, **kwargs)


def routers_with_subnets(ctx: Context) -> list[Router]:
    """The project's routers, each with `subnets`, the ranges it joins: [{"cidr", "network"}]; in two queries."""
    routers = list(
        Router.objects.visible_to(ctx).select_related("external_network").order_by("name", "created_at")
    )
    legs = Port.objects.alive().filter(router__in=routers, device_owner=ROUTER_INTERFACE)
    ranges = legs.order_by("created_at").values_list("router_id", "fixed_ips__subnet__cidr", "network__name")
    joined: dict = {router.pk: [] for router in routers}
    for router_id, cidr, network in ranges if routers else ():
        joined[router_id].append({"cidr": cidr, "network": network})
    for router in routers:
        router.subnets = joined[router.pk]
    return routers


class NetworkDetail(PageView):
    template_name = "networks/detail.html"

    def get_context_data(self, **kwargs):
        network = Network.objects.get_for(self.ctx, self.kwargs["pk"])
        ports = Port.objects.visible_to(self.ctx).filter(network=network).prefetch_related("fixed_ips")
        shown = list(ports.order_by("created_at"))
        names = devices(self.ctx, shown)
        for port in shown:
            port.addresses = [fixed.address for fixed in port.fixed_ips.all()]
            port.owner = names.get(port.device_id, {"name": "", "url": ""})
        subnets = list(network.subnets.order_by("created_at"))
        mine = network.project_id == self.ctx.project_id and allowed(self.ctx, "delete_network")
        return super().get_context_data(
            network=network, ports=shown, subnets=subnets, may_delete=mine, **kwargs
        )


def devices(ctx: Context, ports: list[Port]) -> dict[str, dict]:
    """{device id: {"name", "url"}} of what the ports belong to, as far as `ctx` may see it: instances and routers."""
    found: dict[str, dict] = {}
    routers = {port.router_id for port in ports if port.router_id}
    for router in Router.objects.visible_to(ctx).filter(pk__in=routers) if routers else ():
        found[str(router.pk)] = {"name": router.name or "router", "url": reverse("networks") + "#routers"}
    instance = navigation.kinds().get("instance")
    machines = {port.device_id for port in ports if port.device_owner.startswith("compute:")}
    machines = {pk for pk in machines if is_id(pk)}  # by the API a port may say anything
    if instance and machines:
        for row in instance.model.objects.visible_to(ctx).filter(pk__in=machines):
            found[str(row.pk)] = {"name": row.name, "url": instance.url(row.pk)}
    return found


class NetworkCreate(OperationView):
    """A network with its first subnet, and on wish the router that leads outside."""

    template_name = "networks/create.html"
    form_class = forms.NetworkForm
    refused = "The network was not created."
    audit = ("network", "create")

    def get_initial(self) -> dict:
        outside = operations.way_outside(self.ctx) is not None
        return {"cidr": forms.free_range(self.ctx), "outside": outside}

    def operate(self, **fields):
        return operations.create_connected_network(self.ctx, **fields)

    def done(self, network):
        return HttpResponseRedirect(reverse("network", args=[network.pk]), status=303)


class DeleteView(ActionView):
    """The page that held the button may be gone with the thing: back to the list."""

    def post(self, request, *args, **kwargs):
        request.POST = request.POST.copy()
        request.POST["next"] = reverse(self.back)
        return super().post(request, *args, **kwargs)


class NetworkDelete(DeleteView):
    audit = ("network", "delete")
    back = "networks"
    refused = "The network was not deleted."

    def act(self) -> str:
        network = Network.objects.get_for(self.ctx, self.kwargs["pk"])
        operations.delete_connected_network(self.ctx, network=network)
        return f"{network} is being deleted."


class FloatingIPList(ListPage):
    template_name = "networks/floating_ips.html"
    row_template = "networks/_floating_ip_row.html"
    noun, nouns = "floating IP", "floating IPs"
    default_sort = "address"
    columns = (
        Column("address", filters.contains("address"), sort="address", text=True),
        Column("status", filters.status(Status.values), sort="status", hint="active, down"),
        Column("fixed", filters.contains("fixed_address"), hint="10.0."),
        Column("age", filters.age("created_at"), sort="-created_at"),
    )

    def rows(self):
        return FloatingIP.objects.visible_to(self.ctx).select_related("network", "port")

    def prepare(self, rows):
        names = devices(self.ctx, [row.port for row in rows if row.port])
        for row in rows:
            row.target = names.get(row.port.device_id) if row.port else None
        return rows

    def get_context_data(self, **kwargs):
        external = Network.objects.visible_to(self.ctx).filter(external=True).order_by("name")
        return super().get_context_data(external_networks=list(external), targets=self.targets(), **kwargs)

    def targets(self) -> list[tuple[str, str]]:
        """[(port id, "web-01, 10.0.0.3")] of instances that have none yet, on networks with a way outside."""
        legs = Port.objects.alive().filter(device_owner=ROUTER_INTERFACE)
        reachable = legs.filter(router__external_network__isnull=False).values("network")
        ports = (
            Port.objects.visible_to(self.ctx)
            .filter(device_owner__startswith="compute:", network__in=reachable, floating_ips__isnull=True)
            .prefetch_related("fixed_ips")
        )
        shown = list(ports)
        names = devices(self.ctx, shown)
        return sorted(
            (
                (str(port.pk), f"{names[port.device_id]['name']}, {fixed.address}")
                for port in shown
                for fixed in list(port.fixed_ips.all())[:1]
                if port.device_id in names
            ),
            key=lambda pair: pair[1],
        )


class FloatingIPCreate(ActionView):
    back = "floating_ips"
    refused = "No floating IP was allocated."
    audit = ("floatingip", "create")

    def act(self) -> str:
        network = Network.objects.get_for(self.ctx, self.request.POST.get("network", ""))
        floating = operations.create_floating_ip(self.ctx, network=network)
        return f"{floating.address} is yours."


class FloatingIPAssociate(ActionView):
    back = "floating_ips"
    refused = "The floating IP points where it pointed before."
    audit = ("floatingip", "associate")

    def act(self) -> str:
        floating = FloatingIP.objects.get_for(self.ctx, self.kwargs["pk"])
        port = Port.objects.get_for(self.ctx, self.request.POST.get("port", ""))
        operations.associate_floating_ip(self.ctx, floating_ip=floating, port=port)
        return f"{floating.address} leads to {floating.fixed_address}."


class FloatingIPDisassociate(ActionView):
    audit = ("floatingip", "disassociate")
    back = "floating_ips"

    def act(self) -> str:
        floating = FloatingIP.objects.get_for(self.ctx, self.kwargs["pk"])
        operations.disassociate(self.ctx, floating_ip=floating)
        return f"{floating.address} leads nowhere now."


class FloatingIPRelease(ActionView):
    audit = ("floatingip", "release")
    back = "floating_ips"

    def act(self) -> str:
        floating = FloatingIP.objects.get_for(self.ctx, self.kwargs["pk"])
        operations.release_floating_ip(self.ctx, floating_ip=floating)
        return f"{floating.address} is released."


class SecurityGroupList(ListPage):
    template_name = "networks/security_groups.html"
    row_template = "networks/_security_group_row.html"
    noun, nouns = "security group", "security groups"
    default_sort = "name"
    columns = (
        Column("name", filters.contains("name"), sort="name", text=True),
        Column("age", filters.age("created_at"), sort="-created_at"),
        Column("id", filters.contains("id"), text=True),
    )

    def rows(self):
        return SecurityGroup.objects.visible_to(self.ctx).prefetch_related("rules__remote_group")

    def get(self, request, *args, **kwargs):
        operations.default_security_group(self.ctx.project_id)  # it exists as soon as it is looked at
        return super().get(request, *args, **kwargs)


class SecurityGroupCreate(OperationView):
    template_name = "networks/security_group_create.html"
    form_class = forms.SecurityGroupForm
    refused = "The security group was not created."
    audit = ("securitygroup", "create")

    def operate(self, **fields):
        return operations.create_security_group(self.ctx, **fields)

    def done(self, group):
        return HttpResponseRedirect(reverse("security_group", args=[group.pk]), status=303)


class SecurityGroupDelete(DeleteView):
    audit = ("securitygroup", "delete")
    back = "security_groups"
    refused = "The security group was not deleted."

    def act(self) -> str:
        group = SecurityGroup.objects.get_for(self.ctx, self.kwargs["pk"])
        operations.delete_security_group(self.ctx, group=group)
        return f"{group} is being deleted."


class SecurityGroupDetail(OperationView):
    """The group with its rules, and the form to add one."""

    template_name = "networks/security_group.html"
    form_class = forms.RuleForm
    refused = "The rule was not added."
    audit = ("securitygroup", "add_rule")

    def group(self) -> SecurityGroup:
        rows = SecurityGroup.objects.prefetch_related("rules__remote_group")
        return rows.get_for(self.ctx, self.kwargs["pk"])

    def get_context_data(self, **kwargs):
        kwargs.pop("pk", None)
        context = super().get_context_data(group=self.group(), **kwargs)
        if not allowed(self.ctx, "create_security_group_rule"):
            context["form"] = None
        return context

    def operate(self, **fields):
        return operations.create_security_group_rule(self.ctx, group=self.group(), **fields)

    def done(self, rule):
        return HttpResponseRedirect(reverse("security_group", args=[self.kwargs["pk"]]), status=303)


class SecurityGroupRuleDelete(ActionView):
    audit = ("securitygroup", "remove_rule")
    back = "security_groups"

    def act(self) -> str:
        rule = SecurityGroupRule.objects.get_for(self.ctx, self.kwargs["pk"])
        operations.delete_security_group_rule(self.ctx, rule=rule)
        return "The rule is gone."
