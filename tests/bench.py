"""Measure the running cloud and print one table, ours beside the bars. Over TCP, with the product's own processes.

CLOUDPANEL_COMPUTE=fake python -m tests.stack python -m tests.bench
"""

import asyncio
import os
import re
import sqlite3
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
import websockets

from tests.cloud import URL, Cloud

FAKE = os.environ.get("CLOUDPANEL_COMPUTE") == "fake"
REAL_SERVERS = 3  # guests that are launched one after the other with the real engines


class Bench:
    def __init__(self, cloud: Cloud):
        self.cloud = cloud
        self.rows: list[tuple[str, str, str, str]] = []
        self.admin = self.token("admin")
        self.demo = self.token("demo")
        self.http = self.session(self.demo)

    def token_body(self, user: str) -> dict:
        person = {"name": user, "domain": {"id": "default"}, "password": self.cloud.passwords[user]}
        scope = {"project": {"name": user, "domain": {"id": "default"}}}
        return {"auth": {"identity": {"methods": ["password"], "password": {"user": person}}, "scope": scope}}

    def token(self, user: str) -> str:
        answer = requests.post(f"{URL}/identity/v3/auth/tokens", json=self.token_body(user), timeout=30)
        answer.raise_for_status()
        self.project = answer.json()["token"]["project"]["id"]
        return answer.headers["X-Subject-Token"]

    def session(self, token: str) -> requests.Session:
        session = requests.Session()
        session.headers.update({"X-Auth-Token": token, "Accept-Encoding": "identity"})
        session.headers["OpenStack-API-Version"] = "compute 2.96"
        return session

    def row(self, measure: str, value: float | str, unit: str, bar: str, n: int) -> None:
        shown = value if isinstance(value, str) else f"{value:.1f}" if value < 100 else f"{value:.0f}"
        self.rows.append((measure, f"{shown} {unit}", bar, f"n={n}"))
        print(f"{measure:<52} {shown + ' ' + unit:>14}   bar {bar:<16} n={n}", flush=True)

    def timed(self, measure: str, bar: str, call, n: int = 30, warm: int = 3) -> float:
        """The median in ms of `n` calls after `warm` ones."""
        for _ in range(warm):
            call()
        times = []
        for _ in range(n):
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1000)
        median = statistics.median(times)
        self.row(measure, median, "ms", bar, n)
        return median

    def get(self, path: str, session=None) -> requests.Response:
        answer = (session or self.http).get(URL + path, timeout=60)
        answer.raise_for_status()
        return answer

    # --- what is measured ---------------------------------------------------------------------------

    def tokens(self) -> None:
        body = self.token_body("demo")
        again = {
            "auth": {
                "identity": {"methods": ["token"], "token": {"id": self.demo}},
                "scope": body["auth"]["scope"],
            }
        }
        path = f"{URL}/identity/v3/auth/tokens"
        session = self.session(self.demo)

        def post(body):
            session.post(path, json=body, timeout=30).raise_for_status()

        self.timed("token by password (argon2id, OWASP)", "<= 90 ms", lambda: post(body), n=15)
        self.timed("token from a token", "<= 4 ms", lambda: post(again))
        headers = {"X-Subject-Token": self.demo}
        self.timed("token validated", "<= 3 ms", lambda: session.get(path, headers=headers, timeout=30))

    def lists(self) -> None:
        self.timed("list flavors", "<= 4 ms", lambda: self.get("/compute/v2.1/flavors/detail"))
        self.timed("list images", "<= 4 ms", lambda: self.get("/image/v2/images"))
        self.timed("list networks", "<= 6 ms", lambda: self.get("/network/v2.0/networks"))

    def launch_body(self, name: str) -> dict:
        image = self.get("/image/v2/images").json()["images"][0]["id"]
        flavors = self.get("/compute/v2.1/flavors").json()["flavors"]
        flavor = next(f["id"] for f in flavors if f["name"] == "m1.nano")
        server = {"name": name, "imageRef": image, "flavorRef": flavor, "networks": "auto"}
        return {"server": server}

    def post_server(self, body: dict, session=None) -> str:
        answer = (session or self.http).post(f"{URL}/compute/v2.1/servers", json=body, timeout=120)
        answer.raise_for_status()
        return answer.json()["server"]["id"]

    def wait(self, wanted: set[str], status: str, seconds: float = 180) -> None:
        """Until the servers have the status ("" for gone), asked of the list."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            rows = self.get("/compute/v2.1/servers/detail").json()["servers"]
            have = {row["id"]: row["status"] for row in rows}
            if status and all(have.get(i) == status for i in wanted):
                return
            if not status and not wanted & have.keys():
                return
            if any(have.get(i) == "ERROR" for i in wanted):
                sys.exit(
                    f"a server is in ERROR: {[r.get('fault') for r in rows if r['status'] == 'ERROR'][:1]}"
                )
            time.sleep(0.02 if FAKE else 0.25)
        sys.exit(f"not {status or 'gone'} within {seconds} s")

    def launches(self) -> None:
        body = self.launch_body("bench")
        accepted, active, gone = [], [], []
        steps: dict[str, list[float]] = {}
        for _ in range(10 if FAKE else REAL_SERVERS):
            start = time.perf_counter()
            server = self.post_server(body)
            accepted.append((time.perf_counter() - start) * 1000)
            self.wait_one(server, "ACTIVE")
            active.append((time.perf_counter() - start) * 1000)
            for step, seconds in self.steps(server).items():
                steps.setdefault(step, []).append(seconds * 1000)
            start = time.perf_counter()
            self.http.delete(f"{URL}/compute/v2.1/servers/{server}", timeout=60).raise_for_status()
            self.wait_one(server, "")
            gone.append((time.perf_counter() - start) * 1000)
        n = len(accepted)
        self.row("POST server -> 202", statistics.median(accepted), "ms", "<= 20 ms", n)
        bar = "<= 150 ms" if FAKE else "QEMU's own + 300 ms"
        self.row("POST server -> ACTIVE", statistics.median(active), "ms", bar, n)
        for step, times in steps.items():
            self.row(f"  of it, until {step}", statistics.median(times), "ms", "-", len(times))
        self.row("DELETE -> 404", statistics.median(gone), "ms", "-", n)

    def steps(self, server: str) -> dict[str, float]:
        """{step of the boot: seconds from the request to it}; read from the records, which are SQLite here."""
        with sqlite3.connect(f"file:{self.cloud.state}/cloudpanel.sqlite3?mode=ro", uri=True) as records:
            rows = records.execute(
                "SELECT instances_bootstep.step, (julianday(at) - julianday(created_at)) * 86400 FROM instances_bootstep "
                "JOIN instances_instance ON instances_instance.id = instance_id WHERE instance_id = ? ORDER BY at",
                (server.replace("-", ""),),
            )
            return dict(rows.fetchall())

    def wait_one(self, server: str, status: str) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            answer = self.http.get(f"{URL}/compute/v2.1/servers/{server}", timeout=60)
            if answer.status_code == 404 and not status:
                return
            if answer.ok and answer.json()["server"]["status"] == status:
                return
            time.sleep(0.01)
        sys.exit(f"{server} not {status or 'gone'} within 120 s")

    def hundred(self) -> set[str]:
        limits = {"quota_set": {"instances": 2000, "cores": -1, "ram": -1}}
        admin = self.session(self.admin)
        admin.put(
            f"{URL}/compute/v2.1/os-quota-sets/{self.project}", json=limits, timeout=30
        ).raise_for_status()
        network = {"quota": {"port": -1}}
        admin.put(f"{URL}/network/v2.0/quotas/{self.project}", json=network, timeout=30).raise_for_status()
        body = self.launch_body("many")
        cpu = self.cpu()
        start = time.perf_counter()
        with ThreadPoolExecutor(100) as pool:
            made = set(pool.map(lambda _: self.post_server(body, self.session(self.demo)), range(100)))
        self.wait(made, "ACTIVE")
        self.row("100 at once -> all ACTIVE", time.perf_counter() - start, "s", "<= 8 s", 1)
        self.made_cpu = self.cpu() - cpu
        return made

    def delete(self, servers: set[str]) -> None:
        cpu = self.cpu()
        start = time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            path = f"{URL}/compute/v2.1/servers"
            list(pool.map(lambda i: self.http.delete(f"{path}/{i}", timeout=60), servers))
        self.wait(servers, "")
        self.row("100 deleted, 8 at a time -> all gone", time.perf_counter() - start, "s", "<= 5 s", 1)
        total = self.made_cpu + self.cpu() - cpu
        self.row("server CPU per server made and deleted", total / len(servers), "s", "<= 0.1 s", 1)

    def details(self) -> None:
        self.timed(
            "servers/detail, 100 servers, 1 client",
            "<= 20 ms",
            lambda: self.get("/compute/v2.1/servers/detail"),
            20,
        )
        end = time.monotonic() + 8
        done = []

        def client(_):
            session = self.session(self.demo)
            count = 0
            while time.monotonic() < end:
                self.get("/compute/v2.1/servers/detail", session)
                count += 1
            done.append(count)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(client, range(8)))
        self.row("servers/detail, 100 servers, 8 clients", sum(done) / 8, "/s", ">= 90 /s", sum(done))

    # --- the portal ---------------------------------------------------------------------------------

    def log_in(self) -> requests.Session:
        page = requests.Session()
        form = page.get(f"{URL}/login", timeout=30)
        fields = {"csrfmiddlewaretoken": page.cookies["cloudpanel_csrf"]}
        action = re.search(r'<form[^>]*action="([^"]*)"', form.text)
        names = set(re.findall(r'name="([^"]+)"', form.text))
        fields |= {
            "name" if "name" in names else "username": "demo",
            "password": self.cloud.passwords["demo"],
        }
        fields["domain"] = "Default"
        headers = {"Referer": f"{URL}/login", "Origin": URL}
        url = URL + action[1] if action and action[1] else f"{URL}/login"
        answer = page.post(url, data=fields, headers=headers, timeout=30)
        if not page.cookies.get("cloudpanel"):
            sys.exit(f"log-in failed: {answer.status_code}")
        return page

    def pages(self, n_rows: int) -> None:
        page = self.log_in()
        per_page = 50 if n_rows <= 50 else 100
        bar = "<= 40 ms" if n_rows <= 20 else "<= 80 ms"
        self.timed(
            f"Instances page, {n_rows} rows",
            bar,
            lambda: self.get(f"/instances/?per_page={per_page}", page),
            15,
        )
        self.timed("Overview page", "<= 50 ms (1,000)", lambda: self.get("/", page), 15)

    def pushed(self, server: str, n: int = 10) -> None:
        """From the answer of a lock or unlock to the message in an open page's socket."""
        page = self.log_in()
        cookies = "; ".join(f"{c.name}={c.value}" for c in page.cookies)
        headers = {"Cookie": cookies, "Origin": URL}

        async def measure() -> list[float]:
            times = []
            address = URL.replace("http", "ws") + "/ws/live"
            async with websockets.connect(address, additional_headers=headers) as socket:
                await asyncio.sleep(1)
                for turn in range(n):
                    body = {"lock": None} if turn % 2 == 0 else {"unlock": None}
                    start = time.perf_counter()
                    await asyncio.to_thread(
                        self.http.post, f"{URL}/compute/v2.1/servers/{server}/action", json=body, timeout=30
                    )
                    while True:
                        message = await asyncio.wait_for(socket.recv(), 5)
                        if server in message:
                            break
                    times.append((time.perf_counter() - start) * 1000)
            return times

        times = asyncio.run(measure())
        self.row("change asked -> told to the open page", statistics.median(times), "ms", "<= 200 ms", n)

    # --- size ---------------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """Every process of the cloud's supervisor but guests."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            is_ours = re.search(r"cloudpanel|celery|redis-server|libvirtd|ovs|ovn|multiprocessing", line)
            if is_ours and not re.search(r"tests\.|qemu-system|unshare", line):
                found.append(int(entry.name))
        return found

    def cpu(self) -> float:
        """Seconds of processor time that the cloud's processes have used."""
        ticks = 0
        for pid in self.processes():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def size(self, bar: str, label: str) -> None:
        total = 0
        for pid in self.processes():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])
        self.row(f"memory, PSS, {label}", total / 1024, "MiB", bar, len(self.processes()))

    def idle(self, seconds: int = 30) -> None:
        before = self.cpu()
        time.sleep(seconds)
        self.row("idle CPU, of one core", (self.cpu() - before) / seconds * 100, "%", "<= 1.5 %", 1)


def main() -> None:
    bench = Bench(Cloud(Path(os.environ["CLOUDPANEL_STACK"])))
    engines = "fake engines" if FAKE else "libvirt (software emulation) and OVN"
    print(f"{engines}, SQLite, 2 web workers, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    bench.size("<= 512 MiB", "fresh")
    bench.idle()
    bench.tokens()
    bench.lists()
    bench.launches()
    if FAKE:
        made = bench.hundred()
        bench.details()
        bench.pages(100)
        bench.pushed(next(iter(made)))
        bench.delete(made)
        bench.size("<= 717 MiB", "used")


if __name__ == "__main__":
    main()
