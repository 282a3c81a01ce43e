"""An application that serves nothing and says that it is well, about whatever the agent has made current:

    stand_in_app.py STATE MODEL [MARKER]

With a marker it is well only if the model's file can be read and holds it.
"""

import json
import os
import socket
import sys
import time

EVERY = 0.2


def package(state, model):
    """The digest of what is current; empty when there is nothing."""
    folder = os.path.join(state, "current", model)
    return "sha256:" + os.path.basename(os.path.realpath(folder)) if os.path.isdir(folder) else ""


def is_well(state, model, marker):
    if marker is None:
        return True
    try:
        with open(os.path.join(state, "current", model, "model.onnx"), "rb") as file:
            return marker.encode() in file.read()
    except OSError:
        return False


def serve(state, model, marker=None):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(os.path.join(state, "agent.sock"))
        link.settimeout(EVERY)
        send(link, {"type": "hello", "model": model, "package": package(state, model)})
        while True:
            try:
                if not link.recv(65536):
                    return
            except TimeoutError:
                pass
            held = package(state, model)
            if held:
                send(link, {"type": "health", "model": model, "package": held, "ok": is_well(state, model, marker), "detail": ""})
            time.sleep(EVERY / 4)


def send(link, message):
    link.sendall(json.dumps(message).encode() + b"\n")


def main():
    while True:
        try:
            serve(*sys.argv[1:])
        except OSError:
            pass
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
