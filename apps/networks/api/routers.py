"""What is asked of one router beyond its attributes: interfaces and single routes."""

from django.db import transaction
from rest_framework.response import Response

from apps.core.errors import CloudError
from apps.networks import operations
from apps.networks.api.resources import PORTS, ROUTERS, SUBNETS
from apps.networks.api.resources.shared import fixed_ips
from apps.networks.api.views import NeutronView
from apps.networks.operations.common import parse_routes


class Interface(NeutronView):
    """PUT {"subnet_id"} or {"port_id"}: the router is there, or there no more."""

    resource = ROUTERS
    ask = None

    @transaction.atomic
    def put(self, request, pk):
        body, router = self.body(), self.found(pk)
        places = {"subnet": SUBNETS, "port": PORTS}
        unknown = sorted(set(body) - {f"{name}_id" for name in places})
        if unknown or not any(body.values()):
            raise CloudError("Invalid body: either subnet_id or port_id is expected.", kind="BadRequest")
        given = {
            name: resource.reference(self.ctx, body[f"{name}_id"], f"{name}_id")
            for name, resource in places.items()
            if body.get(f"{name}_id")
        }
        port = type(self).ask(self.ctx, router=router, **given)
        subnets = [address["subnet_id"] for address in fixed_ips(port)]
        return Response(
            {
                "id": str(router.pk),
                "tenant_id": router.project_id,
                "project_id": router.project_id,
                "port_id": str(port.pk),
                "network_id": str(port.network_id),
                "subnet_id": subnets[0] if subnets else None,
                "subnet_ids": subnets,
                "tags": port.tags,
            }
        )


class AddInterface(Interface):
    ask = staticmethod(operations.add_router_interface)


class RemoveInterface(Interface):
    ask = staticmethod(operations.remove_router_interface)


class ExtraRoutes(NeutronView):
    """PUT {"router": {"routes": [...]}}: the router has these routes too, or these no more."""

    resource = ROUTERS
    remove = False

    @transaction.atomic
    def put(self, request, pk):
        given, router = self.body("router"), self.found(pk)
        if not isinstance(given.get("routes"), list):
            raise CloudError("Invalid body: {'router': {'routes': [...]}} is expected.", kind="BadRequest")
        routes = parse_routes(given["routes"], "routes")
        kept = [route for route in router.routes if route not in routes]
        operations.update_router(self.ctx, router=router, routes=kept if self.remove else kept + routes)
        return Response({"router": self.rendered(ROUTERS.get(self.ctx, pk))})


class RemoveExtraRoutes(ExtraRoutes):
    remove = True
