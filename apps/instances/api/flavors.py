"""/flavors and /os-keypairs of compute v2.1."""

import re
import uuid

from django.db import IntegrityError, transaction
from rest_framework.response import Response

from apps.core import events
from apps.core.api import next_link, paginate, truth
from apps.core.errors import CloudError, Conflict, NotFound
from apps.core.policy import enforce
from apps.instances import keypairs
from apps.instances.api.bodies import flavor_body, keypair_body
from apps.instances.api.nova import NovaView, text
from apps.instances.models import Flavor, Keypair


class Flavors(NovaView):
    detailed = False

    def get(self, request):
        query = request.query_params
        rows = self._visible(query)
        for key, field in (("minRam", "ram__gte"), ("minDisk", "disk__gte")):
            if query.get(key):
                if not query[key].isdigit():
                    raise CloudError(f"Invalid {key} filter [{query[key]}]")
                rows = rows.filter(**{field: int(query[key])})
        sort = query.get("sort_key", "flavorid")
        fields = {
            "flavorid": "id",
            "id": "id",
            "name": "name",
            "memory_mb": "ram",
            "vcpus": "vcpus",
            "root_gb": "disk",
        }
        if sort not in fields:
            raise CloudError(f"Sort key supplied is invalid: {sort}")
        prefix = "-" if query.get("sort_dir", "asc") == "desc" else ""
        order = tuple(dict.fromkeys((prefix + fields[sort], prefix + "id")))
        page, marker = paginate(rows, request, sort=order)
        body: dict = {"flavors": [flavor_body(self, f) if self.detailed else self._brief(f) for f in page]}
        if marker:
            body["flavors_links"] = [{"rel": "next", "href": next_link(request, marker)}]
        return Response(body)

    def _visible(self, query):
        """Public ones and those the project may use; administrators choose with is_public (None: all)."""
        wish = query.get("is_public", "")
        if not self.ctx.is_admin:
            return Flavor.objects.visible_to(self.ctx).filter(disabled=False)
        if wish.lower() == "none":
            return Flavor.objects.all()
        return Flavor.objects.filter(is_public=truth(wish or "true", "is_public"))

    def _brief(self, flavor: Flavor) -> dict:
        body = {"id": flavor.pk, "name": flavor.name, "links": self.links(f"flavors/{flavor.pk}")}
        if self.mv >= 55:
            body["description"] = flavor.description or None
        return body

    def post(self, request):
        enforce(self.ctx, "os_compute_api:os-flavor-manage:create")
        known = {
            "name",
            "id",
            "ram",
            "vcpus",
            "disk",
            "swap",
            "rxtx_factor",
            "OS-FLV-EXT-DATA:ephemeral",
            "os-flavor-access:is_public",
        }
        known |= {"description"} if self.mv >= 55 else set()
        asked = self.only(self.body("flavor"), known, "flavor")
        name = text(asked.get("name"), "name").strip()
        if not name:
            raise CloudError("Flavor name must have 1 to 255 characters.")
        key = asked.get("id")
        flavor = Flavor(
            id=str(uuid.uuid4()) if key in (None, "auto", "") else _flavor_id(key),
            name=name,
            description=text(asked.get("description"), "description", 65535),
            ram=_number(asked, "ram", 1),
            vcpus=_number(asked, "vcpus", 1),
            disk=_number(asked, "disk", 0),
            swap=_number(asked, "swap", 0, 0),
            ephemeral=_number(asked, "OS-FLV-EXT-DATA:ephemeral", 0, 0),
            rxtx_factor=_factor(asked.get("rxtx_factor")),
            is_public=truth(asked.get("os-flavor-access:is_public", True), "is_public"),
        )
        if flavor.swap or flavor.ephemeral:
            raise CloudError("Swap and ephemeral disks are not offered; set them to 0.")
        try:
            with transaction.atomic():
                flavor.save(force_insert=True)
                events.record(flavor, "create", by=self.ctx)
        except IntegrityError:
            raise Conflict(f"Flavor with name {name} or ID {flavor.pk} already exists.") from None
        return Response({"flavor": flavor_body(self, flavor)})


def _flavor_id(key) -> str:
    """A number is taken as its digits, as clients send it."""
    digits = isinstance(key, int) and not isinstance(key, bool)
    found = text(str(key) if digits else key, "id").strip()
    if not re.fullmatch(r"[\w. -]+", found):
        raise CloudError("Invalid input for field/attribute id: letters, digits, '_', '.', '-' and spaces.")
    return found


def _number(asked: dict, key: str, least: int, default: int | None = None) -> int:
    value = asked.get(key, default)
    value = default if value == "" and default is not None else value
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise CloudError(f"Invalid input for field/attribute {key}. A whole number is needed.") from None
    if not least <= number <= 2**31 - 1:
        raise CloudError(
            f"Invalid input for field/attribute {key}. Value: {number}. It must be {least} or more."
        )
    return number


