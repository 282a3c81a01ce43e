"""The peer of the agent's benchmark: swupdate installs a file of the same size from the same kind of server."""

import hashlib
import http.server
import os
import subprocess
import threading
import time

from harness import Missing, children, memory, need


def cpio_entry(number, name, size):
    """Header of the "newc" format, as `cpio -H newc` writes it; the content follows, padded to four bytes."""
    fields = [number, 0o100644, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4)


def sign(description, folder):
    """A CMS signature as Debian's build of swupdate wants it, and the certificate it is to be checked with."""
    key, cert, plain = (os.path.join(folder, name) for name in ("sign-key.pem", "sign-cert.pem", "sw-description"))
    with open(plain, "wb") as out:
        out.write(description)
    subprocess.run([need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=bench", "-addext", "extendedKeyUsage=emailProtection"], check=True,
                   stderr=subprocess.DEVNULL)
    signature = subprocess.run([need("openssl"), "cms", "-sign", "-in", plain, "-signer", cert, "-inkey", key, "-outform",
                                "DER", "-nosmimecap", "-binary"], check=True, capture_output=True).stdout
    return signature, cert


def write_swu(path, payload, target):
    """An update that puts `payload` at `target`, without unpacking it anywhere before; returns the certificate."""
    digest = hashlib.sha256()
    with open(payload, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    description = f"""software = {{ version = "1.0.0"; hardware-compatibility: [ "1.0" ]; files: ( {{ filename = "model.onnx"; path = "{target}";
  sha256 = "{digest.hexdigest()}"; installed-directly = true; }} ); }}
""".encode()
    size = os.path.getsize(payload)
    signature, cert = sign(description, os.path.dirname(path))
    with open(path, "wb") as out, open(payload, "rb") as file:
        for number, (name, content) in enumerate((("sw-description", description), ("sw-description.sig", signature))):
            out.write(cpio_entry(number, name, len(content)) + content + b"\0" * (-len(content) % 4))
        out.write(cpio_entry(2, "model.onnx", size))
        for block in iter(lambda: file.read(1 << 20), b""):
            out.write(block)
        out.write(b"\0" * (-size % 4) + cpio_entry(3, "TRAILER!!!", 0))
    return cert


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


def peak_while_running(process):
    """VmHWM in MiB of the biggest process of the tree. Not rusage: that still counts what Python was before exec."""
    peak = 0
    while process.poll() is None:
        for pid in [process.pid, *children(process.pid)]:
            try:
                peak = max(peak, memory(pid, "VmHWM"))
            except (OSError, Missing):
                pass
        time.sleep(0.02)
    return peak


def peak_of_swupdate(run, payload):
    """Installs `payload` over HTTP; peak resident memory of the biggest of its processes in MiB."""
    folder = run.path("swu")
    os.makedirs(os.path.join(folder, "out"), exist_ok=True)
    target = os.path.join(folder, "out", "model.onnx")
    cert = write_swu(os.path.join(folder, "update.swu"), payload, target)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/update.swu"
    environment = dict(os.environ, TMPDIR=folder)
    process = run.start([need("swupdate"), "-l", "2", "-M", "-m", "-H", "bench:1.0", "-k", cert, "-d",
                         f"-u {url} -r 1 -t 60"], "0,1", "swupdate.out", env=dict(os.environ, TMPDIR=folder))
    peak = peak_while_running(process)
    server.shutdown()
    if not os.path.exists(target) or os.path.getsize(target) != os.path.getsize(payload):
        raise Missing(f"swupdate did not install the file (status {process.returncode}); see {run.path('swupdate.out')}")
    return peak
