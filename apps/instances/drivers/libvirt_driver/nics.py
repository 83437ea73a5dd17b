"""The cards of a domain, in the running guest (AFFECT_LIVE) and in its definition (AFFECT_CONFIG)."""

import xml.etree.ElementTree as ET

import libvirt

from apps.instances.drivers.base import Nic
from apps.instances.drivers.libvirt_driver.domain import interface_of

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


def match(domain: libvirt.virDomain, nics: tuple[Nic, ...], userspace_datapath: bool, affect: int) -> None:
    """Cards that are missing are there; those that are too many were asked to go, see `surplus`."""
    for interface in surplus(domain, nics, affect):
        domain.detachDeviceFlags(ET.tostring(interface, encoding="unicode"), affect)
    present = _cards(domain, affect)
    for nic in nics:
        if nic.port not in present:
            xml = ET.tostring(interface_of(nic, userspace_datapath), encoding="unicode")
            domain.attachDeviceFlags(xml, affect)


def surplus(domain: libvirt.virDomain, nics: tuple[Nic, ...], affect: int) -> list[ET.Element]:
    """The cards, as libvirt describes them, that are none of `nics`."""
    wanted = {nic.port for nic in nics}
    return [interface for port, interface in _cards(domain, affect).items() if port not in wanted]


def _cards(domain: libvirt.virDomain, affect: int) -> dict[str, ET.Element]:
    """{uuid of the logical port: card}."""
    described = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if affect == CONFIG else 0)
    interfaces = ET.fromstring(described).iterfind("devices/interface")  # noqa: S314
    return {card.find("virtualport/parameters").get("interfaceid"): card for card in interfaces}
