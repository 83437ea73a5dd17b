"""/servers of compute v2.1."""

import re
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.response import Response

from apps.core.api import after, base_url, next_link, truth
from apps.core.errors import CloudError, NotFound
from apps.core.policy import enforce
from apps.instances import consoles, operations, reads
from apps.instances.api import launch
from apps.instances.api.bodies import WIRE, addresses_body, server_body, server_brief
from apps.instances.api.nova import NovaView, text, whole
from apps.instances.models import NOT_IN_LISTS, Instance
from apps.networks.models import Port, SecurityGroup
from apps.networks.models import Status as NetworkStatus

CAP = 1000
OF_HOSTS = ("disabled_reason", "vcpus", "memory_mib", "disk_gib", "disk_free_gib", "reserved_memory_mib", "cpu_ratio",
            "hypervisor", "hypervisor_version", "cpu_model", "virt_type", "agent_address", "created_at")  # fmt: skip
UNSEEN = (*NOT_IN_LISTS, "boot_started_at", "step_since", *(f"host__{name}" for name in OF_HOSTS))
SORT_KEYS = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "display_name": "name",
    "name": "name",
    "uuid": "id",
    "id": "id",
    "vm_state": "status",
    "host": "host__name",
    "launched_at": "launched_at",
    "availability_zone": "availability_zone",
    "key_name": "key_name",
    "project_id": "project_id",
    "user_id": "user_id",
    "task_state": "status",
    "power_state": "status",
    "root_device_name": "id",
    "instance_type_id": "flavor_id",
    "image_ref": "image_id",
}


class ServerView(NovaView):
    is_list = False

    def instance(self, server_id: str) -> Instance:
        return find(self.ctx, server_id)

    def bodies(self, instances: list[Instance]) -> list[dict]:
        ids = [instance.pk for instance in instances]
        addresses, groups = reads.addresses_of(ids), reads.groups_of(ids)
        return [
            server_body(self, row, addresses.get(str(row.pk), []), groups.get(str(row.pk), []))
            for row in instances
        ]


def find(ctx, server_id: str) -> Instance:
    """The instance that `ctx` may see, administrators of every project; deleted ones are gone."""
    rows = Instance.objects.select_related("host")
    rows = rows.exclude(status=Instance.Status.DELETED) if ctx.is_admin else rows.visible_to(ctx)
    try:
        return rows.get(pk=server_id)
    except (Instance.DoesNotExist, ValidationError, ValueError):
        raise NotFound(f"Instance {server_id} could not be found.") from None


