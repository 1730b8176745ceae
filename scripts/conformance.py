#!/usr/bin/env python3
"""Runs the recorded conformance suites against build/kumactl and compares the outcome with conformance/known.txt.

  conformance.py --suites DIR [--api TEXT ...] [--golden FAMILY ...] [-j 2]

DIR holds api/replay.py and golden/run.py. Without it this says so and ends well. Every file of the API suite gets a
fresh control plane, every golden case too (validation cases share one).

conformance/known.txt holds one expected failure a line: an id, then the reason. An id is FILE/STEP for the API suite
(05-dataplane-crud/12, or several: 05-dataplane-crud/12-14) and FAMILY/CASE for the golden one; * and ? match as in a shell. An unexpected failure ends this
with 1; a line that matches nothing that fails is reported, so that the list stays short.
"""
import argparse
import fnmatch
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
START = os.path.join(ROOT, "scripts", "control-plane.sh")
KNOWN = os.path.join(ROOT, "conformance", "known.txt")

API = ["01-", "03-", "05-", "06-", "07-", "08-", "10-", "12-"]
GOLDEN = ["validate-Dataplane", "validate-Mesh", "validate-MeshTimeout", "validate-meta", "bootstrap", "inspect-dp-rules"]


def free_ports(count):
    """First of `count` ports in a row that nobody listens on."""
    for base in range(21000 + os.getpid() % 500 * 40, 60000, count):
        try:
            for port in range(base, base + count):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
    sys.exit("conformance: no free ports")


def results(path):
    """What a runner wrote; it writes nothing when it could not run."""
    if not os.path.exists(path):
        sys.exit("conformance: the runner ended without a result, see above")
    with open(path) as f:
        return json.load(f)


class Known:
    """The expected failures, and which of them were met."""

    def __init__(self, path):
        self.lines = {}
        if os.path.exists(path):
            for number, line in enumerate(open(path), 1):
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                pattern, _, reason = line.partition(" ")
                if not reason.strip():
                    sys.exit(f"{path}:{number}: {pattern} has no reason; write it after the id")
                self.lines[pattern] = 0

    @staticmethod
    def matches(id, pattern):
        name, _, steps = pattern.rpartition("/")
        first, _, last = steps.partition("-")
        if first.isdigit() and last.isdigit() and id.startswith(name + "/"):
            step = id[len(name) + 1:]
            return step.isdigit() and int(first) <= int(step) <= int(last)
        return fnmatch.fnmatch(id, pattern)

    def has(self, id):
        met = [p for p in self.lines if self.matches(id, p)]
        for pattern in met:
            self.lines[pattern] += 1
        return bool(met)


def run_api(suites, only, work):
    """Replays the API files; returns {id: first differences} of what fails, and how many steps there were."""
    port, names = free_ports(8), {}
    cases = os.path.join(work, "cases")
    os.makedirs(cases)
    for name in sorted(os.listdir(os.path.join(suites, "api", "cases"))):
        if not any(name.startswith(o) for o in only):
            continue
        # The answers hold the port that they were recorded with, and the runner would wait a minute for kinds that
        # are not here: both are put right in a copy, the expectations stay as they are.
        with open(os.path.join(suites, "api", "cases", name)) as f:
            case = json.loads(f.read().replace(":5681", f":{port}"))
        env = case["server"].get("env") or {}
        base = env.get("KUMA_API_SERVER_BASE_PATH", "").rstrip("/")
        case["server"]["ready"] = [base + "/"]
        if env.get("KUMA_DEFAULTS_SKIP_MESH_CREATION") != "true":
            case["server"]["ready"].append(base + "/meshes/default")
        for number, step in enumerate(case["steps"], 1):
            names[case["name"], number] = f"{step['method']} {step['path']}: "
        with open(os.path.join(cases, name), "w") as f:
            json.dump(case, f)
    files = [os.path.join(cases, n) for n in sorted(os.listdir(cases))]
    if not files:
        return {}, 0
    out = os.path.join(work, "api.json")
    subprocess.run([sys.executable, os.path.join(suites, "api", "replay.py"), "--start", f"{START} --background {port}",
                    "--port", str(port), "--workdir", os.path.join(work, "api"), "--json", out, "--no-diff", *files], check=False, stdout=subprocess.DEVNULL)
    steps = results(out)
    return {f"{s['case']}/{s['step']}": names[s["case"], s["step"]] + "; ".join(s["problems"][:2]) for s in steps if not s["ok"]}, len(steps)


def run_golden(suites, families, jobs, work):
    """Runs the golden families; returns the same as run_api."""
    out = os.path.join(work, "golden.json")
    start = f"exec {START} {{port}} {{dir}} KUMA_MULTIZONE_ZONE_NAME={{zone}} KUMA_MODE={{mode}} KUMA_DEFAULTS_SKIP_MESH_CREATION=true"
    command = [sys.executable, os.path.join(suites, "golden", "run.py"), "--cases", os.path.join(suites, "golden", "cases"),
               "--start", start, "--work", os.path.join(work, "golden"), "--port-base", str(free_ports(20 * jobs)),
               "-j", str(jobs), "--json", out, "--diffs", "0", "--kumactl", os.path.join(ROOT, "build", "kumactl")]
    for family in families:
        command += ["--family", family]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    cases = results(out)
    return {c["id"]: "; ".join(c["diffs"][:2]) for c in cases if c["result"] == "fail"}, len(cases)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--suites", required=True)
    ap.add_argument("--api", nargs="*", default=API, metavar="TEXT", help="how the names of the API files begin")
    ap.add_argument("--golden", nargs="*", default=GOLDEN, metavar="FAMILY", help="golden families")
    ap.add_argument("-j", type=int, default=2, help="control planes at once")
    ap.add_argument("--keep", action="store_true", help="keep the servers' folders and logs")
    a = ap.parse_args()
    if not os.path.isdir(a.suites):
        print(f"conformance: no suites in {a.suites}; set SHARED to the folder that holds conformance/. Nothing was run.")
        return 0

    known = Known(KNOWN)
    work = tempfile.mkdtemp(prefix="kumactl-conformance-")
    try:
        failed, total = run_api(a.suites, a.api, work) if a.api else ({}, 0)
        if a.golden:
            more, count = run_golden(a.suites, a.golden, a.j, work)
            failed, total = {**failed, **more}, total + count
    finally:
        if a.keep:
            print(f"conformance: servers' folders are in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)

    unexpected = {i: why for i, why in failed.items() if not known.has(i)}
    for i, why in unexpected.items():
        print(f"FAIL {i}: {why[:300]}")
    for pattern, met in known.lines.items():
        family = pattern.split("/")[0]
        if not met and (any(family.startswith(p) for p in a.api) or family in a.golden):
            print(f"note: {pattern} of conformance/known.txt does not fail (any more): take the line out")
    print(f"conformance: {total - len(failed)} of {total} as recorded, {len(failed) - len(unexpected)} known differences, "
          f"{len(unexpected)} unexpected")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
