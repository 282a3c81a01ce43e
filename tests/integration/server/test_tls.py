"""TLS as operators meet it: certificates that are renewed while the server runs, and devices that show one themselves."""

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import unittest

from live import BIN, KIND, SECONDS, Client, Device, LiveCase, Server

sys.path.insert(0, os.path.join(os.environ["DROVER_SOURCE_DIR"], "tests", "support"))
from authority import Authority, serial  # noqa: E402


class TlsClient(Client):
    """Like Client, over TLS; trusts `authority` and shows `certificate`, a pair of files, if there is one."""

    def __init__(self, port, authority, certificate=None, token=None):
        super().__init__(port, token)
        self.context = ssl.create_default_context(cafile=authority.certificate)
        if certificate:
            self.context.load_cert_chain(*certificate)

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=SECONDS)

    def serial(self):
        """Of the certificate that a new connection is shown."""
        connection = self.connect()
        connection.connect()
        try:
            return connection.sock.getpeercert()["serialNumber"]
        finally:
            connection.close()


class TlsCase(LiveCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="drover-tls.")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.authority = Authority(cls.folder)
        cls.strangers = Authority(cls.folder, "a stranger")
        cls.files = os.path.join(cls.folder, "certificate.pem"), os.path.join(cls.folder, "key.pem")
        cls.install(cls.authority.issue("first", ["127.0.0.1"]))
        cls.server = Server(listen="127.0.0.1:0", plain_listen="", tls_certificate=cls.files[0], tls_key=cls.files[1],
                            **cls.tls_settings())
        cls.addClassCleanup(cls.server.close)
        cls.admin = TlsClient(cls.server.port, cls.authority, token=cls.server.admin.token)
        cls.prepare()

    @classmethod
    def tls_settings(cls):
        return {}

    @classmethod
    def install(cls, certificate):
        """As a renewal does it: two files, each replaced as one."""
        for source, target in zip(certificate, cls.files):
            shutil.copy(source, target + ".new")
            os.replace(target + ".new", target)

    def log(self):
        with open(self.server.path("server.log"), encoding="utf-8") as file:
            return file.read()


class Reload(TlsCase):
    @classmethod
    def tls_settings(cls):
        return {"tls_reload_seconds": 0, "log_level": "info"}

    def reload(self, certificate, line):
        """SIGHUP; ends when the log says `line` once more."""
        before = self.log().count(line)
        if certificate:
            self.install(certificate)
        self.server.process.send_signal(signal.SIGHUP)
        self.wait_for(line, lambda: self.log().count(line) > before)

    def test_after_sighup_new_connections_see_the_new_certificate_and_open_ones_live_on(self):
        open_one = self.admin.connect()
        open_one.request("GET", "/healthz")
        self.assertEqual(open_one.getresponse().read(), b"ok\n")
        certificate = self.authority.issue("second", ["127.0.0.1"])
        self.reload(certificate, "the certificate was loaded anew")
        self.assertEqual(self.admin.serial(), serial(certificate[0]))
        socket = open_one.sock
        open_one.request("GET", "/healthz")
        self.assertEqual(open_one.getresponse().read(), b"ok\n")
        self.assertIs(open_one.sock, socket, "it was the same connection")
        open_one.close()

    def test_a_wrong_new_certificate_leaves_the_old_one_in_use_and_the_log_says_why(self):
        good = self.authority.issue("good", ["127.0.0.1"])
        self.reload(good, "the certificate was loaded anew")
        other = self.authority.issue("other", ["127.0.0.1"])
        garbage = os.path.join(self.folder, "garbage")
        with open(garbage, "w", encoding="utf-8") as file:
            file.write("no certificate")
        expired = self.authority.issue("expired", ["127.0.0.1"], days=-1)
        for wrong, why in (((garbage, good[1]), "io"), ((other[0], good[1]), "invalid_argument"),
                           (expired, "metadata_expired")):
            with self.subTest(why):
                self.reload(wrong, "the one before stays in use")
                self.assertIn(why, self.log().splitlines()[-1])
                self.assertEqual(self.admin.serial(), serial(good[0]))
        self.reload(other, "the certificate was loaded anew")
        self.assertEqual(self.admin.serial(), serial(other[0]))

    def test_operators_see_when_it_ends(self):
        text = self.admin.get("/metrics").body.decode()
        ends = next(float(line.split()[1]) for line in text.splitlines()
                    if line.startswith("drover_certificate_expires_timestamp_seconds "))
        connection = self.admin.connect()
        connection.connect()
        self.assertEqual(ends, ssl.cert_time_to_seconds(connection.sock.getpeercert()["notAfter"]))
        connection.close()


