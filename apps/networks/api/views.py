"""The paths of a resource: its collection, one of it, its tags."""

from django.db import transaction
from rest_framework.response import Response

from apps.core.api import ServiceView
from apps.core.errors import CloudError, Conflict, NotFound, QuotaExceeded
from apps.core.lifecycle import lock
from apps.core.policy import enforce
from apps.networks import operations
from apps.networks.api.listing import Page, filtered
from apps.networks.api.wire import Resource

TYPES = {  # our words for what every service refuses, in Neutron's
    "badRequest": "HTTPBadRequest",
    "forbidden": "PolicyNotAuthorized",
    "itemNotFound": "HTTPNotFound",
    "conflictingRequest": "Conflict",
    "overQuota": "OverQuota",
    "badMethod": "HTTPMethodNotAllowed",
    "badMediaType": "HTTPUnsupportedMediaType",
    "overLimit": "HTTPRequestEntityTooLarge",
    "serviceUnavailable": "ServiceUnavailable",
    "computeFault": "HTTPInternalServerError",
}


class NeutronView(ServiceView):
    resource: Resource | None = None

    def error_body(self, error: CloudError) -> dict:
        kind = TYPES.get(error.kind, error.kind)
        if kind == "HTTPNotFound" and self.resource:
            kind = self.resource.missing
        return {"NeutronError": {"type": kind, "message": error.message, "detail": ""}}

    def refusal(self, error: CloudError) -> Response:
        if isinstance(error, QuotaExceeded):
            numbers = "; ".join(
                f"{name}: {n['asked']} asked, {n['used']} of {n['limit']} used"
                for name, n in error.data.items()
            )
            over = Conflict(
                f"Quota exceeded for resources: {sorted(error.data)}. ({numbers})",
                kind=error.kind,
                data=error.data,
            )
            return super().refusal(over)
        return super().refusal(error)

    def rendered(self, row):
        return self.resource.renderer(self.ctx, self.request.query_params.getlist("fields"))(row)

    def found(self, pk):
        """The row, shown to nobody who may not see it; 412 when If-Match names another revision."""
        row = self.resource.get(self.ctx, pk)
        wanted = self.request.headers.get("If-Match", "")
        if wanted and self.request.method != "GET":
            lock(row)
            if wanted.strip('" ').removeprefix("revision_number=") != str(row.revision):
                error = CloudError(
                    f"Constrained to {wanted}, but current revision is {row.revision}",
                    kind="RevisionNumberConstraintFailed",
                )
                error.status = 412
                raise error
        return row


class Collection(NeutronView):
    def get(self, request):
        resource = self.resource
        enforce(self.ctx, f"get_{resource.name}")
        resource.look(self.ctx)
        rows = filtered(resource, resource.related(resource.visible(self.ctx)), request.query_params)
        page = Page(resource, rows, request)
        render = resource.renderer(self.ctx, request.query_params.getlist("fields"))
        body = {resource.collection: [render(row) for row in page.rows]}
        if links := page.links():
            body[f"{resource.collection}_links"] = links
        return Response(body)

    @transaction.atomic
    def post(self, request):
        """One, or with the plural key several, all or none."""
        resource, body = self.resource, self.body()
        several = body.get(resource.collection)
        if several is None:
            made = self._create(self.body(resource.name))
            return Response({resource.name: self.rendered(resource.get(self.ctx, made.pk))}, status=201)
        if not isinstance(several, list) or not all(isinstance(one, dict) for one in several):
            raise CloudError(f"Malformed request body: '{resource.collection}' is a list of objects.")
        made = [self._create(one) for one in several]
        rows = {
            row.pk: row
            for row in resource.related(resource.visible(self.ctx)).filter(pk__in=[m.pk for m in made])
        }
        return Response({resource.collection: [self.rendered(rows[m.pk]) for m in made]}, status=201)

    def _create(self, body: dict):
        return self.resource.create(self.ctx, **self.resource.arguments(self.ctx, body, "POST"))


class Item(NeutronView):
    def get(self, request, pk):
        enforce(self.ctx, f"get_{self.resource.name}")
        return Response({self.resource.name: self.rendered(self.found(pk))})

    @transaction.atomic
    def put(self, request, pk):
        if self.resource.update is None:
            self.http_method_not_allowed(request)
        row = self.found(pk)
        body = {
            key: value for key, value in self.body(self.resource.name).items() if key != "revision_number"
        }
        arguments = self.resource.arguments(self.ctx, body, "PUT")
        if arguments:
            self.resource.update(self.ctx, row, **arguments)
        return Response({self.resource.name: self.rendered(self.resource.get(self.ctx, pk))})

    @transaction.atomic
    def delete(self, request, pk):
        self.resource.delete(self.ctx, self.found(pk))
        return Response(status=204)


class Tags(NeutronView):
    """GET, PUT and DELETE of all tags of one thing."""

    def get(self, request, pk):
        enforce(self.ctx, f"get_{self.resource.name}")
        return Response({"tags": self.found(pk).tags})

    @transaction.atomic
    def put(self, request, pk):
        tags = self.body().get("tags")
        if not isinstance(tags, list):
            raise CloudError("Invalid tags body: {'tags': [...]} is expected.", kind="HTTPBadRequest")
        row = operations.set_tags(self.ctx, obj=self.found(pk), tags=tags)
        return Response({"tags": row.tags})

    @transaction.atomic
    def delete(self, request, pk):
        operations.set_tags(self.ctx, obj=self.found(pk), tags=[])
        return Response(status=204)


class Tag(NeutronView):
    """One tag of one thing: GET and DELETE 204, PUT 201."""

    def _missing(self, tag: str) -> NotFound:
        return NotFound(f"Tag {tag} could not be found.", kind="TagNotFound")

    def get(self, request, pk, tag):
        enforce(self.ctx, f"get_{self.resource.name}")
        if tag not in self.found(pk).tags:
            raise self._missing(tag)
        return Response(status=204)

    @transaction.atomic
    def put(self, request, pk, tag):
        row = lock(self.found(pk))
        operations.set_tags(self.ctx, obj=row, tags=[*row.tags, tag])
        return Response(status=201)

    @transaction.atomic
    def delete(self, request, pk, tag):
        row = lock(self.found(pk))
        if tag not in row.tags:
            raise self._missing(tag)
        operations.set_tags(self.ctx, obj=row, tags=[other for other in row.tags if other != tag])
        return Response(status=204)


class NotServed(NeutronView):
    """Every path that Neutron has and we do not, or nobody has."""

    public = True

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise NotFound("The resource could not be found.")
