"""An attacker for the end-to-end tests. Hostile stands between devices and their server, with the server's own certificate:
it passes everything on until a rule says otherwise. Thief has read a key folder and signs with what lay there."""

import collections
import hashlib
import http.client
import http.server
import json
import os
import ssl
import threading

import nacl.signing

CHUNK = 64 * 1024
DRIP_SECONDS = 0.2


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body or b"{}")

    def is_metadata(self, name=None):
        """`name`: "timestamp.json", or without its version "snapshot.json"."""
        file = self.path.removeprefix("/api/v1/metadata/")
        return file != self.path and (name is None or file == name or file.split(".", 1)[1] == name)

    def is_checkin(self):
        return self.path == "/api/v1/device/checkin"


class Reply:
    """`body`: bytes, or an iterator of bytes that are announced as `length`; without a length they come in chunks."""

    def __init__(self, status=200, body=b"", headers=(), length=None):
        self.status, self.body, self.headers, self.length = status, body, list(headers), length
        if isinstance(body, (dict, list)):
            self.body = json.dumps(body).encode()
            self.headers.append(("Content-Type", "application/json"))

    @property
    def json(self):
        return json.loads(self.body)


def endless():
    block = os.urandom(CHUNK)
    while True:
        yield block


class Hostile:
    def __init__(self, world, certificate=None):
        self.world, self.data = world, world.data
        self.rule = None  # Request -> Reply to give instead, or None: ask the real server
        self.twist = None  # (Request, Reply of the real server) -> Reply
        self.seen = []  # (method, path, status)
        self.most = collections.Counter()  # bytes of the longest body that was taken, by path
        self.closed = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(certificate or (world.certificate, os.path.join(world.data, "tls", "key.pem"))))
        self._trust = ssl.create_default_context(cafile=world.certificate)
        hostile = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60
            do_GET = do_POST = do_HEAD = lambda handler: hostile._serve(handler)

            def log_message(self, *arguments):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments):
                pass  # a client that goes away is what most of these tests are about

        self._listener = Listener(("127.0.0.1", 0), Handler)
        # The handshake is left to the thread of the connection: a client that is slow holds up nobody.
        self._listener.socket = context.wrap_socket(self._listener.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._listener.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    def close(self):
        self.closed.set()
        self._listener.shutdown()
        self._listener.server_close()

    def rest(self):
        """The attack ends."""
        self.rule = self.twist = None

    def count(self, path_part):
        return sum(1 for _, path, _ in list(self.seen) if path_part in path)

    def real(self, request):
        """What the real server answers."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.world.port, context=self._trust, timeout=30)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        try:
            connection.request(request.method, request.path, body=request.body or None, headers=headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders()
                    if name.lower() not in ("content-length", "connection", "date", "transfer-encoding")]
            length = answer.getheader("Content-Length") if request.method == "HEAD" else None
            return Reply(answer.status, answer.read(), kept, length)
        finally:
            connection.close()

    def drip(self, total):
        """A byte now and then."""
        for _ in range(total):
            if self.closed.wait(DRIP_SECONDS):
                return
            yield b" "

    def _serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, handler.path, handler.headers, body)
        reply = self.rule(request) if self.rule else None
        if reply is None:
            reply = self.real(request)
            if self.twist:
                reply = self.twist(request, reply) or reply
        self.seen.append((request.method, request.path, reply.status))
        self._send(handler, request, reply)

    def _send(self, handler, request, reply):
        handler.send_response(reply.status)
        for name, value in reply.headers:
            handler.send_header(name, value)
        whole = isinstance(reply.body, bytes)
        chunked = not whole and reply.length is None
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
            handler.send_header("Content-Length", str(len(reply.body) if whole and reply.length is None else reply.length))
        handler.end_headers()
        if request.method == "HEAD":
            return
        sent = 0
        try:
            for block in [reply.body] if whole else reply.body:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                sent += len(block)
            if chunked:
                handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            handler.close_connection = True
        self.most[request.path] = max(self.most[request.path], sent)


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Key:
    """A key file of the project, without a passphrase."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        self._key = nacl.signing.SigningKey(bytes.fromhex(content["private"]))
        self.object = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": content["public"]}}
        self.id = hashlib.sha256(canonical(self.object)).hexdigest()

    def sign(self, signed):
        signature = self._key.sign(canonical(signed)).signature.hex()
        return json.dumps({"signatures": [{"keyid": self.id, "sig": signature}], "signed": signed}).encode()


def listed(document):
    """As a metadata file is listed in the one above it."""
    return {"hashes": {"sha256": hashlib.sha256(document).hexdigest()}, "length": len(document),
            "version": json.loads(document)["signed"]["version"]}


def like(before, now):
    """With the fields that were there before."""
    return {name: value for name, value in now.items() if name in before}


class Thief:
    """All online keys of a server, and what can be made with them."""

    def __init__(self, data):
        keys = os.path.join(data, "keys")
        self.snapshot, self.timestamp, self.director = (Key(os.path.join(keys, name + ".key"))
                                                        for name in ("snapshot", "timestamp", "director"))

    def assignment(self, template, device_id, nonce, version, targets):
        """A director's document. `template`: one that the real director made."""
        return self.director.sign({**template, "device_id": device_id, "nonce": nonce, "version": version,
                                   "targets": targets}).decode()

    def publish(self, files, changes):
        """`files` (name -> bytes, "3.noise.json") with `changes`, and the next snapshot and timestamp over them."""
        files = {**files, **changes}
        timestamp = json.loads(files["timestamp.json"])["signed"]
        number = timestamp["meta"]["snapshot.json"]["version"] + 1
        snapshot = json.loads(files[f"{number - 1}.snapshot.json"])["signed"]
        for name, content in changes.items():
            role = name.split(".", 1)[1]
            snapshot["meta"][role] = like(snapshot["meta"][role], listed(content))
        snapshot["version"] = number
        files[f"{number}.snapshot.json"] = self.snapshot.sign(snapshot)
        timestamp["meta"]["snapshot.json"] = like(timestamp["meta"]["snapshot.json"], listed(files[f"{number}.snapshot.json"]))
        timestamp["version"] += 1
        files["timestamp.json"] = self.timestamp.sign(timestamp)
        return files