def _factor(value) -> float:
    try:
        return float(value or 1)
    except (TypeError, ValueError):
        raise CloudError("Invalid input for field/attribute rxtx_factor. A number is needed.") from None


class FlavorsDetail(Flavors):
    detailed = True
    http_method_names = ["get", "head", "options"]


class FlavorItem(NovaView):
    def flavor(self, flavor_id: str) -> Flavor:
        rows = Flavor.objects if self.ctx.is_admin else Flavor.objects.visible_to(self.ctx)
        flavor = rows.filter(pk=flavor_id).first()
        if flavor is None:
            raise NotFound(f"Flavor {flavor_id} could not be found.")
        return flavor

    def get(self, request, flavor_id):
        return Response({"flavor": flavor_body(self, self.flavor(flavor_id))})

    def put(self, request, flavor_id):
        if self.mv < 55:
            raise NotFound("The resource could not be found.")
        enforce(self.ctx, "os_compute_api:os-flavor-manage:create")
        flavor = self.flavor(flavor_id)
        asked = self.only(self.body("flavor"), {"description"}, "flavor")
        flavor.description = text(asked.get("description"), "description", 65535)
        with transaction.atomic():
            flavor.save(update_fields=["description"])
            events.record(flavor, "update", by=self.ctx)
        return Response({"flavor": flavor_body(self, flavor)})

    def delete(self, request, flavor_id):
        enforce(self.ctx, "os_compute_api:os-flavor-manage:delete")
        flavor = self.flavor(flavor_id)
        with transaction.atomic():
            events.record(flavor, "delete", by=self.ctx)
            flavor.delete()
        return Response(status=202)


class FlavorExtraSpecs(FlavorItem):
    http_method_names = ["get", "head", "options"]

    def get(self, request, flavor_id, key=""):
        specs = self.flavor(flavor_id).extra_specs
        if not key:
            return Response({"extra_specs": specs})
        if key not in specs:
            raise NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.")
        return Response({key: specs[key]})


class Keypairs(NovaView):
    def get(self, request):
        enforce(self.ctx, "os_compute_api:os-keypairs:index")
        rows = _keypairs_of(self.ctx, request, self.mv)
        marker, limit = request.query_params.get("marker"), request.query_params.get("limit", "")
        if limit and not limit.isdigit():
            raise CloudError("limit param must be an integer")
        if marker and self.mv >= 35:
            if not rows.filter(name=marker).exists():
                raise CloudError(f"marker [{marker}] not found")
            rows = rows.filter(name__gt=marker)
        cap = min(int(limit or 0) or 1000, 1000) if self.mv >= 35 else 1000
        page = list(rows.order_by("name")[: cap + 1])
        body: dict = {"keypairs": [{"keypair": keypair_body(self, pair)} for pair in page[:cap]]}
        if len(page) > cap and self.mv >= 35:
            body["keypairs_links"] = [{"rel": "next", "href": next_link(request, page[cap - 1].name)}]
        return Response(body)

    def post(self, request):
        known = {"name", "public_key"}
        known |= {"type"} if self.mv >= 2 else set()
        known |= {"user_id"} if self.mv >= 10 else set()
        asked = self.only(self.body("keypair"), known, "keypair")
        if asked.get("type", "ssh") != "ssh":
            raise CloudError("Key pairs of type ssh are offered, x509 are not.")
        if asked.get("user_id") not in (None, self.ctx.user_id):
            raise CloudError("A key pair is made by the user whose it is.")
        public_key = text(asked.get("public_key"), "public_key", 16384)
        if self.mv >= 92 and not public_key:
            raise CloudError("Invalid input for field/attribute keypair. 'public_key' is a required property")
        keypair, private = keypairs.create_keypair(
            self.ctx, name=text(asked.get("name"), "name"), public_key=public_key
        )
        body = keypair_body(self, keypair) | {"user_id": keypair.user_id}
        if private:
            body["private_key"] = private
        return Response({"keypair": body}, status=201 if self.mv >= 2 else 200)


class KeypairItem(NovaView):
    def _keypair(self, request, name: str) -> Keypair:
        keypair = _keypairs_of(self.ctx, request, self.mv).filter(name=name).first()
        if keypair is None:
            raise NotFound(f"Keypair {name} not found for user {self.ctx.user_id}")
        return keypair

    def get(self, request, name):
        return Response({"keypair": keypair_body(self, self._keypair(request, name), full=True)})

    def delete(self, request, name):
        keypairs.delete_keypair(self.ctx, keypair=self._keypair(request, name))
        return Response(status=204 if self.mv >= 2 else 202)


def _keypairs_of(ctx, request, mv: int):
    """The caller's own; an administrator's `user_id` names another's."""
    user = request.query_params.get("user_id")
    if user and user != ctx.user_id and mv >= 10:
        if not ctx.is_admin:
            raise NotFound("Keypairs of another user could not be found.")
        return Keypair.objects.filter(user_id=user)
    return Keypair.objects.visible_to(ctx)