class Servers(ServerView):
    detailed = False
    is_list = True

    def get(self, request):
        enforce(self.ctx, "os_compute_api:servers:index")
        rows = self._filtered(request.query_params)
        page, more = self._page(rows, request)
        body: dict = {
            "servers": self.bodies(page) if self.detailed else [server_brief(self, row) for row in page]
        }
        if more:
            body["servers_links"] = [{"rel": "next", "href": next_link(request, str(page[-1].pk))}]
        return Response(body)

    def _filtered(self, query):
        ctx = self.ctx
        changes = "changes-since" in query or "changes-before" in query
        everyone = ctx.is_admin and truth(query.get("all_tenants", query.get("all_projects", "0")) or "1")
        wants_deleted = ctx.is_admin and truth(query.get("deleted", "0"), "deleted")
        if everyone:
            rows = Instance.objects.all()
            if not (changes or wants_deleted):
                rows = rows.exclude(status=Instance.Status.DELETED)
        else:
            rows = Instance.objects.visible_to(ctx, deleted=changes or wants_deleted)
        if wants_deleted:
            rows = rows.filter(status=Instance.Status.DELETED)
        rows = rows.select_related("host").defer(*UNSEEN)
        for key in query:
            values = query.getlist(key)
            rows = self._filter(rows, key, values)
        return rows

    def _filter(self, rows, key: str, values: list[str]):
        value = values[-1]
        if key == "name":
            return rows.filter(name__regex=_pattern(value))
        if key in ("status", "vm_state"):
            wanted = [
                ours
                for ours, (wire, _, _) in WIRE.items()
                if wire in {v.upper() for v in values} or operations.vm_state(Instance(status=ours)) in values
            ]
            return rows.filter(status__in=wanted)
        if key == "image":
            return rows.filter(image_id__in=_uuids(values))
        if key == "flavor":
            return rows.filter(flavor_id__in=values)
        if key in ("ip", "ip6"):
            ports = Port.objects.exclude(status=NetworkStatus.DELETING)
            ports = ports.filter(
                Q(fixed_ips__address__regex=_pattern(value)) | Q(floating_ips__address__regex=_pattern(value))
            )
            return rows.filter(pk__in=_uuids(ports.values_list("device_id", flat=True)))
        if key in ("changes-since", "changes-before"):
            operator = "gte" if key == "changes-since" else "lte"
            return rows.filter(**{f"updated_at__{operator}": _time(value, key)})
        if key in ("tags", "not-tags", "tags-any", "not-tags-any") and self.mv >= 26:
            return _by_tags(rows, key, value.split(","))
        if key == "locked" and self.mv >= 73:
            return rows.filter(locked=truth(value, "locked"))
        if key in ("uuid",):
            return rows.filter(pk__in=_uuids(values))
        exact = {"reservation_id", "key_name", "availability_zone", "hostname", "user_id", "description"}
        if key in exact:
            return rows.filter(**{f"{key}__in": values})
        if key == "config_drive":
            return rows.filter(config_drive=truth(value, key))
        if key in ("project_id", "tenant_id") and self.ctx.is_admin:
            return rows.filter(project_id__in=values)
        if key in ("host", "node", "hypervisor_hostname") and self.ctx.is_admin:
            return rows.filter(host__name__in=values)
        if key in PAGING or key in ("all_tenants", "all_projects", "deleted") or self.mv < 75:
            return rows  # below 2.75 what is not known is passed over
        if key in ADMIN_ONLY:
            return rows
        raise CloudError(f"Invalid input for query parameters {key}: Additional properties are not allowed.")

    def _page(self, rows, request):
        query = request.query_params
        keys, directions = query.getlist("sort_key"), query.getlist("sort_dir")
        sort = []
        for index, key in enumerate(keys or ["created_at"]):
            if key not in SORT_KEYS:
                raise CloudError(f"Sort key supplied is invalid: {key}")
            direction = (
                directions[index] if index < len(directions) else ("asc" if keys and directions else "desc")
            )
            if direction not in ("asc", "desc"):
                raise CloudError(f"Sort direction supplied is invalid: {direction}")
            sort.append(("-" if direction == "desc" else "") + SORT_KEYS[key])
        sort.append("-id" if sort[-1].startswith("-") else "id")
        raw = query.get("limit", "")
        if raw and not raw.isdigit():
            raise CloudError(f"Invalid input for query parameters limit. Value: {raw}. It must be 0 or more.")
        limit = min(int(raw or 0) or CAP, CAP)
        rows = rows.order_by(*sort)
        if query.get("marker"):
            rows = after(rows, query["marker"], sort)
        page = list(rows[: limit + 1])
        return page[:limit], len(page) > limit

    def post(self, request):
        body = self.only(self.body(), {"server", "os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"})
        hints = body.get("os:scheduler_hints") or body.get("OS-SCH-HNT:scheduler_hints")
        arguments, wants_reservation = launch.parse(self, self.body("server"), hints)
        made = operations.create_instance(self.ctx, **arguments)
        if wants_reservation:
            return Response({"reservation_id": made[0].reservation_id}, status=202)
        first = made[0]
        groups = arguments["security_groups"]
        server = {
            "id": str(first.pk),
            "links": self.links(f"servers/{first.pk}"),
            "OS-DCF:diskConfig": first.disk_config,
            "security_groups": [{"name": group.name} for group in groups]
            if groups
            else [{"name": "default"}],
            "adminPass": arguments["admin_pass"],
        }
        return Response(
            {"server": server}, status=202, headers={"Location": f"{self.root}/servers/{first.pk}"}
        )


class ServersDetail(Servers):
    detailed = True
    http_method_names = ["get", "head", "options"]


PAGING = {"limit", "marker", "sort_key", "sort_dir"}
ADMIN_ONLY = {"host", "node", "project_id", "tenant_id", "hypervisor_hostname"}


def _pattern(value: str) -> str:
    """A regular expression that is no work for the database, which on SQLite is this process.

    What repeats may hold nothing that repeats, and at most three things may repeat.
    """
    try:
        re.compile(value)
    except re.error:
        raise CloudError(f"Invalid regular expression: {value}") from None
    plain = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "x", value)
    if len(value) > 255 or re.search(r"\)[*+?{]", plain) or len(re.findall(r"[*+{]", plain)) > 3:
        raise CloudError(f"The regular expression {value[:40]} is more than a filter may ask for.")
    return value


def _uuids(values) -> list[str]:
    return [v for v in values if re.fullmatch(r"[0-9a-fA-F-]{32,36}", str(v))]


