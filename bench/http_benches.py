"""Check-ins, new connections and downloads, beside nginx on the same core."""

from harness import interleaved, row, wrk

KEPT_CONNECTIONS = 64
NEW_CONNECTIONS = 16
CHECKIN = "/api/v1/device/checkin"


def checkin(run, world):
    ours, peer = world.server(), world.nginx()
    rows = []
    for tls, goal in ((False, 0.55), (True, 0.65)):
        mine, theirs = interleaved(run, ours, peer, lambda t, tls=tls: wrk(
            run, t, t.url(tls, CHECKIN), KEPT_CONNECTIONS, body=ours.body))
        what = f"idle check-ins, keep-alive, {'TLS' if tls else 'plain'}"
        rows.append(row(what, "1/s", mine["requests"], theirs["requests"], peer.name, goal))
    return rows


def newconn(run, world):
    ours, peer = world.server(), world.nginx()
    mine, theirs = interleaved(run, ours, peer, lambda t: wrk(
        run, t, t.url(True, CHECKIN), NEW_CONNECTIONS, close=True, body=ours.body))
    what = "new TLS connection and check-in"
    # The load generator's half of a handshake costs as much as the server's: the second row is what the server could do.
    return [row(what, "1/s", mine["requests"], theirs["requests"], peer.name, 0.6),
            row(what + ", a second of the server's CPU", "1/s", mine["requests_cpu"], theirs["requests_cpu"], peer.name,
                0.6)]


def download(run, world):
    ours, peer = world.server(), world.nginx()
    rows = []
    for tls in (False, True):
        mine, theirs = interleaved(run, ours, peer, lambda t, tls=tls: wrk(
            run, t, t.url(tls, t.file_path), 2, method="GET"))
        what = f"download of 256 MiB, {'TLS' if tls else 'plain'}"
        mebi = 1 << 20
        rows.append(row(what, "MiB/s", mine["bytes"] / mebi, theirs["bytes"] / mebi, peer.name, 0.8))
        rows.append(row(what + ", a second of the server's CPU", "MiB/s", mine["bytes_cpu"] / mebi,
                        theirs["bytes_cpu"] / mebi, peer.name, 0.8))
    return rows
