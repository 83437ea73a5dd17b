"""Version documents, and the catalogue as rows: /v3/regions, /v3/services, /v3/endpoints. All of it is read only."""

from rest_framework.response import Response

from apps.core.api import base_url
from apps.core.errors import NotFound
from apps.core.policy import enforce
from apps.projects import catalog
from apps.projects.api.base import IdentityView


def version(view: IdentityView) -> dict:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{view.root}/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


class Versions(IdentityView):
    public = True

    def get(self, request):
        body = {"versions": {"values": [version(self)]}}
        return Response(body, status=300, headers={"Location": f"{self.root}/"})


class Version(IdentityView):
    public = True

    def get(self, request):
        return Response({"version": version(self)})


class CatalogView(IdentityView):
    """Rows of the catalogue, all of them or the one that the path names."""

    key = plural = ""
    filters: tuple[str, ...] = ()

    def rows(self) -> list[dict]:
        raise NotImplementedError

    def get(self, request, id=None):
        rows = [row | {"links": self.link(f"{self.plural}/{row['id']}")} for row in self.rows()]
        if id is None:
            for name in self.filters:
                if name in request.query_params:
                    rows = [row for row in rows if str(row[name]) == request.query_params[name]]
            return Response(self.listed(self.plural, rows))
        for row in rows:
            if row["id"] == id:
                return Response({self.key: row})
        raise NotFound(f"Could not find {self.key}: {id}.")


class Regions(CatalogView):
    key, plural, filters = "region", "regions", ("parent_region_id",)

    def rows(self):
        return catalog.regions()


class Services(CatalogView):
    key, plural, filters = "service", "services", ("type", "name")

    def rows(self):
        enforce(self.ctx, "identity:get_service" if self.kwargs else "identity:list_services")
        return catalog.services()


class Endpoints(CatalogView):
    key, plural, filters = "endpoint", "endpoints", ("interface", "service_id", "region_id", "region")

    def rows(self):
        enforce(self.ctx, "identity:get_endpoint" if self.kwargs else "identity:list_endpoints")
        return catalog.endpoints(base_url(self.request))
