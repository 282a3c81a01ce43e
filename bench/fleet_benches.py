"""The agent's memory and size beside swupdate's, and rollouts over a large fleet beside themselves over a small one."""

import json
import os
import statistics
import subprocess
import time

from harness import Missing, memory, need, row
from swu import peak_of_swupdate
from worlds import KIND, MODEL, VERSION, Server

SMALL, LARGE = 1_000, 1_000_000


def stripped_size(run, program):
    copy = run.path("stripped")
    subprocess.run([need("strip"), "-o", copy, program], check=True)
    return os.path.getsize(copy) / (1 << 20)


def wait_for(run, agent, what, done):
    deadline = time.monotonic() + 180
    while not done():
        if agent.poll() is not None or time.monotonic() > deadline:
            with open(run.path("agent.out"), encoding="utf-8") as file:
                raise Missing(f"drover-agent did not {what}:\n" + file.read()[-2000:])
        time.sleep(0.1)


def peak_of_agent(run):
    """VmHWM of a drover-agent that enrols, downloads the model of 256 MiB, verifies, validates and activates it."""
    server = Server(run, "agent-server")
    server.publish(run.big_file())
    server.call("group", "create", "all", "--query", f'kind = "{KIND}"')
    state = run.path("device")
    os.makedirs(state)
    config = run.write("agent.json", json.dumps({
        "server": server.url, "ca": run.certificate()[0], "state": state, "name": "bench", "kind": KIND,
        "trusted_root": os.path.join(server.folder, "profile", "trust", "root.json"), "poll_seconds": 1,
        "enrolment_token": server.enrolment_token(), "validator": run.binary("pass_validator"),
        "confirm_without_application": True}))
    agent = run.start([run.binary("drover-agent"), "--config", config], "0,1", "agent.out")
    wait_for(run, agent, "enrol", lambda: json.loads(server.ask("GET", "/devices?state=active")[1])["items"])
    server.call("rollout", "create", "--name", "bench", "--model", MODEL, "--release", VERSION, "--group", "all", "--stage",
                "100%,auto")
    wait_for(run, agent, "install the model", lambda: os.path.exists(os.path.join(state, "current", MODEL, "model.onnx")))
    peak = memory(agent.pid, "VmHWM")
    run.stop(agent)
    return peak


def agent(run, _):
    ours, theirs = peak_of_agent(run), peak_of_swupdate(run, run.big_file())
    size = stripped_size(run, run.binary("drover-agent")), stripped_size(run, need("swupdate"))
    # The goal is 16 MiB, as a ratio to the peer of this run.
    return [row("agent's peak memory, installing 256 MiB", "MiB", ours, theirs, "swupdate", round(theirs / 16, 3), True),
            row("agent's program, stripped", "MiB", *size, "swupdate", None, True)]


class Fleet:
    """A server over `devices` devices with a release to roll out."""

    def __init__(self, run, name, devices):
        self.server = Server(run, name, devices)
        model = run.path(name + ".onnx")
        with open(model, "wb") as file:
            file.write(b"model")
        self.server.publish(model)
        for group, query in (("all", f'kind = "{KIND}"'), ("region", 'attr.region = "region-7"')):
            self.server.call("group", "create", group, "--query", query)

    def create(self, number):
        """Milliseconds from the request for a rollout of three stages to its answer; it is taken back afterwards."""
        body = {"name": f"r{number}", "model": MODEL, "release": VERSION, "group": "all", "stages": [
            {"percent": 1}, {"percent": 25}, {"percent": 100}]}
        before = time.perf_counter()
        status, text = self.server.ask("POST", "/rollouts", body)
        took = (time.perf_counter() - before) * 1000
        if status not in (200, 201):
            raise Missing(f"creating a rollout: {status} {text[:300]!r}")
        rollout = json.loads(text)["id"]
        self.server.ask("POST", f"/rollouts/{rollout}/abort", {})
        return took


def rollout(run, _):
    small, large = Fleet(run, "small", SMALL), Fleet(run, "large", LARGE)
    times = {small: [], large: []}
    for fleet in (small, large):
        fleet.create(0)
    for i in range(1, 4 * run.rounds + 1):
        for fleet in (small, large) if i % 2 else (large, small):
            times[fleet].append(fleet.create(i))
    resident = {fleet: memory(fleet.server.process.pid) for fleet in (small, large)}
    ours, theirs = statistics.median(times[large]), statistics.median(times[small])
    name = f"itself at {SMALL:,}"
    return [row(f"creating a rollout over {LARGE:,} devices", "ms", ours, theirs, name, 0.8, True),
            # More memory by at most 64 MiB, as a ratio to what the small fleet takes.
            row(f"server's memory with {LARGE:,} devices", "MiB", resident[large], resident[small], name,
                round(resident[small] / (resident[small] + 64), 3), True)]
