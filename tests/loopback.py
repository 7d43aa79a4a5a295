"""A real sshd on a free port of this machine, with keys of its own, run by whoever runs the tests."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Server:
    """A running sshd. config: for ssh -F, with identity and known hosts; folder: its keys."""

    process: subprocess.Popen
    port: int
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    def url(self, **options: str) -> str:
        query = {"config": str(self.config), "python": sys.executable, **options}
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}?{urlencode(query)}"


def make_key(path: Path) -> str:
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_suffix(".pub").read_text().strip()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start a server that `Server.config` knows and that lets its user in. Skips, with the reason, without sshd."""
    if SSHD is None or shutil.which("ssh-keygen") is None or shutil.which("ssh") is None:
        pytest.skip("no sshd: install openssh-server and openssh-client")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Debian's sshd wants it when root starts it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host_key, user_key = make_key(folder / "host"), make_key(folder / "user")
    (folder / "authorized").write_text(user_key + "\n")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
        "MaxStartups 100\n"
    )
    (folder / "ssh_config").write_text(
        f"Host *\n IdentityFile {folder}/user\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known_hosts\n"
        " GlobalKnownHostsFile /dev/null\n"
    )
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    server = Server(process, port, folder)
    try:
        _await(server)
        yield server
    finally:
        process.kill()
        process.wait()


def _await(server: Server) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            return
        except OSError:
            if server.process.poll() is not None:
                pytest.skip(f"sshd does not start here: {(server.folder / 'log').read_text().strip()}")
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.05)
