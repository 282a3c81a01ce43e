"""What is measured: the bare HTTP layer, or the real server with a device enrolled."""

from harness import SERVER_CORE, Target, free_port, wait_for_port

BARE_ANSWER = '{"type":"idle","poll_seconds":30,"revision":12345,"token":null,"assignment":null}'


class BareWorld:
    """The HTTP layer alone (bare_server.cpp): what the real server's figures can reach at most."""

    def __init__(self, run):
        self.run, self.ours, self.peer = run, None, None

    def server(self):
        if self.ours is None:
            cert, key = self.run.certificate()
            plain, tls = free_port(), free_port()
            process = self.run.start([self.run.binary("bare_server"), str(plain), str(tls), cert, key,
                                      self.run.big_file()], SERVER_CORE, "bare_server.out")
            wait_for_port(tls, process)
            self.ours = Target("bare_server", plain, tls, process, "/blob")
        return self.ours

    def nginx(self):
        if self.peer is None:
            self.peer = self.run.nginx(BARE_ANSWER)
        return self.peer
