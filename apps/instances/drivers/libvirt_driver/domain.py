"""The libvirt domain of a guest, as XML, and our names for what libvirt says of it."""

import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt

from apps.instances.drivers.base import GuestSpec, GuestState, Nic, Power
from apps.instances.drivers.libvirt_driver.ports import BRIDGE

NAMESPACE = "urn:cloudpanel"
OFFLOADS = {
    "host": ("csum", "gso", "tso4", "tso6", "ecn", "ufo"),
    "guest": ("csum", "tso4", "tso6", "ecn", "ufo"),
}
POWER = {
    libvirt.VIR_DOMAIN_RUNNING: Power.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: Power.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: Power.RUNNING,  # on its way down
    libvirt.VIR_DOMAIN_PAUSED: Power.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: Power.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: Power.OFF,
    libvirt.VIR_DOMAIN_CRASHED: Power.CRASHED,
}
REASONS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: "shutdown",
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: "destroyed",
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: "crashed",
}

ET.register_namespace("cloudpanel", NAMESPACE)


def name_of(uuid: str) -> str:
    """The domain's name, which is our mark: a domain named after its own uuid like this is ours."""
    return f"cp-{uuid}"


def is_ours(domain: libvirt.virDomain) -> bool:
    return domain.name() == name_of(domain.UUIDString())


def guest_state(uuid: str, state: int, reason: int) -> GuestState:
    power = POWER.get(state, Power.OFF)
    if power != Power.OFF:
        return GuestState(uuid, power)
    word = REASONS.get(reason, "")
    return GuestState(uuid, Power.CRASHED if word == "crashed" else Power.OFF, word)


def domain_xml(
    spec: GuestSpec,
    *,
    files: Path,
    base: tuple[Path, str],
    virt_type: str,
    userspace_datapath: bool,
) -> str:
    """`files` is the guest's directory; `base` path and format of what its disk stands on."""
    domain = ET.Element("domain", type=virt_type)
    _add(domain, "name", name_of(spec.uuid))
    _add(domain, "uuid", spec.uuid)
    instance = _add(_add(domain, "metadata"), f"{{{NAMESPACE}}}instance")
    printable = "".join(char for char in spec.name if char.isprintable())  # XML cannot hold the rest
    _add(instance, f"{{{NAMESPACE}}}name", printable)
    _add(instance, f"{{{NAMESPACE}}}project", spec.project)
    _add(domain, "memory", str(spec.memory_mib), unit="MiB")
    _add(domain, "vcpu", str(spec.vcpus))
    _add_firmware(domain, spec)
    _add_processor(domain, virt_type)
    _add(domain, "clock", offset="utc")
    _add(domain, "on_poweroff", "destroy")
    _add(domain, "on_reboot", "restart")
    _add(domain, "on_crash", "destroy")

    devices = _add(domain, "devices")
    _add_disk(devices, files / "disk.qcow2", base)
    if spec.config_drive is not None:
        _add_config_drive(devices, files / "config.iso")
    for nic in spec.nics:
        devices.append(interface_of(nic, userspace_datapath))
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=str(files / "console.log"), append="off")
    channel = _add(devices, "channel", type="unix")
    _add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    _add(_add(devices, "graphics", type="vnc"), "listen", type="none")
    _add(_add(devices, "video"), "model", type="vga", vram="16384")
    # An absolute pointer, so that the browser's and the guest's agree; USB's costs an idle emulated CPU much.
    _add(devices, "input", type="tablet", bus="usb" if virt_type == "kvm" else "virtio")
    if virt_type != "kvm":
        _add(devices, "controller", type="usb", model="none")
    _add(devices, "memballoon", model="virtio")
    _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    return ET.tostring(domain, encoding="unicode")


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _add_firmware(domain: ET.Element, spec: GuestSpec) -> None:
    os = _add(domain, "os")
    _add(os, "type", "hvm", arch="x86_64", machine="pc")
    _add(os, "boot", dev="hd")
    _add(os, "smbios", mode="sysinfo")
    system = _add(_add(domain, "sysinfo", type="smbios"), "system")
    # cloud-init looks for this product before it asks the metadata service.
    for key, value in (
        ("manufacturer", "CloudPanel"),
        ("product", "OpenStack Nova"),
        ("serial", spec.uuid),
        ("uuid", spec.uuid),
        ("family", "Virtual Machine"),
    ):
        _add(system, "entry", value, name=key)


def _add_processor(domain: ET.Element, virt_type: str) -> None:
    features = _add(domain, "features")
    _add(features, "acpi")
    if virt_type == "kvm":
        _add(domain, "cpu", mode="host-model")
        return
    # Translated code of small guests fits; QEMU's own default costs 30 MiB more for each.
    _add(_add(features, "tcg"), "tb-cache", "32", unit="MiB")
    # x86-64-v2, which current enterprise distributions demand; emulated, so the host need not have it.
    cpu = _add(domain, "cpu", mode="custom", match="exact", check="none")
    _add(cpu, "model", "Nehalem", fallback="forbid")


def _add_disk(devices: ET.Element, path: Path, base: tuple[Path, str]) -> None:
    disk = _add(devices, "disk", type="file", device="disk")
    _add(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    _add_source(disk, path)
    # The whole chain is named, so that nothing is probed: a guest can write a qcow2 header into a raw disk.
    backing = _add(disk, "backingStore", type="file")
    _add(backing, "format", type=base[1])
    _add_source(backing, base[0])
    _add(backing, "backingStore")
    _add(disk, "target", dev="vda", bus="virtio")


def _add_config_drive(devices: ET.Element, path: Path) -> None:
    disk = _add(devices, "disk", type="file", device="cdrom")
    _add(disk, "driver", name="qemu", type="raw")
    _add_source(disk, path)
    _add(disk, "target", dev="hda", bus="ide")
    _add(disk, "readonly")


def _add_source(disk: ET.Element, path: Path) -> None:
    """A file whose owner libvirt leaves alone, whatever its configuration: a base stays root's."""
    _add(_add(disk, "source", file=str(path)), "seclabel", model="dac", relabel="no")


def interface_of(nic: Nic, userspace_datapath: bool) -> ET.Element:
    interface = ET.Element("interface", type="bridge")
    _add(interface, "mac", address=nic.mac)
    _add(interface, "source", bridge=BRIDGE)
    plug = _add(interface, "virtualport", type="openvswitch")
    _add(plug, "parameters", interfaceid=nic.port)
    _add(interface, "model", type="virtio")
    if userspace_datapath:
        # A switch in user space does not finish checksums that a guest leaves to the hardware.
        driver = _add(interface, "driver", name="qemu")
        for side, offloads in OFFLOADS.items():
            _add(driver, side, **dict.fromkeys(offloads, "off"))
    _add(interface, "mtu", size=str(nic.mtu))
    return interface
