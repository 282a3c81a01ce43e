"""The tools that people send files with: what they make of a pair, in bytes, seconds of CPU and memory, both ways."""

import glob
import os
import resource
import shutil
import subprocess
import sys
import tempfile

from harness import Missing, need

HERE = os.path.dirname(os.path.abspath(__file__))
PEER_CPU_SECONDS = 200  # bsdiff takes minutes on weights; a peer that takes longer is left out of the cell, and said so
HDIFF = "hdiffpatch==2.6.0"  # HDiffPatch is in no Debian 12 package; PyPI has its library with this binding


class TooSlow(Exception):
    """A peer used up its CPU time."""


def run_measured(command, cpu_seconds=PEER_CPU_SECONDS, env=None):
    """(seconds of CPU, peak MiB) of one command. Through time(1): a child of this process would count this one's memory,
    which it has until its program begins, as its own."""
    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    with tempfile.NamedTemporaryFile("r") as figures:
        done = subprocess.run([need("time"), "-q", "-o", figures.name, "-f", "%U %S %M", *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=limit, env=env, check=False)
        user, system, kibibytes = figures.read().split()[-3:]
    seconds = float(user) + float(system)
    if done.returncode != 0 and seconds >= cpu_seconds - 1:
        raise TooSlow(command[0])
    if done.returncode != 0:
        raise Missing(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-300:]}")
    return seconds, int(kibibytes) / 1024


class CommandPeer:
    """A program: arguments with {base}, {new}, {out} and {back}, which is what `apply` writes."""

    def __init__(self, name, make, apply):
        self.name, self.commands = name, (make, apply)

    def measure(self, base, new, folder):
        out, back = os.path.join(folder, "peer.out"), os.path.join(folder, "peer.back")
        words = {"base": base, "new": new, "out": out, "back": back}
        made, applied = (run_measured([w.format(**words) for w in command.split()], env=self.environment())
                         for command in self.commands)
        check_same(self.name, new, back)
        size = os.path.getsize(out)
        os.remove(out)
        os.remove(back)
        return size, made, applied

    def environment(self):
        return None


class HdiffPeer(CommandPeer):
    """HDiffPatch's library through its Python binding; memory and time include the interpreter (10 MiB, 0.1 s)."""

    def __init__(self, packages):
        script = os.path.join(HERE, "hdiff.py")
        super().__init__("hdiffpatch", f"/usr/bin/python3 {script} diff {{base}} {{new}} {{out}}",
                         f"/usr/bin/python3 {script} apply {{base}} {{out}} {{back}}")
        self.packages = packages

    def environment(self):
        return {**os.environ, "PYTHONPATH": self.packages}


class CasyncPeer:
    """Bytes: the chunks that a device with the base lacks, and the index. Applying: the new file out of the base."""

    name = "casync"

    def measure(self, base, new, folder):
        here = os.path.join(folder, "casync")
        shutil.rmtree(here, ignore_errors=True)
        os.makedirs(here)
        stores = {name: os.path.join(here, name + ".castr") for name in ("base", "new")}
        run_measured(["casync", "make", "--store=" + stores["base"], os.path.join(here, "base.caibx"), base])
        made = run_measured(["casync", "make", "--store=" + stores["new"], os.path.join(here, "new.caibx"), new])
        applied = run_measured(["casync", "extract", "--store=" + stores["new"], "--extra-store=" + stores["base"],
                                os.path.join(here, "new.caibx"), os.path.join(here, "back")])
        check_same(self.name, new, os.path.join(here, "back"))
        have, want = (chunks(stores[name]) for name in ("base", "new"))
        size = sum(bytes_ for chunk, bytes_ in want.items() if chunk not in have) + os.path.getsize(os.path.join(here, "new.caibx"))
        shutil.rmtree(here)
        return size, made, applied


def chunks(store):
    return {os.path.basename(p): os.path.getsize(p) for p in glob.glob(os.path.join(store, "*", "*"))}


def check_same(name, path, other):
    with open(path, "rb") as a, open(other, "rb") as b:
        if a.read() != b.read():
            raise Missing(f"{name} does not give {os.path.basename(path)} back")


def hdiff_packages(cache):
    """The folder with the binding, fetched once; None, with a remark, where there is no network or no fitting package."""
    folder = os.path.join(cache, "python")
    if not os.path.isdir(os.path.join(folder, "hdiffpatch")):
        fetched = subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "-q", "--no-input", "--only-binary=:all:", "--target",
                                  folder, HDIFF], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if fetched.returncode != 0:
            print("delta: HDiffPatch is left out: pip could not fetch " + HDIFF, file=sys.stderr)
            return None
    return folder


def find_peers(cache):
    known = [CommandPeer("zstd -19", "zstd -q -f -19 {new} -o {out}", "zstd -q -f -d {out} -o {back}"),
             CommandPeer("zstd --patch-from", "zstd -q -f -19 --long=27 --patch-from={base} {new} -o {out}",
                         "zstd -q -f -d --long=27 --patch-from={base} {out} -o {back}"),
             CommandPeer("xdelta3", "xdelta3 -e -f -9 -S lzma -B 67108864 -s {base} {new} {out}", "xdelta3 -d -f -s {base} {out} {back}")]
    found = [peer for peer in known if shutil.which(peer.commands[0].split()[0])]
    if shutil.which("casync"):
        found.append(CasyncPeer())
    packages = hdiff_packages(cache)
    if packages:
        found.append(HdiffPeer(packages))
    if shutil.which("bsdiff"):
        found.append(CommandPeer("bsdiff", "bsdiff {base} {new} {out}", "bspatch {base} {back} {out}"))
    return found
