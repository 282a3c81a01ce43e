#!/usr/bin/python3
"""The demo: a signed model reaches a small fleet stage by stage, and bad ones come back by themselves.

    demo.py --bin build/bin [--keep]

Everything is real: TLS, signatures, sandboxes, ONNX Runtime, SQLite, processes that are killed. Everything lies in one
temporary folder, listens on loopback only, and ends with the demo, unless --keep says to leave it running.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile

import checks
from processes import Failed, Process, wait_until
from terminal import Progress, bar, bold, elapsed, green, red, remark, step
from world import KINDS, MODEL, World

RELEASES = ("v1", "v2", "v3", "v4")
FLEET = [(f"kiosk-{n:02}", "kiosk-x64") for n in range(1, 6)] + [(f"sensor-{n:02}", "sensor-x64") for n in range(1, 5)]
OFFLINE = "kiosk-05"  # enrols, goes dark, and comes back when everything is over
KILLED = "kiosk-02"  # on a slow line, and killed in the middle of its first download
SLOW_LINE = 500_000  # bytes a second: a kiosk's model takes six seconds, long enough to be killed in the middle
GROUP = "all"
# One of the members may be the device that is offline.
MOST = "success=80%"


class Demo:
    def __init__(self, world):
        self.world, self.tool = world, world.tool
        self.rollouts = {}  # release -> id
        self.killed_at = 0

    # --- 1, 2: models, server, releases -------------------------------------------------------------------------------

    def begin_models(self):
        step("Training a small image classifier: v1, v2 (better), v3 (damaged), v4 (upsets the application)")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_models.py")
        self.training = self.world.processes.add(Process(
            "the training", ["/usr/bin/python3", "-B", script, "--out", self.world.path("models"), "--runner",
                             os.path.join(self.world.bin, "drover-onnx-run")], self.world.path("logs", "models.log")))
        self.training.start()

    def finish_models(self):
        status = self.training.wait(60)
        if status != 0:
            raise Failed(f"making the models failed (status {status}):\n{self.training.last_lines()}")
        with open(self.training.log, encoding="utf-8", errors="replace") as log:
            for line in log:
                if line.startswith(RELEASES):
                    remark(line.rstrip())

    def open_shop(self):
        step("Starting the server over TLS; making offline keys; establishing trust")
        self.world.start_server()
        key = self.world.key
        self.tool.run("trust", "init", "--root-key", key("root"), "--targets-key", key("targets"))
        self.tool.run("trust", "delegate", MODEL, "--release-key", key("alice") + ".pub", "--release-key",
                      key("bob") + ".pub", "--threshold", 2, "--targets-key", key("targets"))
        self.world.prepare_enrolment()
        kinds = ", ".join(f'"{kind}"' for kind in KINDS)
        self.tool.run("group", "create", GROUP, "--query", f"kind in ({kinds})")
        remark(f"{self.world.url}; releases of {MODEL} need the signatures of both alice and bob")

    def publish(self):
        self.finish_models()
        step("Building, signing and pushing four releases, each for two kinds of device")
        for version in RELEASES:
            folder = self.world.path("releases", version)
            variants = [f"{kind}={self.world.path('models', version, precision)},precision={precision}"
                        for kind, precision in KINDS.items()]
            self.tool.run("release", "build", MODEL, version, "--out", folder,
                          *[a for variant in variants for a in ("--variant", variant)])
            self.tool.run("release", "sign", folder, "--key", self.world.key("alice"))
            self.tool.run("release", "sign", folder, "--key", self.world.key("bob"))
            self.tool.run("release", "push", folder)

    # --- 3: devices ---------------------------------------------------------------------------------------------------

    def start_fleet(self):
        step(f"Starting {len(FLEET)} devices of two kinds, each an agent and an application with ONNX Runtime")
        for name, kind in FLEET:
            self.world.add_device(name, kind, SLOW_LINE if name == KILLED else 0).start()

        def enrolled():
            self.world.check_processes()
            rows = self.world.device_rows()
            return len(rows) == len(FLEET) and all(row["state"] == "active" for row in rows.values())

        wait_until("all devices enrolled", 20, enrolled)
        self.world.devices[OFFLINE].stop()
        remark(f"{OFFLINE} has enrolled, and now loses its network for the whole story")

    # --- 4: the story -------------------------------------------------------------------------------------------------

    def roll_out(self, release, *stages):
        made = self.tool.json("rollout", "create", "--name", f"{MODEL} {release}", "--model", MODEL, "--release", release,
                              "--group", GROUP, *[a for stage in stages for a in ("--stage", stage)])
        self.rollouts[release] = made["id"]

    def follow(self, release, *states, seconds=40, meanwhile=None):
        """Shows the rollout until it is in one of the states. Its status."""
        progress = Progress()

        def arrived():
            self.world.check_processes()
            if meanwhile:
                meanwhile()
            status = self.tool.rollout(self.rollouts[release])
            progress.show(describe(release, status))
            if status["state"] in ("halted", "aborted") and status["state"] not in states:
                raise Failed(f"the rollout of {release} is {status['state']}: {status['reason']}")
            return status if status["state"] in states else None

        try:
            return wait_until(f"the rollout of {release} is {' or '.join(states)}", seconds, arrived, 0.25)
        finally:
            progress.done()

    def first_release(self):
        step("v1 goes to everybody; one agent is killed with -9 in the middle of its download")
        self.roll_out("v1", f"100%,{MOST},auto")
        self.follow("v1", "completed", meanwhile=self.kill_in_download)
        if not self.killed_at:
            raise Failed(f"{KILLED} was never caught in the middle of a download")

    def kill_in_download(self):
        """Once the slow device holds a part of its model: kill -9, then start it again, on a good line."""
        if self.killed_at:
            return
        device = self.world.devices[KILLED]
        held = self.world.bytes_in_download(device)
        whole = os.path.getsize(self.world.path("models", "v1", KINDS[device.kind], "model.onnx"))
        if not whole // 5 < held < whole:
            return
        device.agent.kill()
        self.killed_at = held
        self.world.write_agent_settings(device)
        device.agent.start()

    def staged_release(self):
        step("v2 in stages: 25 % first, then a person promotes it to 100 %")
        self.roll_out("v2", "25%,success=50%", f"100%,{MOST},auto")
        status = self.follow("v2", "awaiting_promotion")
        if status["stage"] != 0 or status["stages"][0]["members"] != 2:
            raise Failed(f"25 % of {len(FLEET)} devices should be 2: {status['stages'][0]}")
        self.canaries = self.canaries_of_v2()
        remark(f"{' and '.join(sorted(self.canaries - {OFFLINE}))} confirmed it; promoting")
        self.tool.run("rollout", "promote", self.rollouts["v2"], "--yes")
        self.follow("v2", "completed")
        self.expect_fleet("v2")

    def canaries_of_v2(self):
        """Both canaries once they are done. Their places are drawn by lot, and one may have fallen to who is offline."""
        def done():
            rows = self.world.deployments(self.rollouts["v2"])
            return set(rows) if len(rows) == 2 and all(row["state"] == "succeeded" for row in rows.values()) else None

        try:
            return wait_until("both canaries are done", 6, done, 0.25)
        except Failed:
            return set(self.world.deployments(self.rollouts["v2"])) | {OFFLINE}

    def damaged_release(self):
        step("v3 is damaged: devices refuse it before activation, and the rollout halts")
        self.roll_out("v3", "25%,failures=10%,min=1", f"100%,{MOST}")
        remark("halted: " + self.follow("v3", "halted")["reason"])
        self.settle("v3")
        self.expect_fleet("v2")

    def unhealthy_release(self):
        step("v4 passes validation, then upsets the application: devices go back by themselves")
        self.roll_out("v4", "25%,failures=10%,min=1", f"100%,{MOST}")
        remark("halted: " + self.follow("v4", "halted")["reason"])
        self.settle("v4")
        self.expect_fleet("v2")

    def settle(self, release):
        """Until nothing of a halted rollout is under way."""
        def quiet():
            return self.tool.rollout(self.rollouts[release])["stages"][0]["in_flight"] == 0

        wait_until(f"what was under way of {release} has ended", 30, quiet, 0.25)

    def roll_back(self):
        step("An operator takes the fleet back to v1, from the devices' own disks")
        self.tool.run("rollout", "rollback", self.rollouts["v2"], "--yes")
        self.follow("v2", "rolled_back")
        self.expect_fleet("v1")

    def come_back(self):
        step(f"{OFFLINE} comes back and catches up")
        self.world.devices[OFFLINE].start()
        wait_until(f"{OFFLINE} runs v1", 30, lambda: self.world.installed(OFFLINE) == "v1", 0.25)

    def expect_fleet(self, release, seconds=15):
        online = [name for name, _ in FLEET if name != OFFLINE]

        def everybody():
            self.world.check_processes()
            rows = self.world.device_rows()
            return all(self.world.installed(name, rows) == release for name in online)

        wait_until(f"all devices run {release}", seconds, everybody, 0.25)

    def run(self):
        for part in (self.begin_models, self.open_shop, self.publish, self.start_fleet, self.first_release,
                     self.staged_release, self.damaged_release, self.unhealthy_release, self.roll_back, self.come_back):
            part()


def describe(release, status):
    """One line: where a rollout stands."""
    at = min(status["stage"], len(status["stages"]) - 1)
    counted = {name: sum(stage[name] for stage in status["stages"][: at + 1])
               for name in ("in_flight", "succeeded", "failed", "rolled_back", "aborted")}
    # Who was not there in a stage that has passed counts in the one after it.
    members = status["stages"][at]["members"] + sum(stage["offered"] for stage in status["stages"][:at])
    text = f"{release}  stage {at + 1}/{len(status['stages'])}  {bar(counted['succeeded'], members)}"
    text += f" {counted['succeeded']}/{members} confirmed"
    for name, word in (("in_flight", "under way"), ("failed", "refused"), ("rolled_back", "went back"),
                       ("aborted", "taken back")):
        if counted[name]:
            text += f", {counted[name]} {word}"
    return f"{text}  {status['state'].replace('_', ' ')}"


def goodbye(world, keep):
    """What --keep leaves to play with."""
    if not keep:
        return
    tool = f"DROVER_CONFIG={world.tool.profile} {world.tool.binary}"
    print(f"\n{bold('Everything is still running.')} For example:")
    for command in ("device list", "rollout list", "release list", "audit list", "audit verify", "trust show",
                    f"rollout create --name again --model {MODEL} --release v2 --group {GROUP} --stage 100%,auto"):
        print(f"  {tool} {command}")
    print(f"Logs are in {world.path('logs')}. To end it:\n  kill {' '.join(map(str, world.processes.pids()))}")
    print(f"  rm -r {world.folder}")


def interrupted(signum, frame):
    raise Failed(f"stopped by {signal.Signals(signum).name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True, help="folder with Drover's programs")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    folder = tempfile.mkdtemp(prefix="drover-demo.")
    world = World(folder, os.path.abspath(options.bin))
    demo = Demo(world)
    well = False
    try:
        demo.run()
        well = checks.report(demo, OFFLINE, KILLED)
        print(f"\n{green('All as told') if well else red('NOT as told')}, in {elapsed():.0f} s.")
    except (Failed, OSError) as failure:
        print(f"\n{red('The demo failed')} after {elapsed():.0f} s: {failure}", flush=True)
    finally:
        if options.keep and well:
            goodbye(world, True)
        else:
            world.processes.stop_all()
            if well:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                print(f"Logs and state are kept in {folder}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
