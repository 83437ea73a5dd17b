"""What a guest may know about itself: OpenStack's and EC2's metadata, over HTTP or on a config drive."""

import base64
import ipaddress
import secrets
from urllib.parse import unquote

import orjson

from apps.core.secrets import decrypt
from apps.instances import reads
from apps.instances.models import Instance
from apps.networks import operations as networks
from apps.networks.models import Port

OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "latest",
)
EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "latest",
)
DRIVE_EC2_VERSIONS = ("2009-04-04", "latest")
SEED = 512  # octets for the guest's random generator, new in each answer


def answer(instance: Instance, path: str) -> bytes | None:
    """The file at `path` ("/openstack/latest/meta_data.json"), or a directory's names, one a line; None: not there."""
    parts = [unquote(part) for part in path.split("?")[0].split("/") if part]
    if not parts:
        return "\n".join(EC2_VERSIONS).encode()
    if parts == ["openstack"]:
        return "\n".join(OPENSTACK_VERSIONS).encode()
    if parts[0] == "openstack":
        if parts[1] not in OPENSTACK_VERSIONS:
            return None
        return _find(openstack_files(instance), parts[2:])
    if parts[0] not in EC2_VERSIONS:
        return None
    return _find(_ec2_tree(instance), parts[1:])


def config_drive_files(instance: Instance) -> dict[str, bytes]:
    """{path: content} of the drive labelled `config-2`; it alone holds the administrator's password."""
    files = {}
    for name, content in openstack_files(instance, admin_pass=decrypt(instance.admin_pass)).items():
        if name != "password":
            files |= {f"openstack/{version}/{name}": content for version in OPENSTACK_VERSIONS}
    tree = _ec2_tree(instance)
    for version in DRIVE_EC2_VERSIONS:
        files[f"ec2/{version}/meta-data.json"] = orjson.dumps(_ec2_plain(tree["meta-data"]))
        if "user-data" in tree:
            files[f"ec2/{version}/user-data"] = tree["user-data"]
    return files


def openstack_files(instance: Instance, admin_pass: str = "") -> dict[str, bytes]:
    """{name: content} of one version's directory; all versions hold the same."""
    files = {
        "meta_data.json": orjson.dumps(_meta_data(instance, admin_pass)),
        "network_data.json": orjson.dumps(network_data(_ports(instance))),
        "password": instance.guest_password.encode(),
        "vendor_data.json": b"{}",
        "vendor_data2.json": b"{}",
    }
    if instance.user_data:
        files["user_data"] = base64.b64decode(instance.user_data)
    return files


def _meta_data(instance: Instance, admin_pass: str) -> dict:
    data = {
        "uuid": str(instance.pk),
        "name": instance.name,
        "hostname": instance.hostname,
        "availability_zone": _zone(instance),
        "launch_index": instance.launch_index,
        "project_id": instance.project_id,
        "meta": instance.metadata,
        "random_seed": base64.b64encode(secrets.token_bytes(SEED)).decode(),
        "devices": [],
        "dedicated_cpus": [],
    }
    if instance.public_key:
        name, key = instance.key_name, instance.public_key.strip()
        data["public_keys"] = {name: key}
        data["keys"] = [{"name": name, "type": "ssh", "data": key}]
    if admin_pass:
        data["admin_pass"] = admin_pass
    return data


def network_data(ports: list[Port]) -> dict:
    """The guest's links, the networks on them, and the name servers: for guests that configure themselves by it."""
    links, layers, services = [], [], []
    for port in ports:
        link = f"tap{str(port.pk)[:11]}"
        links.append(
            {
                "id": link,
                "vif_id": str(port.pk),
                "type": "ovs",
                "mtu": port.network.mtu,
                "ethernet_mac_address": port.mac_address,
            }
        )
        for fixed in port.fixed_ips.all():
            layer = {"id": f"network{len(layers)}", "link": link, "network_id": str(port.network_id)}
            servers = [{"type": "dns", "address": server} for server in fixed.subnet.dns_nameservers]
            layers.append(layer | _addressing(fixed, servers))
            services += [server for server in servers if server not in services]
    return {"links": links, "networks": layers, "services": services}


def _addressing(fixed, servers: list[dict]) -> dict:
    subnet = fixed.subnet
    if subnet.enable_dhcp:
        return {"type": f"ipv{subnet.ip_version}_dhcp"}
    everywhere = ipaddress.ip_network("0.0.0.0/0" if subnet.ip_version == 4 else "::/0")
    routes = [(everywhere, subnet.gateway_ip)] if subnet.gateway_ip else []
    routes += [(ipaddress.ip_network(r["destination"]), r["nexthop"]) for r in subnet.host_routes]
    return {
        "type": f"ipv{subnet.ip_version}",
        "ip_address": fixed.address,
        "netmask": str(ipaddress.ip_network(subnet.cidr).netmask),
        "routes": [
            {"network": str(to.network_address), "netmask": str(to.netmask), "gateway": via}
            for to, via in routes
        ],
        "services": servers,
    }


def _ec2_tree(instance: Instance) -> dict:
    """Nested directories; a list is a file of lines, and one with a name is shown as `0=name`."""
    addresses = [a for a in reads.addresses_of([instance.pk]).get(str(instance.pk), ()) if a.version == 4]
    groups = dict.fromkeys(reads.groups_of([instance.pk]).get(str(instance.pk), ()))
    data = {
        "ami-id": f"ami-{instance.image_id.hex[:8]}",
        "ami-launch-index": instance.launch_index,
        "ami-manifest-path": "",
        "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
        "hostname": instance.hostname,
        "instance-action": "none",
        "instance-id": f"i-{instance.pk.hex[:8]}",
        "instance-type": instance.flavor_name,
        "local-hostname": instance.hostname,
        "local-ipv4": next((a.address for a in addresses if not a.floating), ""),
        "placement": {"availability-zone": _zone(instance)},
        "product-codes": [],
        "public-hostname": instance.hostname,
        "public-ipv4": next((a.address for a in addresses if a.floating), ""),
        "reservation-id": instance.reservation_id,
        "security-groups": list(groups),
    }
    if instance.public_key:
        data["public-keys"] = {"0": {"_name": instance.key_name, "openssh-key": instance.public_key.strip()}}
    tree: dict = {"meta-data": data}
    if instance.user_data:
        tree["user-data"] = base64.b64decode(instance.user_data)
    return tree


def _ec2_plain(data: dict) -> dict:
    """The tree as JSON holds it: without the names for listings."""
    return {
        key: _ec2_plain(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if key != "_name"
    }


def _find(tree: dict, parts: list[str]) -> bytes | None:
    node = tree
    for part in parts:
        if not isinstance(node, dict) or part == "_name" or part not in node:
            return None
        node = node[part]
    match node:
        case bytes():
            return node
        case dict():
            return "\n".join(_entry(key, node[key]) for key in sorted(node) if key != "_name").encode()
        case list():
            return "\n".join(node).encode()
    return str(node).encode()


def _entry(key: str, value) -> str:
    if not isinstance(value, dict):
        return key
    return f"{key}={value['_name']}" if "_name" in value else f"{key}/"


def _ports(instance: Instance) -> list[Port]:
    return networks.ports_of([str(instance.pk)]).get(str(instance.pk), [])


def _zone(instance: Instance) -> str:
    return instance.host.availability_zone if instance.host else instance.availability_zone
