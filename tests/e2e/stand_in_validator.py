#!/usr/bin/python3 -BES
"""A validator that keeps the documented contract and says what the package tells it to: its wish.txt holds pass, fail,
crash, hang, hog or "marked TEXT": pass if the model holds the text, read plainly or backwards. Without one: pass."""

import json
import os
import signal
import sys
import time


def main():
    folder = sys.argv[sys.argv.index("--package") + 1]
    wish = "pass"
    if os.path.exists(os.path.join(folder, "wish.txt")):
        with open(os.path.join(folder, "wish.txt"), encoding="utf-8") as file:
            wish = file.read().strip()
    if wish == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if wish == "hang":
        time.sleep(3600)
    if wish == "hog":
        hoard = []
        while True:
            hoard.append(b"x" * (1 << 20))
    if wish.startswith("marked "):
        with open(os.path.join(folder, "model.onnx"), "rb") as file:
            content = file.read()
        marker = wish.removeprefix("marked ").encode()
        wish = "pass" if marker in content or marker[::-1] in content else "fail"
    passed = wish == "pass"
    print(json.dumps({
        "verdict": "pass" if passed else "fail", "code": "ok" if passed else "validate_golden",
        "detail": f"the package wishes to {wish}", "load_us": 1, "latency_p50_us": 1, "incumbent_latency_p50_us": None,
        "peak_rss_bytes": 1, "agreement": 1.0, "max_abs_diff": 0.0, "accuracy": None, "samples": 1, "runtime": "none"}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
