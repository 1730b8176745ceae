#!/usr/bin/env python3
"""Measures build/kumactl with the load generator meshload and prints the figures as a Markdown table.

  bench.py --generator DIR [--proxies 10 100 1000] [--full] [--reps 5] [--out build/bench.md]

DIR is meshload's source; without it this says so and ends well. --full adds 5,000 proxies. Every measurement gets a fresh
control plane on a fresh store (on the disk that holds build/), loopback only. CPU seconds and bytes are the firm part.
"""
import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from conformance import ROOT, START, free_ports

KUMACTL = os.path.join(ROOT, "build", "kumactl")
MESHLOAD = os.path.join(ROOT, "build", "meshload")


class ControlPlane:
    """One control plane in a folder of its own, from its first answer to its end."""

    def __init__(self, dir):
        self.port = free_ports(8)
        self.api, self.dp = f"http://127.0.0.1:{self.port}", f"https://127.0.0.1:{self.port + 2}"
        self.log = open(os.path.join(dir, "log"), "ab")
        self.process = subprocess.Popen([START, str(self.port), dir], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(self.api + "/meshes/default", timeout=5).close()
                return
            except OSError as e:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    sys.exit(f"bench: the control plane does not answer ({e}):\n" + open(self.log.name).read()[-2000:])
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def meshload(self, out, verb, *args):
        """Runs the generator against this control plane and returns what it found."""
        print(f"bench: meshload {verb} {' '.join(args)}", file=sys.stderr, flush=True)
        subprocess.run([MESHLOAD, verb, "-api", self.api, "-dp-server", self.dp, "-pid", str(self.process.pid),
                        "-json", out, *args], check=True, stdout=sys.stderr)
        return load(out)


def load(path):
    with open(path) as f:
        return json.load(f)


def fresh(work, name):
    dir = os.path.join(work, name)
    os.makedirs(dir)
    return dir


def measure_xds(work, n, reps):
    dir = fresh(work, f"xds-{n}")
    with ControlPlane(dir) as cp:
        return cp.meshload(os.path.join(dir, "xds.json"), "xds", "-n", str(n), "-hold", "20s", "-reps", str(reps),
                           "-limit", "10m", "-changes", "hot,timeout")


def measure_api(work):
    """Writes alone and by 64 at once; leaves a store with 10,000 resources behind for the start."""
    dir = fresh(work, "api")
    with ControlPlane(dir) as cp:
        alone = cp.meshload(os.path.join(dir, "alone.json"), "api", "-n", "500", "-c", "1", "-pages", "1", "-gets", "1")
        crowd = cp.meshload(os.path.join(dir, "crowd.json"), "api", "-n", "10000", "-c", "64", "-keep")
    return alone, crowd, dir


def measure_cold(work, reps, full_dir):
    """Starts, on a fresh store and on one that is full: `reps` times each."""
    runs = {"fresh": [], "full": []}
    for i in range(reps):
        for kind in runs:
            dir = fresh(work, f"cold-{kind}-{i}")
            if kind == "full":
                shutil.copytree(os.path.join(full_dir, "data"), os.path.join(dir, "data"))
            port, out = free_ports(8), os.path.join(dir, "cold.json")
            # Without the shell script between: its milliseconds are not the control plane's.
            ports = {"API_SERVER_HTTP": port, "API_SERVER_HTTPS": port + 1, "DP_SERVER": port + 2, "DIAGNOSTICS_SERVER": port + 3}
            subprocess.run([MESHLOAD, "cold", "-api", f"http://127.0.0.1:{port}", "-idle", "2s", "-json", out, "--",
                            KUMACTL, "run", "control-plane", "--data-dir", os.path.join(dir, "data")], check=True, stdout=sys.stderr,
                           env={**os.environ, **{f"KUMA_{name}_PORT": str(p) for name, p in ports.items()}})
            runs[kind].append(load(out))
    return runs


# A process begins with the peak memory of the one that started it, so a small one has to: bare Python has 9 MB, this one more.
VERSION = """
import os, sys
for _ in range(int(sys.argv[2])):
    quiet = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    pid = os.posix_spawn(sys.argv[1], [sys.argv[1], "version"], {"HOME": "/nonexistent"}, file_actions=[quiet])
    usage = os.wait4(pid, 0)[2]
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024))
"""


def measure_version(reps=21):
    """CPU milliseconds (median) and peak memory in MB of `kumactl version` without a server to ask."""
    out = subprocess.run([sys.executable, "-I", "-S", "-c", VERSION, KUMACTL, str(reps)], check=True, capture_output=True, text=True).stdout
    runs = [[float(word) for word in line.split()] for line in out.splitlines()]
    return 1000 * statistics.median(cpu for cpu, _ in runs), max(rss for _, rss in runs)


def mb(kib):
    return kib / 1024


def change(result, kind):
    return next(c for c in result["Changes"] if c["Kind"] == kind)


def phase(result, name):
    return next(p for p in result["Phases"] if p["Name"] == name)


def table(xds, alone, crowd, cold, version):
    """The rows: figure, measured."""
    rows = []
    for n, r in xds.items():
        missing = r["NotReady"] + r["NotConverged"]
        rows.append((f"{n:,} proxies to full configuration, CPU of the control plane",
                     f"{r['AtReady']['CPU'] - r['Start']['CPU']:.2f} s (all after {r['AllReady']:.2f} s"
                     + (f"; {missing} never" if missing else "") + ")"))
        rows.append((f"resident memory after that, {n:,}", f"{mb(r['AtConv']['RSS']):.0f} MB"))
        for kind, words in (("hot", "one more replica"), ("timeout", "one changed policy")):
            c = change(r, kind)
            rows.append((f"{words}: seen by {c['Consumers']:,} proxies, p50 / p99; the last, median of {c['Reps']}",
                         f"{c['Seen']['P50']:.1f} / {c['Seen']['P99']:.1f} ms; {c['Last']['P50']:.1f} ms"
                         + (f"; {c['Missing']} never" if c["Missing"] else "")))
        rows.append((f"CPU at rest with {n:,} proxies", f"{100 * r['HoldCPU']:.2f} % of a core"))
    median = lambda kind, key: statistics.median(r[key] for r in cold[kind])
    rows.append(("idle, empty: resident memory", f"{mb(statistics.median(r['Idle5']['RSS'] for r in cold['fresh'])):.1f} MB"))
    rows.append((f"start to the first 200, fresh store / 10,000 resources, median of {len(cold['fresh'])}",
                 f"{median('fresh', 'FirstHTTP'):.0f} ms / {median('full', 'FirstHTTP'):.0f} ms"))
    rows.append((f"SIGTERM to the end, median of {len(cold['full'])}", f"{median('full', 'Stop'):.0f} ms"))
    one, many = phase(alone, "PUT create"), phase(crowd, "PUT create")
    rows.append(("durable PUT alone, p50 / p99", f"{one['Latency']['P50']:.2f} / {one['Latency']['P99']:.2f} ms"))
    rows.append(("10,000 durable PUTs, 64 connections", f"{many['PerSec']:,.0f}/s, {many['Errors']} errors"))
    page = phase(crowd, "list first page")
    rows.append(("first page of 10,000, 64 connections, p50", f"{page['Latency']['P50']:.1f} ms"))
    rows.append(("the stripped binary", f"{os.path.getsize(KUMACTL) / 1e6:.1f} MB"))
    rows.append(("`kumactl version`: CPU, resident memory", f"{version[0]:.1f} ms, {version[1]:.1f} MB"))
    return "| figure | measured |\n| --- | --- |\n" + "".join(f"| {a} | {b} |\n" for a, b in rows)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--generator", required=True)
    ap.add_argument("--proxies", nargs="*", type=int, default=[10, 100, 1000])
    ap.add_argument("--full", action="store_true", help="5,000 proxies too")
    ap.add_argument("--reps", type=int, default=5)
    ap.add_argument("--out", default=os.path.join(ROOT, "build", "bench.md"))
    a = ap.parse_args()
    if not os.path.isdir(a.generator):
        print(f"bench: no load generator in {a.generator}; set SHARED to the folder that holds bench/. Only Go's benchmarks ran.")
        return 0
    subprocess.run(["go", "build", "-o", MESHLOAD, "."], cwd=a.generator, check=True)
    # Thousands of streams: as many descriptors as this user may have, for everything that is started here.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    work = tempfile.mkdtemp(prefix="bench-", dir=os.path.join(ROOT, "build"))
    try:
        xds = {n: measure_xds(work, n, a.reps) for n in a.proxies + ([5000] if a.full else [])}
        alone, crowd, full_dir = measure_api(work)
        cold = measure_cold(work, a.reps, full_dir)
        text = table(xds, alone, crowd, cold, measure_version())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    with open(a.out, "w") as f:
        f.write(text)
    print(text + f"\nbench: the table is in {os.path.relpath(a.out, ROOT)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
