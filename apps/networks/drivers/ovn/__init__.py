"""The network engine OVN, driven through its northbound database."""

from apps.networks.drivers.ovn.driver import OvnDriver
from apps.networks.drivers.ovn.events import watch

__all__ = ["OvnDriver", "watch"]