def _time(value: str, key: str) -> datetime:
    parsed = parse_datetime(value.replace(" ", "+")) if value else None
    if parsed is None and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        parsed = parse_datetime(f"{value}T00:00:00")
    if parsed is None:
        raise CloudError(
            f"Invalid input for query parameters {key}. Value: {value}. '{value}' is not a 'date-time'"
        )
    return parsed if timezone.is_aware(parsed) else parsed.replace(tzinfo=timezone.get_default_timezone())


def _by_tags(rows, key: str, tags: list[str]):
    """Tags are few and JSON looks differ between databases, so they are compared here."""
    wanted = set(tags)
    test = {
        "tags": lambda have: wanted <= have,
        "tags-any": lambda have: bool(wanted & have),
        "not-tags": lambda have: not wanted <= have,
        "not-tags-any": lambda have: not wanted & have,
    }[key]
    keep = [pk for pk, have in rows.values_list("pk", "tags") if test(set(have))]
    return rows.filter(pk__in=keep)


class Server(ServerView):
    def get(self, request, server_id):
        enforce(self.ctx, "os_compute_api:servers:show")
        return Response({"server": self.bodies([self.instance(server_id)])[0]})

    def put(self, request, server_id):
        instance = self.instance(server_id)
        known = {"name", "accessIPv4", "accessIPv6", "OS-DCF:diskConfig"}
        known |= {"description"} if self.mv >= 19 else set()
        known |= {"hostname"} if self.mv >= 90 else set()
        asked = self.only(self.body("server"), known, "server")
        fields: dict = {}
        if "name" in asked:
            fields["name"] = text(asked["name"], "name")
        if "accessIPv4" in asked:
            fields["access_ipv4"] = launch.address(asked["accessIPv4"], 4)
        if "accessIPv6" in asked:
            fields["access_ipv6"] = launch.address(asked["accessIPv6"], 6)
        if "OS-DCF:diskConfig" in asked:
            fields["disk_config"] = launch.disk_config(asked["OS-DCF:diskConfig"])
        if "description" in asked:
            fields["description"] = text(asked["description"], "description")
        if "hostname" in asked:
            fields["hostname"] = launch._hostname(asked["hostname"]) or instance.hostname
        operations.update_instance(self.ctx, instance=instance, **fields)
        return Response({"server": self.bodies([instance])[0]})

    def delete(self, request, server_id):
        operations.delete_instance(self.ctx, instance=self.instance(server_id))
        return Response(status=204)


class ServerAction(ServerView):
    """POST /servers/{id}/action: one key names the action."""

    def post(self, request, server_id):
        body = self.body()
        if len(body) != 1:
            raise CloudError("Malformed request body: exactly one action is expected.")
        name, argument = next(iter(body.items()))
        instance = self.instance(server_id)
        handler = self.actions.get(name)
        if handler is None:
            raise CloudError(f"There is no such action: {name}")
        return handler(self, instance, argument)

    def _start(self, instance, argument):
        operations.start_instance(self.ctx, instance=instance)
        return Response(status=202)

    def _stop(self, instance, argument):
        operations.stop_instance(self.ctx, instance=instance)
        return Response(status=202)

    def _reboot(self, instance, argument):
        kind = text(whole(argument, "reboot", dict).get("type"), "type").upper()
        if kind not in ("SOFT", "HARD"):
            raise CloudError("Invalid input for field/attribute type: SOFT or HARD.")
        operations.reboot_instance(self.ctx, instance=instance, hard=kind == "HARD")
        return Response(status=202)

    def _lock(self, instance, argument):
        reason = text(whole(argument, "lock", dict).get("locked_reason"), "locked_reason")
        reason = reason if self.mv >= 73 else ""
        operations.lock_instance(self.ctx, instance=instance, reason=reason)
        return Response(status=202)

    def _unlock(self, instance, argument):
        operations.unlock_instance(self.ctx, instance=instance)
        return Response(status=202)

    def _delete(self, instance, argument):
        operations.delete_instance(self.ctx, instance=instance)
        return Response(status=202)

    def _console_output(self, instance, argument):
        length = whole(argument, "os-getConsoleOutput", dict).get("length")
        if length not in (None, -1, "-1") and not str(length).isdigit():
            raise CloudError("Invalid input for field/attribute length: a whole number is needed.")
        lines = None if length in (None, -1, "-1") else int(length)
        return Response({"output": consoles.console_log(self.ctx, instance, lines)})

    def _vnc_console(self, instance, argument):
        if self.mv >= 6:
            raise CloudError("There is no such action: os-getVNCConsole")
        kind = text(whole(argument, "os-getVNCConsole", dict).get("type", "novnc"), "type")
        url = RemoteConsoles.url(self, instance, "vnc", kind)
        return Response({"console": {"type": kind, "url": url}})

    actions = {
        "os-start": _start,
        "os-stop": _stop,
        "reboot": _reboot,
        "lock": _lock,
        "unlock": _unlock,
        "forceDelete": _delete,
        "os-getConsoleOutput": _console_output,
        "os-getVNCConsole": _vnc_console,
    }