class Change(TlsCase):
    @classmethod
    def tls_settings(cls):
        return {"tls_reload_seconds": 1}

    def test_a_renewed_certificate_is_noticed_without_a_signal(self):
        certificate = self.authority.issue("renewed", ["127.0.0.1"])
        self.assertNotEqual(self.admin.serial(), serial(certificate[0]))
        self.install(certificate)
        self.wait_for("the new certificate", lambda: self.admin.serial() == serial(certificate[0]))


class Certificates(TlsCase):
    """Devices must show one; people need not."""

    @classmethod
    def tls_settings(cls):
        cls.devices = Authority(cls.folder, "the devices authority")
        return {"tls_client_ca": cls.devices.certificate, "device_certificates": True}

    @classmethod
    def prepare(cls):
        cls.token = cls.admin.post("/enrolment-tokens", {"name": "line", "uses": 10}).json["token"]

    def device(self, name, certificate):
        device = Device(self.server, name, enrolment=self.token)
        self.show(device, certificate)
        return device

    def show(self, device, certificate):
        server = type("Shown", (), {"client": lambda _: TlsClient(self.server.port, self.authority, certificate)})()
        device.server, device.client = server, TlsClient(self.server.port, self.authority, certificate, device.client.token)

    def test_a_device_without_a_certificate_is_refused_and_people_are_not(self):
        answer = self.expect(self.device("bare", None).session(), 401, "unauthenticated")
        self.assertIn("client certificate", answer.json["detail"])
        self.expect(self.admin.get("/devices"), 200)

    def test_a_certificate_of_another_authority_ends_the_handshake(self):
        certificate = self.strangers.issue("a foreigner")
        with self.assertRaises(OSError):  # TLS 1.3 tells the client at its first reading
            self.device("foreigner", certificate).session()

    def test_a_certificate_for_servers_is_none_for_clients(self):
        with self.assertRaises(OSError):
            self.device("server", self.devices.issue("a server", ["127.0.0.1"])).session()

    def test_with_a_certificate_a_device_is_served_and_its_session_is_worthless_without(self):
        certificate = self.devices.issue("any device of the line")
        device = self.device("good", certificate)
        self.expect(device.session(), 200)
        self.expect(device.checkin(), 200)
        self.assertEqual(device.checkin().json, {"poll_seconds": 1}, "an idle one, which takes the short way")
        self.show(device, None)
        self.expect(device.checkin(), 401, "unauthenticated")
        self.expect(device.client.get("/blobs/sha256:" + "0" * 64), 401, "unauthenticated")
        self.show(device, certificate)
        self.expect(device.checkin(), 200)

    def test_a_certificate_that_names_a_device_is_good_for_no_other(self):
        device, other = self.device("named", None), self.device("other", None)
        certificate = self.devices.issue(device.id)
        self.show(device, certificate)
        self.expect(device.session(), 200)
        self.expect(device.checkin(), 200)
        self.show(other, certificate)
        self.assertIn("another device's", self.expect(other.session(), 401, "unauthenticated").json["detail"])
        # And a session that was stolen from another device does not help either.
        self.show(other, self.devices.issue("no name of a device"))
        self.expect(other.session(), 200)
        self.show(other, certificate)
        self.expect(other.checkin(), 401, "unauthenticated")

    def agent(self, name, certificate):
        """A real agent until it has said whether it was let in; its log."""
        state, log = os.path.join(self.folder, name), os.path.join(self.folder, name + ".log")
        settings = {"state": state, "server": f"https://127.0.0.1:{self.server.port}", "ca": self.authority.certificate,
                    "trusted_root": self.server.path("profile", "trust", "root.json"), "name": name, "kind": KIND,
                    "enrolment_token": self.token, "poll_seconds": 1}
        if certificate:
            settings["client_certificate"], settings["client_key"] = certificate
        config = os.path.join(self.folder, name + ".json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(settings, file)
        with open(log, "w", encoding="utf-8") as out:
            process = subprocess.Popen([os.path.join(BIN, "drover-agent"), "--config", config], stdout=out, stderr=out)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def outcome():
            with open(log, encoding="utf-8") as file:
                text = file.read()
            known = [row["state"] for row in self.admin.get("/devices").json["items"] if row["name"] == name]
            return known and "let in" or "no check-in" in text and text
        return self.wait_for(f"{name} is let in or not", outcome)

    def test_the_agent_shows_its_certificate(self):
        self.server.tool("login", f"https://127.0.0.1:{self.server.port}", "--token-file", self.server.path("admin.token"),
                         "--ca", self.authority.certificate)
        self.server.tool("trust", "init", "--root-key", self.server.key("root"), "--targets-key", self.server.key("targets"))
        self.assertIn("must show a client certificate", self.agent("agent-bare", None))
        self.assertIn("unavailable", self.agent("agent-foreign", self.strangers.issue("an agent")))
        self.assertEqual(self.agent("agent-good", self.devices.issue("an agent")), "let in")


class Asked(TlsCase):
    """A certificate is asked for, and devices may do without: while a fleet is moved to it."""

    @classmethod
    def tls_settings(cls):
        cls.devices = Authority(cls.folder, "the devices authority")
        return {"tls_client_ca": cls.devices.certificate}

    def test_none_is_fine_a_right_one_too_and_a_wrong_one_is_not(self):
        for certificate in (None, self.devices.issue("a device")):
            client = TlsClient(self.server.port, self.authority, certificate)
            self.expect(client.post("/device/challenge"), 200)
        with self.assertRaises(OSError):
            TlsClient(self.server.port, self.authority, self.strangers.issue("a foreigner")).post("/device/challenge")


class Settings(unittest.TestCase):
    def refused(self, word, *options):
        done = subprocess.run([os.path.join(BIN, "drover-server"), "--data", "/nonexistent/data", "--listen", "",
                               "--plain-listen", "127.0.0.1:0", *options], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn(word, done.stderr)

    def test_what_cannot_hold_is_refused_at_the_start(self):
        self.refused("tls_client_ca", "--device-certificates")
        self.refused("trusted_proxies", "--proxy-certificates")
        self.refused("no IP address", "--trusted-proxies", "10.0.0.1,proxy.example.com")


class Proxied(LiveCase):
    """Behind a proxy that ends TLS: whom it speaks for, and what it says of his certificate."""

    settings = {"trusted_proxies": "127.0.0.1", "proxy_certificates": True, "device_certificates": True}

    def test_whoever_guesses_tokens_behind_the_proxy_holds_up_nobody_else(self):
        stranger = self.server.client("drv_" + "B" * 43)
        answers = [stranger.get("/whoami", headers={"X-Forwarded-For": f"10.0.0.{n}, 198.51.100.7"}) for n in range(25)]
        self.assertEqual(answers[-1].status, 429, "what the client wrote itself changes nothing")
        self.assertEqual(stranger.get("/whoami", headers={"X-Forwarded-For": "203.0.113.1"}).status, 401)
        rows = [row["actor"] for row in self.admin.get("/audit?limit=1000").json["items"] if row["role"] == "nobody"]
        self.assertEqual(set(rows), {"198.51.100.7", "203.0.113.1"})

    def test_the_proxys_word_about_a_certificate_is_taken(self):
        device = Device(self.server, "proxied", enrolment=self.enrolment())
        plain = self.server.client
        self.expect(device.session(), 401, "unauthenticated")
        for verdict, name, status in (("FAILED:expired", device.id, 401), ("NONE", "", 401), ("SUCCESS", "d" + "0" * 32, 401),
                                      ("SUCCESS", device.id, 200)):
            with self.subTest(verdict):
                headers = {"X-Client-Verify": verdict, "X-Client-Name": name}
                device.server = type("Proxy", (), {"client": lambda _, h=headers: Through(plain(), h)})()
                self.assertEqual(device.session().status, status)
        self.expect(device.checkin(), 200)


class Distrusted(LiveCase):
    settings = {"trusted_proxies": "192.0.2.1", "proxy_certificates": True, "device_certificates": True}

    def test_whoever_is_no_trusted_proxy_is_not_believed(self):
        device = Device(self.server, "liar", enrolment=self.enrolment())
        plain = self.server.client
        headers = {"X-Client-Verify": "SUCCESS", "X-Client-Name": device.id, "X-Forwarded-For": "203.0.113.1"}
        device.server = type("Proxy", (), {"client": lambda _: Through(plain(), headers)})()
        self.expect(device.session(), 401, "unauthenticated")
        rows = [row["actor"] for row in self.admin.get("/audit?limit=1000").json["items"] if row["outcome"] == "unauthenticated"]
        self.assertEqual(rows, [device.id])


class Through(Client):
    """What a proxy adds to each request."""

    def __init__(self, client, headers):
        super().__init__(client.port, client.token)
        self.headers = headers

    def ask(self, method, path, body=None, headers=None):
        return super().ask(method, path, body, {**(headers or {}), **self.headers})


if __name__ == "__main__":
    unittest.main(verbosity=2)
