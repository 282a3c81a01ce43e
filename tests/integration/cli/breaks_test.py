"""Lines that break, servers that answer nonsense, and people at a terminal."""

import http.server
import json
import os
import pty
import select
import socket
import subprocess
import threading
import time
import unittest

from server_test import ServerCase
from tool import BIN, ToolCase

MIB = 1 << 20


class BreakingLine:
    """Passes bytes on to `port` and cuts every connection after `limit` bytes, whichever way they go."""

    def __init__(self, port, limit):
        self.target, self.limit, self.cuts = port, limit, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        passed = 0
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    passed += len(data)
                    if passed > self.limit:
                        self.cuts += 1
                        return
                    (server if end is client else client).sendall(data)

    def close(self):
        self.listener.close()


class Lines(ServerCase):
    def setUp(self):
        super().setUp()
        self.trust()
        self.big = self.model("big", os.urandom(20 * MIB))
        self.line = BreakingLine(self.server.port, 3 * MIB)
        self.addCleanup(self.line.close)
        self.broken = {"DROVER_URL": f"https://127.0.0.1:{self.line.port}"}
        self.out = self.path("release")
        self.ok("release", "build", "mnist", "1", "--variant", f"kiosk-x64={self.big}", "--out", self.out)
        self.ok("release", "sign", self.out, "--key", self.path("alice"))

    def test_a_push_goes_on_where_the_line_broke(self):
        pushed = self.ok("release", "push", self.out, "--json", environment=self.broken).json()
        self.assertTrue(pushed["published"])
        self.assertGreaterEqual(self.line.cuts, 5)

    def test_an_export_goes_on_where_the_line_broke(self):
        self.ok("release", "push", self.out)
        self.ok("release", "export", "mnist", "1", "--out", self.path("out.tar"), environment=self.broken)
        self.assertGreaterEqual(self.line.cuts, 5)
        self.ok("release", "import", self.path("out.tar"), "--out", self.path("again"))

    def test_a_push_goes_on_when_the_server_is_killed_and_comes_back(self):
        slow = BreakingLine(self.server.port, 9 * MIB)
        self.addCleanup(slow.close)
        pushing = subprocess.Popen([os.path.join(BIN, "drover"), "release", "push", self.out], text=True, stdout=subprocess.PIPE,
                                   env={**os.environ, "DROVER_CONFIG": self.path("profile"), "DROVER_URL": f"https://127.0.0.1:{slow.port}"})
        self.addCleanup(pushing.kill)
        end = time.monotonic() + 20
        while slow.cuts == 0 and time.monotonic() < end:
            time.sleep(0.01)
        self.server.stop(kill=True)
        self.server.start()
        out, _ = pushing.communicate(timeout=60)
        self.assertEqual(pushing.returncode, 0, out)
        self.assertIn("published mnist 1", out)


class ScriptedCase(ToolCase):
    """A server that says what the test wants."""

    def serve(self, *answers):
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, kind, body = answers[min(len(asked), len(answers) - 1)]
                asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.environment = {"DROVER_URL": f"http://127.0.0.1:{server.server_port}", "DROVER_TOKEN": "drv_x"}
        return asked

    @staticmethod
    def page(*names, following=None):
        return 200, "application/json", json.dumps({"items": [{"name": n, "query": "all"} for n in names], "next": following}).encode()


