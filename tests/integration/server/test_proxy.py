"""The nginx of docs/operating/proxy.md, as it stands there, between clients and the real server."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from live import Device, LiveCase, Server
from test_tls import Authority, TlsClient

SOURCE = os.environ["DROVER_SOURCE_DIR"]
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
UPLOAD = 3_000_000  # more than nginx takes by itself


def block(language):
    """The first block of that language on the page."""
    with open(os.path.join(SOURCE, "docs", "operating", "proxy.md"), encoding="utf-8") as file:
        return re.search(rf"```{language}\n(.*?)```", file.read(), re.S)[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@unittest.skipUnless(NGINX, "needs nginx (./run setup test)")
class Nginx(LiveCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="drover-nginx.")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.authority, cls.devices = Authority(cls.folder), Authority(cls.folder, "the devices authority")
        cls.server = Server(trusted_proxies="127.0.0.1", proxy_certificates=True, device_certificates=True)
        cls.addClassCleanup(cls.server.close)
        cls.start_nginx(cls.authority.issue("proxy", ["127.0.0.1"]))
        cls.admin = TlsClient(cls.port, cls.authority, token=cls.server.admin.token)
        cls.prepare()

    @classmethod
    def start_nginx(cls, certificate):
        cls.port = free_port()
        site = block("nginx")
        for old, new in (("127.0.0.1:8080", f"127.0.0.1:{cls.server.port}"), ("listen 443 ssl", f"listen 127.0.0.1:{cls.port} ssl"),
                         ("/etc/drover/tls/certificate.pem", certificate[0]), ("/etc/drover/tls/key.pem", certificate[1]),
                         ("/etc/drover/tls/devices-ca.pem", cls.devices.certificate)):
            assert old in site, old
            site = site.replace(old, new)
        paths = " ".join(f"{name}_temp_path {cls.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = os.path.join(cls.folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(("user root;\n" if os.geteuid() == 0 else "") +
                       f"daemon off; worker_processes 1; pid {cls.folder}/pid; error_log {cls.folder}/error.log;\n"
                       f"events {{ }}\nhttp {{ access_log off; {paths}\n{site}\n}}\n")
        process = subprocess.Popen([NGINX, "-e", f"{cls.folder}/error.log", "-p", cls.folder, "-c", config])
        cls.addClassCleanup(process.wait, 20)
        cls.addClassCleanup(process.terminate)
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", cls.port)) == 0:
                    return
            if process.poll() is not None or time.monotonic() > deadline:
                with open(f"{cls.folder}/error.log", encoding="utf-8") as file:
                    raise RuntimeError("nginx does not start: " + file.read())
            time.sleep(0.05)

    def device(self, name, certificate, headers=None):
        device = Device(self.server, name, enrolment=self.enrolment())
        headers = headers or {}

        class Shown(TlsClient):
            def ask(self, method, path, body=None, more=None):
                return super().ask(method, path, body, {**(more or {}), **headers})
        shown = type("Proxied", (), {"client": lambda _: Shown(self.port, self.authority, certificate)})()
        device.server = shown
        return device

    def test_a_device_with_a_certificate_is_served_and_one_without_is_not(self):
        self.expect(self.device("bare", None).session(), 401, "unauthenticated")
        device = self.device("shown", self.devices.issue("a device"))
        self.expect(device.session(), 200)
        self.expect(device.checkin(), 200)

    def test_nobody_writes_the_proxys_headers_himself(self):
        device = self.device("liar", None)
        lies = {"X-Client-Verify": "SUCCESS", "X-Client-Name": device.id, "X-Forwarded-For": "203.0.113.9"}
        self.expect(self.device("liar-2", None, lies).session(), 401, "unauthenticated")
        self.assertNotIn("203.0.113.9", str(self.admin.get("/audit?limit=1000").json))

    def test_a_certificate_that_names_a_device_is_good_for_no_other(self):
        device = self.device("named", None)
        certificate = self.devices.issue(device.id)
        self.expect(self.device("another", certificate).session(), 401, "unauthenticated")

    def test_large_uploads_and_ranges_pass(self):
        data = os.urandom(UPLOAD)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        upload = self.expect(self.admin.post("/uploads", {"digest": digest, "size": len(data)}), 201).json["id"]
        self.expect(self.admin.ask("PATCH", f"/uploads/{upload}", data, {
            "Upload-Offset": "0", "Content-Type": "application/octet-stream"}), 200)
        whole = self.expect(self.admin.get(f"/blobs/{digest}"), 200)
        self.assertEqual(hashlib.sha256(whole.body).hexdigest(), digest[7:])
        part = self.expect(self.admin.get(f"/blobs/{digest}", headers={
            "Range": "bytes=2999990-", "If-Range": whole.headers["ETag"]}), 206)
        self.assertEqual(part.body, data[-10:])

    def test_an_upload_that_breaks_off_has_arrived_as_far_as_it_came(self):
        data = os.urandom(UPLOAD)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        upload = self.expect(self.admin.post("/uploads", {"digest": digest, "size": len(data)}), 201).json["id"]
        connection = self.admin.connect()
        connection.putrequest("PATCH", f"/api/v1/uploads/{upload}")
        for name, value in {"Authorization": "Bearer " + self.admin.token, "Upload-Offset": "0", "Content-Length": str(len(data)),
                            "Content-Type": "application/octet-stream"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(data[:1_000_000])
        connection.close()
        self.wait_for("what came is stored", lambda: self.admin.get(f"/uploads/{upload}").json["offset"] > 0)

    def test_a_long_poll_is_answered_when_something_happens(self):
        self.server.trust()
        self.server.publish("1")
        self.expect(self.device("polled", self.devices.issue("polled")).session(), 200)
        made = self.expect(self.server.roll_out("1"), 201).json["id"]
        etag = self.admin.get(f"/rollouts/{made}").headers["ETag"]
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            self.admin.get(f"/rollouts/{made}?wait=50", headers={"If-None-Match": etag})))
        waiting.start()
        self.expect(self.admin.post(f"/rollouts/{made}/pause"), 200)
        waiting.join(20)
        self.assertEqual([answer.status for answer in answers], [200])
        self.assertEqual(answers[0].json["state"], "paused")


if __name__ == "__main__":
    unittest.main(verbosity=2)
