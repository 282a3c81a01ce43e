"""A certificate authority for tests, made with OpenSSL's command: an authority, servers, clients, and what is wrong."""

import os
import subprocess


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


class Authority:
    def __init__(self, folder, name="an authority"):
        self.folder, self.name = os.path.join(folder, name.replace(" ", "-")), name
        os.makedirs(self.folder)
        self.certificate, self._key = self.path("ca.pem"), self.path("ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 3650,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self._key, "-out", self.certificate)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def issue(self, name, hosts=(), days=300, extra=()):
        """(certificate, key): for a server with hosts, else for a client. `extra`: more extensions."""
        base = self.path(name.replace(" ", "-"))
        names = ",".join(("IP:" if host[-1].isdigit() else "DNS:") + host for host in hosts)
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
                      "extendedKeyUsage=" + ("serverAuth" if hosts else "clientAuth")]
        if hosts:
            extensions.append("subjectAltName=" + names)
        with open(base + ".ext", "w", encoding="utf-8") as file:
            file.write("\n".join([*extensions, *extra]) + "\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
                base + ".key", "-out", base + ".csr")
        # `req -x509` takes no lifetime that is over already; this does.
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.certificate, "-CAkey", self._key, "-days", days, "-extfile",
                base + ".ext", "-out", base + ".pem")
        return base + ".pem", base + ".key"


def serial(pem):
    return openssl("x509", "-in", pem, "-noout", "-serial").decode().strip().removeprefix("serial=")
