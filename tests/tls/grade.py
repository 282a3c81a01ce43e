"""`./run tls`: testssl.sh grades the real server on loopback. Fails on any finding above INFO that is not excused below.

    grade.py --bin FOLDER [--testssl PROGRAM] [--all]        --all: print every finding
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from authority import Authority  # noqa: E402

GOOD = {"OK", "INFO", "DEBUG"}
SECONDS = 600
# Findings that are about this certificate, network or test and not about the server: id -> why.
EXCUSED = {"engine_problem": "OpenSSL's command has no GOST ciphers here to ask the server for"}


def start(program, folder, certificate):
    process = subprocess.Popen(
        [program, "--data", os.path.join(folder, "data"), "--listen", "127.0.0.1:0", "--tls-certificate", certificate[0],
         "--tls-key", certificate[1], "--admin-token-file", os.path.join(folder, "admin.token"), "--log-level", "error"],
        stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        process.kill()
        raise SystemExit(f"the server does not start: {line!r}")
    return process, int(line.rsplit(":", 1)[1])


def grade(testssl, authority, port, folder):
    report = os.path.join(folder, "report.json")
    command = [testssl, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "--add-ca",
               authority.certificate, "--jsonfile", report, f"https://localhost:{port}/"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS,
                          env={**os.environ, "OPENSSL": "/usr/bin/openssl"})
    if not os.path.exists(report):
        raise SystemExit(f"testssl.sh wrote no report:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    with open(report, encoding="utf-8") as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--testssl", default="testssl")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drover-tls.") as folder:
        authority = Authority(folder)
        # As a public authority would: it says where the list of what it has revoked lies.
        certificate = authority.issue("localhost", ["localhost", "127.0.0.1"],
                                      extra=["crlDistributionPoints=URI:http://crl.example.com/ca.crl"])
        server, port = start(os.path.join(options.bin, "drover-server"), folder, certificate)
        try:
            findings = grade(options.testssl, authority, port, folder)
        finally:
            server.terminate()
            server.wait(30)
    return verdict(findings, options.all)


def verdict(findings, everything):
    bad = [one for one in findings if one["severity"] not in GOOD]
    for one in findings if everything else bad:
        excuse = EXCUSED.get(one["id"]) if one in bad else None
        print(f"{one['severity']:8} {one['id']:32} {one['finding']}" + (f"\n{'':8} excused: {excuse}" if excuse else ""))
    missing = {"TLS1_2", "TLS1_3", "HSTS_time", "cert_trust"} - {one["id"].split()[0] for one in findings}
    if missing:
        print(f"testssl.sh did not look at {sorted(missing)}: it did not get through")
    left = [one for one in bad if one["id"] not in EXCUSED]
    print(f"{len(findings)} findings, {len(left)} of them LOW or worse")
    return 1 if left or missing else 0


if __name__ == "__main__":
    sys.exit(main())
