"""The demo's world: a server over TLS, people with keys, and devices of two kinds, all real processes on loopback."""

import json
import os
import socket
import subprocess

from processes import Failed, Process, Processes, wait_until
from tool import Tool

MODEL = "shapes"
KINDS = {"kiosk-x64": "fp32", "sensor-x64": "int8"}
POLL_SECONDS = 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_runtime(bin_folder):
    """ONNX Runtime for the processes of this world: DROVER_ONNXRUNTIME, or where `./run` puts it."""
    machine = {"aarch64": "arm64"}.get(os.uname().machine, "x64")
    usual = os.path.join(os.path.dirname(bin_folder), "onnxruntime", machine, "libonnxruntime.so.1")
    if os.path.exists(usual):
        os.environ.setdefault("DROVER_ONNXRUNTIME", usual)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


class Device:
    """One machine in the field: a drover-agent, and an application beside it, with a state folder of their own."""

    def __init__(self, world, name, kind):
        self.name, self.kind = name, kind
        self.folder = os.path.join(world.folder, "devices", name)
        self.state = os.path.join(self.folder, "state")
        os.makedirs(self.state, exist_ok=True)
        self.config = os.path.join(self.folder, "agent.json")
        log = os.path.join(world.folder, "logs", name)
        self.agent = world.processes.add(Process(
            f"the agent of {name}", [os.path.join(world.bin, "drover-agent"), "--config", self.config], log + ".agent.log"))
        self.app = world.processes.add(Process(
            f"the application of {name}", world.application(self), log + ".app.log"))

    def start(self):
        self.agent.start()
        self.app.start()

    def stop(self):
        self.app.stop()
        self.agent.stop()


class World:
    model = MODEL

    def __init__(self, folder, bin_folder):
        self.folder, self.bin = folder, bin_folder
        self.validator = os.path.join(self.bin, "drover-validate-onnx")
        find_runtime(bin_folder)
        self.processes = Processes()
        self.devices = {}
        for name in ("logs", "devices", "keys"):
            os.makedirs(self.path(name))
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.data = self.path("server")
        self.certificate = os.path.join(self.data, "tls", "certificate.pem")
        self.tool = Tool(os.path.join(bin_folder, "drover"), self.path("profile"), log=self.path("logs", "tool.log"))
        self.admin_token_file = self.path("admin.token")
        self.server = None

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    # --- server and people --------------------------------------------------------------------------------------------

    def start_server(self):
        program = os.path.join(self.bin, "drover-server")
        subprocess.run([program, "cert", "--data", self.data, "--hosts", "127.0.0.1,localhost"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.server = self.processes.add(Process(
            "the server", [program, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}",
                           "--admin-token-file", self.admin_token_file, "--poll-seconds", POLL_SECONDS],
            self.path("logs", "server.log"))).start()
        self.wait_for_server()
        self.tool.run("login", self.url, "--token-file", self.admin_token_file, "--ca", self.certificate)

    def wait_for_server(self):
        def listening():
            self.server.check()
            with socket.socket() as probe:
                return os.path.exists(self.admin_token_file) and probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until("the server listens", 15, listening, 0.05)

    def key(self, name):
        file = self.path("keys", name + ".key")
        if not os.path.exists(file):
            self.tool.run("keys", "generate", file, "--no-passphrase")
        return file

    # --- devices ------------------------------------------------------------------------------------------------------

    def prepare_enrolment(self):
        made = self.tool.json("enrolment", "create", "demo", "--tag", "demo", "--expires", "1d", "--uses", 100)
        self.enrolment_token = made["token"]

    def write_agent_settings(self, device, bytes_per_second=0):
        settings = {
            "server": self.url,
            "ca": self.certificate,
            "trusted_root": self.path("profile", "trust", "root.json"),
            "state": device.state,
            "name": device.name,
            "kind": device.kind,
            "enrolment_token": self.enrolment_token,
            "validator": self.validator,
        }
        if os.environ.get("DROVER_ONNXRUNTIME"):
            settings["onnxruntime"] = os.environ["DROVER_ONNXRUNTIME"]
        if bytes_per_second:
            settings["max_rate"] = bytes_per_second
        write_json(device.config, settings)

    def application(self, device):
        """The command line of the application beside an agent."""
        return [os.path.join(self.bin, "drover-demo-app"), "--state", device.state, "--model", self.model]

    def add_device(self, name, kind, bytes_per_second=0):
        device = self.devices[name] = Device(self, name, kind)
        self.write_agent_settings(device, bytes_per_second)
        return device

    def bytes_in_download(self, device):
        """What the device holds of files that are not complete yet."""
        staging = os.path.join(device.state, "staging")
        try:
            return sum(entry.stat().st_size for entry in os.scandir(staging) if entry.name.endswith((".part", ".delta")))
        except OSError:  # not there yet, or just moved
            return 0

    def check_processes(self):
        """Nothing that should run has ended by itself."""
        self.server.check()
        for device in self.devices.values():
            for process in (device.agent, device.app):
                if process.expected:
                    process.check()

    def device_rows(self):
        """Name -> the server's view of the device."""
        rows = self.tool.json("device", "list")["items"]
        return {row["name"]: row for row in rows}

    def installed(self, name, rows=None):
        row = (rows or self.device_rows()).get(name, {})
        return next((i["release"] for i in row.get("installed", []) if i["model"] == self.model), None)

    def deployments(self, rollout):
        """Device name -> its attempt at the rollout."""
        rows = self.tool.json("rollout", "devices", rollout)["items"]
        return {row["device_name"]: row for row in rows}


__all__ = ["Device", "Failed", "KINDS", "MODEL", "World", "free_port", "write_json"]