class Answers(ScriptedCase):
    def test_all_pages_are_one_list(self):
        asked = self.serve(self.page("a", following="17"), self.page("b", following="18&x"), self.page("c"))
        items = self.ok("group", "list", "--json", environment=self.environment).json()
        self.assertEqual([i["name"] for i in items["items"]], ["a", "b", "c"])
        self.assertIsNone(items["next"])
        self.assertTrue(asked[1].endswith("cursor=17") and asked[2].endswith("cursor=18%26x"), asked)

    def test_a_proxys_page_is_no_crash_and_one_line(self):
        self.serve((502, "text/html", b"<html>\n<h1>Bad gateway</h1>\n</html>"))
        self.refused(6, "HTTP 502", "group", "list", environment=self.environment)

    def test_an_answer_that_is_no_json_is_said(self):
        for body in (b"", b"{", b"[1,]", b'{"a":1}x', b"\xff", b'{"a":1,"a":2}'):
            self.serve((200, "application/json", body))
            outcome = self.drover("group", "list", environment=self.environment)
            if body:
                self.assertEqual(outcome.code, 1, outcome)
                self.assertIn("reading the server's answer", outcome.err)

    def test_answers_of_other_shapes_are_no_crash(self):
        for body in (b"null", b"[]", b"7", b'{"items":7}', b'{"items":[7,null,"x",{"name":7}]}', b'{"items":[{"query":{"a":[]}}],"next":9}'):
            self.serve((200, "application/json", body))
            for command in (("group", "list"), ("device", "list"), ("release", "list", "m"), ("rollout", "list"), ("token", "list"), ("enrolment", "list"),
                            ("trust", "show"), ("whoami",), ("audit", "list"), ("audit", "verify"), ("rollout", "status", "x"), ("group", "preview", "all"),
                            ("device", "show", "d" + "0" * 32), ("release", "show", "m", "1")):
                outcome = self.drover(*command, environment=self.environment)
                self.assertIn(outcome.code, (0, 1, 2, 3), f"{command} {body}: {outcome}")

    def test_a_servers_words_cannot_command_the_terminal(self):
        detail = "no \x1b]0;owned\x07 group\nnext line"
        self.serve((404, "application/problem+json", json.dumps({"code": "not_found", "detail": detail}).encode()))
        outcome = self.refused(3, "no ?]0;owned? group?next line", "group", "show", "x", environment=self.environment)
        self.assertNotIn("\x1b", outcome.err)
        self.serve(self.page("a\x1b[2J"))
        self.assertNotIn("\x1b", self.ok("group", "list", environment=self.environment).out)

    def test_a_token_never_travels_readable_to_another_machine(self):
        for url in ("http://fleet.example.com", "http://127.0.0.1.example.com", "http://localhost.example.com"):
            self.refused(2, "readable", "group", "list", environment={"DROVER_URL": url, "DROVER_TOKEN": "drv_x"})
        self.refused(2, "no server address", "login", "fleet.example.com", "--token", "drv_x")
        self.refused(2, "no server address", "login", "https://user@fleet.example.com", "--token", "drv_x")

    def test_nobody_logged_in_is_told_how(self):
        self.refused(4, "drover login", "group", "list")

    def test_help_and_version_need_no_profile(self):
        self.assertIn("drover release build", self.ok("help", "release", "build").out)
        self.assertRegex(self.ok("version").out, r"^drover \d+\.\d+\.\d+\n$")
        self.assertEqual(self.drover("rolout").code, 2)
        self.assertEqual(self.drover("rollout", "create", "--nme", "x").code, 2)


class AtATerminal(ScriptedCase):
    def talk(self, *arguments, say=(), environment=None):
        """Runs on a terminal of 80 columns; `say` holds (what to wait for, what to type). Gives exit status and picture."""
        try:
            master, slave = pty.openpty()
        except OSError as why:
            self.skipTest(f"this machine has no terminals to give: {why}")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DROVER_") and k != "NO_COLOR"}
        process = subprocess.Popen([os.path.join(BIN, "drover"), *arguments], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                                   env={**kept, "TERM": "xterm", "DROVER_CONFIG": self.path("profile"), **self.environment, **(environment or {})})
        os.close(slave)
        self.addCleanup(process.kill)
        seen, said = "", list(say)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            ready, _, _ = select.select([master], [], [], 0.2)
            try:
                data = os.read(master, 4096) if ready else b""
            except OSError:
                break
            seen += data.decode(errors="replace")
            if said and said[0][0] in seen:
                os.write(master, said.pop(0)[1].encode())
        os.close(master)
        return process.wait(timeout=10), seen

    def test_what_cannot_be_undone_is_asked_for(self):
        asked = self.serve((204, "application/json", b""))
        device = "d" + "0" * 32
        code, seen = self.talk("device", "decommission", device, say=[("[y/N]", "n\n")])
        self.assertEqual((code, asked), (1, []), seen)
        self.assertIn("nothing was done", seen)
        code, seen = self.talk("device", "decommission", device, say=[("[y/N]", "y\n")])
        self.assertEqual((code, len(asked)), (0, 1), seen)
        code, seen = self.talk("device", "decommission", device, "--yes")
        self.assertEqual((code, len(asked)), (0, 2), seen)
        self.assertNotIn("[y/N]", seen)

    def test_colours_on_a_terminal_unless_unwanted(self):
        self.serve(self.page("a"))
        self.environment["X"] = "x"
        self.assertIn("\x1b[1m", self.talk("group", "list")[1])
        self.assertNotIn("\x1b[", self.talk("group", "list", environment={"NO_COLOR": "1"})[1])
        self.assertNotIn("\x1b[", self.talk("group", "list", "--no-color")[1])

    def test_a_passphrase_is_asked_for_twice_and_not_shown(self):
        self.environment = {}
        code, seen = self.talk("keys", "generate", self.path("k"), say=[("new passphrase: ", "correct horse\n"), ("once more: ", "correct house\n")])
        self.assertEqual(code, 2, seen)
        self.assertIn("differ", seen)
        code, seen = self.talk("keys", "generate", self.path("k"), say=[("new passphrase: ", "correct horse\n"), ("once more: ", "correct horse\n")])
        self.assertEqual(code, 0, seen)
        self.assertNotIn("correct", seen)
        self.assertIn("passphrase", self.ok("keys", "show", self.path("k")).out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
