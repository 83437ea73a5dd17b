"""Guests on libvirt and QEMU, plugged into Open vSwitch."""

from apps.instances.drivers.libvirt_driver.driver import LibvirtDriver

__all__ = ["LibvirtDriver"]
