"""What the demo promised, checked against what the server knows, and the table that shows it."""

from terminal import bold, green, red, size, table


def _refusals(attempts, name):
    """(release, code, detail) of what this device did not keep."""
    found = []
    for release, rows in attempts.items():
        row = rows.get(name)
        if row and row["state"] in ("failed", "rolled_back") and row.get("code", "ok") != "ok":
            found.append((release, row["code"], row.get("detail", "")))
    return found


def _savings(savings):
    """What the deltas to v2 were worth, as the server counted it."""
    fetched, saved = savings["bytes_fetched"], savings["bytes_saved"]
    share = 100 * saved / (fetched + saved) if fetched + saved else 0
    return (f"deltas: v2 took {size(fetched)} instead of {size(fetched + saved)}, {share:.0f} % saved; "
            f"{savings['by_delta']} of {savings['updates']} devices came by delta")


def _packing(demo):
    """What a first installation costs less, as the server packed v1's files."""
    packed = demo.tool.json("release", "show", demo.world.model, "v1")["deltas"]["packed"]
    return (f"packed: without an earlier version, v1 took {size(packed['delta_bytes'])} instead of "
            f"{size(packed['whole_bytes'])} (both kinds)")


def _row(name, device, attempts, world):
    mine = [rows[name] for rows in attempts.values() if name in rows]
    refusals = _refusals(attempts, name)
    return [
        name,
        device["kind"],
        world.installed(name, {name: device}) or "-",
        ", ".join(f"{release}: {code}" for release, code, _ in refusals) or "-",
        size(sum(row.get("bytes_fetched", 0) for row in mine)),
        size(sum(row.get("bytes_resumed", 0) for row in mine)),
        size(sum(row.get("bytes_saved", 0) for row in mine)),
    ]


class Expectations:
    """Each is printed with what was found instead, if it does not hold."""

    def __init__(self):
        self.failed = 0

    def that(self, sentence, holds, instead=""):
        mark = green("ok  ") if holds else red("NOT ")
        print(f"  {mark} {sentence}" + (f" (found: {instead})" if instead and not holds else ""))
        self.failed += not holds


def report(demo, offline, killed):
    """Prints the table and the checks. True when everything is as told."""
    world = demo.world
    rows = world.device_rows()
    attempts = {release: world.deployments(rollout) for release, rollout in demo.rollouts.items()}
    print("\n" + table(["device", "kind", "runs", "refused, and why", "fetched", "resumed", "saved"],
                       [_row(name, rows[name], attempts, world) for name in sorted(rows)]))
    details = {(release, code): detail for name in rows for release, code, detail in _refusals(attempts, name)}
    for (release, code), detail in sorted(details.items()):
        print(f"  {release} {code}: {detail}")

    print("  " + _packing(demo))
    print("  " + _savings(demo.tool.rollout(demo.rollouts["v2"])["savings"]))

    print("\n" + bold("Checks"))
    expect = Expectations()
    _check_fleet(expect, demo, rows, attempts, offline)
    _check_refusals(expect, demo, attempts, offline)
    _check_bytes(expect, rows, attempts, killed)
    _check_deltas(expect, attempts)
    _check_server(expect, demo)
    return expect.failed == 0


def _check_fleet(expect, demo, rows, attempts, offline):
    world = demo.world
    runs = {name: world.installed(name, rows) for name in rows}
    expect.that(f"{len(rows)} devices of {len({row['kind'] for row in rows.values()})} kinds all run v1 in the end",
                len(rows) >= 8 and set(runs.values()) == {"v1"}, runs)
    expect.that("25 % of the fleet was 2 devices, one of each kind",
                len(demo.canaries) == 2 and len({rows[name]["kind"] for name in demo.canaries}) == 2, demo.canaries)
    done = {name for name, row in attempts["v2"].items() if row["previous"] == "v1"}
    expect.that("v2 reached every device that was there, from v1", done >= set(rows) - {offline}, sorted(done))
    bytes_back = attempts["v1"][offline]["bytes_fetched"]
    expect.that(f"{offline} was offline throughout, and caught up with v1 alone",
                bytes_back > 0 and not any(attempts[r].get(offline, {}).get("bytes_fetched") for r in ("v2", "v3", "v4")))


def _check_refusals(expect, demo, attempts, offline):
    for release, state, code, words in (("v3", "failed", "validate_golden", "refused before activation"),
                                        ("v4", "rolled_back", "unhealthy", "taken back by the devices themselves")):
        rows = {name: row for name, row in attempts[release].items() if name != offline}
        hit = [row for row in rows.values() if row["state"] == state and row["code"] == code]
        # Halted while the other canary was still at it: it was called back before it activated anything.
        rest = [row for row in rows.values() if row not in hit and row["state"] != "aborted"]
        expect.that(f"{release} was {words} ({code}), on canaries only", hit and not rest and len(attempts[release]) <= 3,
                    {name: (row["state"], row["code"]) for name, row in attempts[release].items()})
        status = demo.tool.rollout(demo.rollouts[release])
        expect.that(f"the rollout of {release} halted in its first stage", (status["state"], status["stage"]) == ("halted", 0),
                    status["state"])


def _check_bytes(expect, rows, attempts, killed):
    resumed = attempts["v1"][killed]["bytes_resumed"]
    expect.that(f"{killed} was killed with -9 in its download and resumed it", resumed > 0, resumed)
    others = {name: row["bytes_fetched"] for name, row in attempts["v1"].items()
              if rows[name]["kind"] == rows[killed]["kind"] and name != killed}
    whole = attempts["v1"][killed]["bytes_fetched"]
    expect.that("and paid for no byte twice (within one buffer)", others and whole <= max(others.values()) + (1 << 18),
                f"{whole} against {others}")


def _check_deltas(expect, attempts):
    rows = [row for row in attempts["v2"].values() if row["state"] == "succeeded" and row["previous"] == "v1"]
    sent, saved = (sum(row[name] for row in rows) for name in ("bytes_fetched", "bytes_saved"))
    expect.that(f"v2 came as a delta to v1: {size(sent)} instead of {size(sent + saved)}",
                rows and all(row["bytes_saved"] > 0 for row in rows),
                {row["device_name"]: (row["bytes_fetched"], row["bytes_saved"]) for row in rows})


def _check_server(expect, demo):
    states = {release: demo.tool.rollout(rollout)["state"] for release, rollout in demo.rollouts.items()}
    expect.that("v1 completed, v2 was rolled back, v3 and v4 halted",
                states == {"v1": "completed", "v2": "rolled_back", "v3": "halted", "v4": "halted"}, states)
    try:
        demo.tool.run("audit", "verify")
        verified = True
    except Exception as error:  # noqa: BLE001 - whatever it says is the finding
        verified = str(error)
    expect.that("the audit log's chain is whole", verified is True, verified)
