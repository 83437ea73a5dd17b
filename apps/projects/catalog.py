"""The catalogue: where each API that we serve is found. Ids are computed, so they never change."""

import functools
import uuid

from cloudpanel import config

_IDS = uuid.UUID("6f6b2a0e-7a43-4a1f-8a52-0b6d6a1c9d77")
INTERFACES = ("public", "internal", "admin")
SERVICES = (  # type, name, path below the caller's own base address, what it is
    ("identity", "keystone", "/identity/v3", "Users, projects, roles and tokens"),
    ("compute", "nova", "/compute/v2.1", "Instances, flavors and key pairs"),
    ("image", "glance", "/image", "Images"),
    ("network", "neutron", "/network", "Networks, routers, floating IPs and security groups"),
)


def _id(*parts: str) -> str:
    return uuid.uuid5(_IDS, ":".join(parts)).hex


@functools.lru_cache(maxsize=64)
def catalog(base: str) -> list[dict]:
    """The `catalog` of a token, with addresses below `base` ("http://host:port"). Shared: change nothing in it."""
    return [
        {
            "type": type,
            "id": _id(type),
            "name": name,
            "endpoints": [
                {
                    "id": _id(type, interface),
                    "interface": interface,
                    "region": config.REGION,
                    "region_id": config.REGION,
                    "url": base + path,
                }
                for interface in INTERFACES
            ],
        }
        for type, name, path, _ in SERVICES
    ]


def services() -> list[dict]:
    return [
        {"id": _id(type), "type": type, "name": name, "description": description, "enabled": True}
        for type, name, _, description in SERVICES
    ]


def endpoints(base: str) -> list[dict]:
    return [
        endpoint | {"service_id": service["id"], "enabled": True}
        for service in catalog(base)
        for endpoint in service["endpoints"]
    ]


def regions() -> list[dict]:
    return [{"id": config.REGION, "description": "", "parent_region_id": None}]
