"""What people type about networks and security groups."""

import ipaddress

from django import forms

from apps.core.context import Context
from apps.core.forms import CloudForm
from apps.networks.models import SecurityGroup, Subnet

RANGES = [f"10.{second}.0.0/24" for second in range(10, 250, 10)]


def free_range(ctx: Context) -> str:
    """The first of our usual ranges that overlaps no subnet of the project."""
    taken = [
        ipaddress.ip_network(cidr) for cidr in Subnet.objects.visible_to(ctx).values_list("cidr", flat=True)
    ]
    return next((r for r in RANGES if not any(ipaddress.ip_network(r).overlaps(t) for t in taken)), RANGES[0])


class NetworkForm(CloudForm):
    name = forms.CharField(max_length=255)
    cidr = forms.CharField(label="Range", help_text="Addresses of its subnet, such as 10.20.0.0/24.")
    dns_nameservers = forms.CharField(
        required=False, label="Name servers", help_text="Comma separated; empty: the cloud's resolvers."
    )
    outside = forms.BooleanField(
        required=False,
        label="Lead outside",
        help_text="Join it to the project's router with a way outside; one is made where there is none.",
    )

    def clean_dns_nameservers(self) -> list[str]:
        return [text.strip() for text in self.cleaned_data["dns_nameservers"].split(",") if text.strip()]


class SecurityGroupForm(CloudForm):
    name = forms.CharField(max_length=255)
    description = forms.CharField(max_length=255, required=False)


class RuleForm(CloudForm):
    direction = forms.ChoiceField(choices=[("ingress", "In"), ("egress", "Out")], initial="ingress")
    ethertype = forms.ChoiceField(choices=[("IPv4", "IPv4"), ("IPv6", "IPv6")], label="IP version")
    protocol = forms.ChoiceField(
        choices=[("tcp", "TCP"), ("udp", "UDP"), ("icmp", "ICMP"), ("", "Everything")],
        initial="tcp",
        required=False,
    )
    ports = forms.CharField(
        required=False, help_text="One port or a range: 443, or 8000-8010. Empty: all.", label="Ports"
    )
    remote_prefix = forms.CharField(
        required=False, label="Other side", help_text="A range such as 198.51.100.0/24. Empty: anywhere."
    )
    remote_group = forms.ModelChoiceField(
        SecurityGroup.objects.none(), required=False, label="Or members of", empty_label="No group"
    )
    description = forms.CharField(max_length=255, required=False, label="Note")

    def __init__(self, *args, ctx: Context, **kwargs):
        super().__init__(*args, ctx=ctx, **kwargs)
        self.fields["remote_group"].queryset = SecurityGroup.objects.visible_to(ctx).order_by("name")

    def clean(self) -> dict:
        """The fields as `create_security_group_rule` takes them."""
        given = super().clean() or self.cleaned_data
        low, _, high = str(given.pop("ports", "")).replace(" ", "").partition("-")
        if low and not (low.isdigit() and (not high or high.isdigit())):
            self.add_error("ports", "Ports are numbers: 443, or 8000-8010.")
            return given
        if given.get("protocol") in ("tcp", "udp") and low and not 1 <= int(low) <= int(high or low) <= 65535:
            self.add_error("ports", "Ports go from 1 to 65535, the lower one first.")
            return given
        given["port_min"] = int(low) if low else None
        given["port_max"] = int(high or low) if low else None
        if given.get("protocol") == "icmp" and given["port_min"] is not None:
            given["port_max"] = int(high) if high else None
        return given
