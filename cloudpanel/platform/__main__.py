"""`python -m cloudpanel.platform VERB`: what the Makefile's run, up, down, status, image and clean call."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

from cloudpanel import config
from cloudpanel.platform import clean, engines, host
from cloudpanel.platform.children import Children
from cloudpanel.platform.lock import become_the_supervisor, stop_supervisor, supervisor_pid
from cloudpanel.platform.logs import Log
from cloudpanel.platform.supervisor import STATUS, CannotStart, Supervisor

READY = "\x04ready"  # last line that a detached supervisor says
SHOWN = config.SECRETS / "passwords.shown"


def run(report: int | None = None) -> int:
    """Start everything and stay; `report`: we are detached, and lines for people go to this file descriptor."""
    os.chdir(config.ROOT)
    os.umask(0o022)
    host.storage()
    if not become_the_supervisor():
        print("CloudPanel runs already: see `make status`; `make down` stops it.")
        return 1
    audience = os.fdopen(report, "w", buffering=1) if report else sys.stdout
    log = Log(config.STATE / "log/supervisor.log")

    def say(line: str) -> None:
        log.write(line)
        if not audience.closed:
            print(line, file=audience, flush=True)

    def show(name: str, line: str) -> None:
        if not report:
            print(f"{name:<10} | {line}", flush=True)

    def ready() -> None:
        print(welcome(), file=audience, flush=True)  # not into the log: there may be passwords in it
        if report:
            print(READY, file=audience)
            audience.close()

    try:
        asyncio.run(Supervisor(engines.table(), say, show).run(ready))
    except CannotStart as error:
        say(f"CloudPanel cannot start: {error}")
        return 1
    return 0


def up() -> int:
    """A detached supervisor runs and all is ready; its own output is in var/log/supervisor.log."""
    if supervisor_pid():
        return status()
    host.storage()
    reading, writing = os.pipe()
    with open(config.STATE / "log/supervisor.log", "a") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "cloudpanel.platform", "run", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            start_new_session=True,
            cwd=config.ROOT,
        )
    os.close(writing)
    ready = False
    try:
        with os.fdopen(reading) as lines:
            for line in lines:
                ready = line.startswith(READY)
                if not ready:
                    print(line, end="", flush=True)
    except KeyboardInterrupt:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
    return 0 if ready else 1


def down() -> int:
    """No supervisor runs, nor anything that it started; guests go on running."""
    if not supervisor_pid():
        print("CloudPanel does not run.")
        return 0
    if not stop_supervisor():
        print(f"The supervisor (pid {supervisor_pid()}) has not ended; see {config.STATE}/log.")
        return 1
    print("CloudPanel is stopped.")
    return 0


def status() -> int:
    """Asks each process whether it is ready now; 0 only if all are."""
    if not supervisor_pid():
        print("CloudPanel does not run: `make run` or `make up` starts it.")
        return 1
    known = json.loads(STATUS.read_text())
    table = {p.name: p for p in engines.table()}
    ready = asyncio.run(_ask_all(table, known))
    print(f"{'process':<15} {'pid':>7} {'uptime':>10} {'restarts':>8}  state")
    for name, row in known.items():
        state = row["state"]
        if name in ready and not ready[name] and state in ("ready", "elsewhere"):
            state = "does not answer"
        uptime = _duration(time.time() - row["since"]) if row["pid"] else "-"
        print(f"{name:<15} {row['pid'] or '-':>7} {uptime:>10} {row['restarts']:>8}  {state}")
    good = all(row["state"] in ("ready", "elsewhere", "done") for row in known.values()) and all(
        ready.values()
    )
    return 0 if good else 1


async def _ask_all(table: dict[str, engines.Process], known: dict) -> dict[str, bool]:
    children = Children()
    asked = [name for name, row in known.items() if name in table and row["state"] in ("ready", "elsewhere")]
    answers = await asyncio.gather(*(table[name].ready(children, known[name]["pid"]) for name in asked))
    return dict(zip(asked, answers, strict=True))


def image() -> int:
    """The demo image exists."""
    host.storage()
    if engines.GUEST_IMAGE.exists():
        return 0
    print("Building the demo image ...", flush=True)
    return subprocess.run(engines.GUEST_BUILD, check=False).returncode


def welcome() -> str:
    """Where to go now; passwords only the first time."""
    lines = [f"CloudPanel: http://{config.LISTEN}"]
    if config.COMPUTE == "fake":
        lines[0] += "  (fake hypervisor and network: nothing here is real)"
    passwords = config.SECRETS / "passwords.json"
    if passwords.exists() and not SHOWN.exists():
        lines += [f"  {name:<8} {password}" for name, password in json.loads(passwords.read_text()).items()]
        lines += [f"  (shown once; kept in {passwords})"]
        SHOWN.touch()
    else:
        lines += [f"  names and passwords: {passwords}"]
    lines += [f"  openstack client:    . {path}" for path in sorted(config.STATE.glob("openrc-*.sh"))]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}:{minutes:02}" if days else f"{hours}:{minutes:02}:{seconds:02}"


def as_root() -> None:
    """Go on as root, unless the engines are fake."""
    if os.geteuid() and config.COMPUTE != "fake":
        settings = ",".join(name for name in os.environ if name.startswith("CLOUDPANEL_") or name == "YES")
        os.execvp("sudo", ["sudo", f"--preserve-env={settings}", *sys.orig_argv])  # noqa: S606


VERBS = {"run": run, "up": up, "down": down, "status": status, "image": image, "clean": clean.clean}

if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    as_root()
    sys.exit(VERBS[verb](*map(int, arguments)))
