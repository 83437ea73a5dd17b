"""The name servers that guests get where their subnet names none."""

import ipaddress
from pathlib import Path

from cloudpanel import config

FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")  # the second: behind a resolver on loopback


def resolvers() -> list[str]:
    """`CLOUDPANEL_DNS`, or else this machine's own name servers that a guest can reach; none on a machine without."""
    if config.DNS:
        return [server.strip() for server in config.DNS.split(",") if server.strip()]
    for file in map(Path, FILES):
        if file.exists() and (found := _reachable(file.read_text())):
            return found
    return []


def _reachable(text: str) -> list[str]:
    found = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            try:
                address = ipaddress.ip_address(words[1].split("%")[0])
            except ValueError:
                continue
            if not address.is_loopback and not address.is_link_local:
                found.append(str(address))
    return found
