"""Processes on given cores, a peer beside ours, load, and figures: what the benchmarks share. Standard library only."""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import time

SERVER_CORE = "0"
LOAD_CORE = "1"


class Missing(Exception):
    """Something that a benchmark needs is not there; it is reported and the others go on."""


def need(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{program} is not installed")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Missing(f"{process.args[-1]} ended with status {process.returncode} instead of listening")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Missing(f"nobody listens on port {port}")


class Run:
    """A temporary folder and the processes of one run; all of it is gone at the end."""

    def __init__(self, folder, binaries, rounds, seconds):
        self.folder, self.binaries, self.rounds, self.seconds = folder, binaries, rounds, seconds
        self.processes = []

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def binary(self, name):
        path = os.path.join(self.binaries, name)
        if not os.access(path, os.X_OK):
            raise Missing(f"{name} has not been built")
        return path

    def start(self, command, core, log, env=None):
        with open(self.path(log), "ab") as out:
            process = subprocess.Popen(["taskset", "-c", core, *command], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=out, env=env)
        self.processes.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def stop_all(self):
        for process in list(self.processes):
            self.stop(process)

    def certificate(self):
        """A P-256 certificate for 127.0.0.1 that server and peer share."""
        cert, key = self.path("cert.pem"), self.path("key.pem")
        if not os.path.exists(cert):
            subprocess.run([need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                            "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        return cert, key

    def big_file(self, mebibytes=256):
        """Random bytes: nothing on the way can make them smaller."""
        path = self.path("www", "big.bin")
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                for _ in range(mebibytes):
                    file.write(os.urandom(1 << 20))
        return path

    def nginx(self, answer):
        """The peer: one worker on the server's core, the same certificate, a fixed answer to every check-in."""
        cert, key = self.certificate()
        self.big_file()
        plain, tls = free_port(), free_port()
        temporary = "\n".join(f"  {name}_temp_path {self.path('nginx-' + name)};"
                              for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        quoted = answer.replace("\\", "\\\\").replace("'", "\\'").replace("$", "")
        config = self.write("nginx.conf", f"""
worker_processes 1; daemon off; user {'root' if os.geteuid() == 0 else 'nobody'};
pid {self.path('nginx.pid')}; error_log {self.path('nginx.log')};
events {{ worker_connections 4096; }}
http {{
  access_log off; server_tokens off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
{temporary}
  ssl_certificate {cert}; ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
  default_type application/json;
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; root {self.path('www')};
    location = /api/v1/device/checkin {{ return 200 '{quoted}'; }}
  }}
}}
""")
        process = self.start([need("nginx"), "-c", config, "-e", self.path("nginx.log")], SERVER_CORE, "nginx.out")
        wait_for_port(tls, process)
        return Target("nginx", plain, tls, process, "/big.bin")


class Target:
    """A server under load: where it listens, which process it is, how one asks it."""

    def __init__(self, name, plain, tls, process, file_path, token="x" * 200, body=""):
        self.name, self.plain, self.tls, self.process = name, plain, tls, process
        self.file_path, self.token, self.body = file_path, token, body

    def url(self, tls, path):
        return f"http{'s' if tls else ''}://127.0.0.1:{self.tls if tls else self.plain}{path}"

    def cpu_seconds(self):
        """Of the process and its children (nginx's worker), user and system."""
        total = 0
        for pid in [self.process.pid, *children(self.process.pid)]:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def memory(pid, field="VmRSS"):
    """VmRSS or VmHWM (the peak) in MiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    raise Missing(f"/proc/{pid}/status has no {field}")


def wrk(run, target, url, connections, method="POST", close=False, body=""):
    """One round of load: {"requests", "bytes"} per second and per second of the server's processor time."""
    script = ['wrk.method = "%s"' % method, 'wrk.headers["Authorization"] = "Bearer %s"' % target.token]
    if body:
        script += ["wrk.body = [==[%s]==]" % body, 'wrk.headers["Content-Type"] = "application/json"']
    if close:
        script.append('wrk.headers["Connection"] = "close"')
    script.append("""
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d", summary.requests, summary.bytes, summary.duration,
                      e.connect + e.read + e.write + e.status + e.timeout))
end""")
    path = run.write("wrk.lua", "\n".join(script))
    before = target.cpu_seconds()
    out = subprocess.run(["taskset", "-c", LOAD_CORE, need("wrk"), "-t1", f"-c{connections}", f"-d{run.seconds}s",
                          "--timeout", "10s", "-s", path, url], check=True, capture_output=True, text=True).stdout
    spent = max(target.cpu_seconds() - before, 0.01)
    result = next((line for line in out.splitlines() if line.startswith("RESULT ")), None)
    if result is None:
        raise Missing("wrk printed no result")
    requests, received, micros, errors = map(int, result.split()[1:])
    if not close and errors > 0 or requests == 0 and received == 0:
        raise Missing(f"{target.name}: {errors} errors under load, {requests} answers")
    return {"requests": requests / micros * 1e6, "bytes": received / micros * 1e6,
            "requests_cpu": requests / spent, "bytes_cpu": received / spent}


def interleaved(run, ours, peer, measure):
    """measure(target) for ours and the peer in turns; medians of each figure."""
    rounds = {ours.name: [], peer.name: []}
    for i in range(run.rounds):
        for target in (ours, peer) if i % 2 == 0 else (peer, ours):
            rounds[target.name].append(measure(target))
    def median(name):
        return {key: statistics.median(r[key] for r in rounds[name]) for key in rounds[name][0]}
    return median(ours.name), median(peer.name)


def row(what, unit, ours, peer, peer_name, goal, less_is_better=False):
    ratio = None
    if ours and peer:
        ratio = round(peer / ours if less_is_better else ours / peer, 3)
    def short(value):
        return None if value is None else round(value, 1 if abs(value) < 1000 else 0)
    return {"what": what, "unit": unit, "ours": short(ours), "peer": short(peer), "peer_name": peer_name,
            "ratio": ratio, "goal": goal}
