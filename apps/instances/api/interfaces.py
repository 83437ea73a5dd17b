"""/servers/{id}/os-interface of compute v2.1."""

from rest_framework.response import Response

from apps.core.errors import CloudError, Conflict, NotFound
from apps.core.policy import enforce
from apps.instances import interfaces
from apps.instances.api.nova import text, whole
from apps.instances.api.servers import ServerView
from apps.instances.models import Instance
from apps.networks import operations as networks
from apps.networks.models import Network, Port


class Interfaces(ServerView):
    """GET and POST /servers/{id}/os-interface."""

    def get(self, request, server_id):
        instance = self.instance(server_id)
        enforce(self.ctx, "os_compute_api:os-attach-interfaces:list", instance)
        return Response({"interfaceAttachments": [self._body(port) for port in ports_of(instance)]})

    def post(self, request, server_id):
        instance = self.instance(server_id)
        known = {"net_id", "port_id", "fixed_ips"} | ({"tag"} if self.mv >= 49 else set())
        asked = self.only(self.body("interfaceAttachment"), known, "interfaceAttachment")
        net_id, port_id = text(asked.get("net_id"), "net_id"), text(asked.get("port_id"), "port_id")
        fixed_ip = _fixed_ip(asked.get("fixed_ips"))
        if net_id and port_id:
            raise CloudError("Must not input both network_id and port_id")
        if fixed_ip and not net_id:
            raise CloudError("Must input network_id when request IP address")
        if text(asked.get("tag"), "tag", 60):
            raise CloudError("Tagged network interface attachment is not supported for this server instance.")
        port = network = None
        if port_id:
            port = self._found(Port, port_id, "Port id")
        elif net_id:
            network = self._found(Network, net_id, "Network")
        else:
            network = self._only_network()
        port = interfaces.attach_interface(
            self.ctx, instance=instance, network=network, port=port, fixed_ip=fixed_ip
        )
        return Response({"interfaceAttachment": self._body(port)})

    def _found(self, model, pk: str, word: str):
        try:
            return model.objects.get_for(self.ctx, pk)
        except NotFound:
            raise NotFound(f"{word} {pk} could not be found.") from None

    def _only_network(self) -> Network:
        try:
            return networks.default_network(self.ctx)
        except (NotFound, Conflict) as why:
            raise CloudError(why.message) from None

    def _body(self, port: Port) -> dict:
        body = {
            "port_state": port.status,
            "port_id": str(port.pk),
            "net_id": str(port.network_id),
            "mac_addr": port.mac_address,
            "fixed_ips": [
                {"subnet_id": str(fixed.subnet_id), "ip_address": fixed.address}
                for fixed in port.fixed_ips.all()
            ],
        }
        if self.mv >= 70:
            body["tag"] = None
        return body


class Interface(Interfaces):
    """GET and DELETE /servers/{id}/os-interface/{port}."""

    http_method_names = ["get", "head", "delete", "options"]

    def get(self, request, server_id, port_id):
        instance = self.instance(server_id)
        enforce(self.ctx, "os_compute_api:os-attach-interfaces:show", instance)
        return Response({"interfaceAttachment": self._body(_port_of(instance, port_id))})

    def delete(self, request, server_id, port_id):
        instance = self.instance(server_id)
        interfaces.detach_interface(self.ctx, instance=instance, port=_port_of(instance, port_id))
        return Response(status=202)


def ports_of(instance: Instance) -> list[Port]:
    return networks.ports_of([instance.pk]).get(str(instance.pk), [])


def _port_of(instance: Instance, port_id: str) -> Port:
    for port in ports_of(instance):
        if str(port.pk) == port_id:
            return port
    raise NotFound(f"Instance {instance.pk} does not have port {port_id}.")


def _fixed_ip(value) -> str:
    """The address of [{"ip_address"}], of which there is one at most; "" for none."""
    asked = whole(value, "fixed_ips", list)
    if len(asked) > 1:
        raise CloudError("Invalid input for field/attribute fixed_ips. One address is enough.")
    for item in asked:
        item = whole(item, "fixed_ips", dict)
        if set(item) != {"ip_address"} or not text(item["ip_address"], "ip_address"):
            raise CloudError("Invalid input for field/attribute fixed_ips. 'ip_address' is needed.")
        return item["ip_address"]
    return ""
