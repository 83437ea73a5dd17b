"""`python -m cloudpanel.platform.units DIRECTORY`: the table of processes as systemd units, written there.

For a machine that runs CloudPanel all the time: hypervisor and network are its distribution's own units, which
these wait for and set up; ours are started, watched and restarted by systemd in the supervisor's place.
`python -m cloudpanel.platform.units wait NAME PID` is how a unit waits until its process is really ready.
"""

import asyncio
import os
import sys
from pathlib import Path

from cloudpanel import config
from cloudpanel.platform import engines
from cloudpanel.platform.children import Children
from cloudpanel.platform.engines import Process
from cloudpanel.platform.supervisor import ENVIRONMENT

DISTRIBUTION = {
    "libvirtd": "libvirtd.service",
    "ovsdb-server": "ovsdb-server.service",
    "ovs-vswitchd": "ovs-vswitchd.service",
    "ovn-nb": "ovn-ovsdb-server-nb.service",
    "ovn-sb": "ovn-ovsdb-server-sb.service",
    "ovn-northd": "ovn-northd.service",
    "ovn-controller": "ovn-controller.service",
}
SET_UP_BY_US = ("libvirtd", "ovs-vswitchd")
TARGET = "cloudpanel.target"
SOCKET = "cloudpanel-portal.socket"


def units() -> dict[str, str]:
    """File names and contents."""
    table = engines.table()
    ours = {p.name: f"cloudpanel-{p.name}.service" for p in table}
    files = {
        ours[p.name]: _service(p, ours) for p in table if p.name not in DISTRIBUTION or p.name in SET_UP_BY_US
    }
    files[SOCKET] = _text(
        {"Description": "CloudPanel: the portal's address", "PartOf": TARGET},
        Socket={"ListenStream": config.LISTEN, "Service": ours["web1"]},
    )
    everything = " ".join(sorted(files))
    files[TARGET] = _text(
        {"Description": "CloudPanel", "Wants": everything}, Install={"WantedBy": "multi-user.target"}
    )
    return files


def _service(process: Process, ours: dict[str, str]) -> str:
    needs = [
        ours[name]
        for name in process.needs
        if name not in DISTRIBUTION or name in ("libvirtd", "ovs-vswitchd")
    ]
    needs += [DISTRIBUTION[name] for name in process.needs if name in DISTRIBUTION]
    settings = {name: value for name, value in os.environ.items() if name.startswith("CLOUDPANEL_")}
    service: dict[str, str | list[str]] = {
        "WorkingDirectory": str(config.ROOT),
        "Environment": [f'"{name}={value}"' for name, value in sorted((ENVIRONMENT | settings).items())],
    }
    if process.name in DISTRIBUTION:
        needs = [DISTRIBUTION[process.name]]
        service |= {"Type": "oneshot", "RemainAfterExit": "yes", "ExecStart": _command(process.settle)}
    elif process.once:
        service |= {"Type": "oneshot", "RemainAfterExit": "yes", "ExecStart": _command(process.argv)}
    else:
        if process.listens:
            service["Sockets"] = SOCKET
            service["Environment"] += ['"CLOUDPANEL_LISTEN_FD=3"']
            needs.append(SOCKET)
        wait = (sys.executable, "-m", "cloudpanel.platform.units", "wait", process.name, "$MAINPID")
        service |= {
            "Type": "exec",
            "ExecStartPre": [_command(process.prepare)] if process.prepare else [],
            "ExecStart": _command(process.argv),
            "ExecStartPost": _command(wait),
            "Restart": "always",
            "RestartSec": "0.5",
            "TimeoutStartSec": f"{process.patience:.0f}",
            "TimeoutStopSec": "10",
            "LimitNOFILE": "65536",
        }
    unit = {"Description": f"CloudPanel: {process.name}", "PartOf": TARGET}
    if needs:
        unit |= {"Wants": " ".join(needs), "After": " ".join(needs)}
    return _text(unit, Service=service)


def _command(argv: tuple[str, ...]) -> str:
    return " ".join(f'"{word}"' if " " in word or not word else word for word in argv)


def _text(unit: dict, **sections: dict) -> str:
    lines = []
    for section, entries in {"Unit": unit, **sections}.items():
        lines.append(f"[{section}]")
        for key, value in entries.items():
            lines += [f"{key}={one}" for one in (value if isinstance(value, list) else [value])]
        lines.append("")
    return "\n".join(lines)


async def wait(name: str, pid: int) -> None:
    """Returns once the process is ready; systemd bounds it."""
    process = next(p for p in engines.table() if p.name == name)
    children = Children()
    while not await process.ready(children, pid):
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    if sys.argv[1] == "wait":
        asyncio.run(wait(sys.argv[2], int(sys.argv[3])))
    else:
        for file, content in units().items():
            (Path(sys.argv[1]) / file).write_text(content)