class RemoteConsoles(ServerView):
    """POST /servers/{id}/remote-consoles: a URL that opens one console once."""

    since = 6
    KINDS = {("vnc", "novnc"): consoles.SCREEN, ("serial", "serial"): consoles.SERIAL}

    def post(self, request, server_id):
        asked = self.only(self.body("remote_console"), {"protocol", "type"}, "remote_console")
        protocol, kind = (text(asked.get(key), key) for key in ("protocol", "type"))
        url = self.url(self, self.instance(server_id), protocol, kind)
        return Response({"remote_console": {"protocol": protocol, "type": kind, "url": url}})

    @staticmethod
    def url(view, instance: Instance, protocol, kind) -> str:
        ours = RemoteConsoles.KINDS.get((protocol, kind))
        if ours is None:
            raise CloudError(f"Unavailable console type {kind}. There are novnc (vnc) and serial (serial).")
        ticket = consoles.issue(view.ctx, instance, ours)
        return base_url(view.request) + consoles.page_path(ours, ticket)


class ServerMetadata(ServerView):
    def get(self, request, server_id):
        return Response({"metadata": self.instance(server_id).metadata})

    def post(self, request, server_id):
        instance = self.instance(server_id)
        merged = instance.metadata | self.body("metadata")
        return Response({"metadata": operations.set_metadata(self.ctx, instance=instance, metadata=merged)})

    def put(self, request, server_id):
        new = self.body("metadata")
        instance = self.instance(server_id)
        return Response({"metadata": operations.set_metadata(self.ctx, instance=instance, metadata=new)})


class ServerMetadataItem(ServerView):
    def _known(self, instance: Instance, key: str) -> str:
        if key not in instance.metadata:
            raise NotFound("Metadata item was not found")
        return instance.metadata[key]

    def get(self, request, server_id, key):
        return Response({"meta": {key: self._known(self.instance(server_id), key)}})

    def put(self, request, server_id, key):
        meta = self.body("meta")
        if list(meta) != [key]:
            raise CloudError("Request body and URI mismatch")
        instance = self.instance(server_id)
        operations.set_metadata(self.ctx, instance=instance, metadata=instance.metadata | meta)
        return Response({"meta": meta})

    def delete(self, request, server_id, key):
        instance = self.instance(server_id)
        self._known(instance, key)
        rest = {k: v for k, v in instance.metadata.items() if k != key}
        operations.set_metadata(self.ctx, instance=instance, metadata=rest)
        return Response(status=204)


class ServerAddresses(ServerView):
    def get(self, request, server_id, label=""):
        instance = self.instance(server_id)
        body = addresses_body(reads.addresses_of([instance.pk]).get(str(instance.pk), []))
        for entries in body.values():
            for entry in entries:
                entry.pop("OS-EXT-IPS:type")
                entry.pop("OS-EXT-IPS-MAC:mac_addr")
        if not label:
            return Response({"addresses": body})
        if label not in body:
            raise NotFound("Network name not found")
        return Response({label: body[label]})


class ServerSecurityGroups(ServerView):
    def get(self, request, server_id):
        instance = self.instance(server_id)
        ports = Port.objects.filter(device_id=str(instance.pk)).exclude(status=NetworkStatus.DELETING)
        groups = (
            SecurityGroup.objects.filter(ports__in=ports).distinct().prefetch_related("rules__remote_group")
        )
        return Response({"security_groups": [self._body(group) for group in groups]})

    def _body(self, group: SecurityGroup) -> dict:
        return {
            "id": str(group.pk),
            "name": group.name,
            "description": group.description,
            "tenant_id": group.project_id,
            "rules": [self._rule(rule) for rule in group.rules.all() if rule.direction == "ingress"],
        }

    def _rule(self, rule) -> dict:
        remote = rule.remote_group
        return {
            "id": str(rule.pk),
            "parent_group_id": str(rule.group_id),
            "ip_protocol": rule.protocol or None,
            "from_port": rule.port_min,
            "to_port": rule.port_max,
            "ip_range": {"cidr": rule.remote_prefix} if rule.remote_prefix else {},
            "group": {"name": remote.name, "tenant_id": remote.project_id} if remote else {},
        }
