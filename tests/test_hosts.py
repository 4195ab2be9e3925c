"""SCOOP on several hosts, which are network namespaces of this machine.

Each host has a name, a cache and an SSH server of its own.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from launching import OURS, SCRIPTS, digest_of, evaluated, finish, run, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HOSTS = {"valp-alpha": 2, "valp-beta": 1, "valp-gamma": 1}
"""Name and processes; the first one runs the origin."""

FIRST, *OTHERS = HOSTS
PROCESSES = sum(HOSTS.values())

SSH_SERVER = """
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
SetEnv DEAP_VALP_CACHE={folder}/cache-{host}
"""

SSH_CLIENT = """
IdentityFile {folder}/key
IdentitiesOnly yes
UserKnownHostsFile /dev/null
StrictHostKeyChecking no
LogLevel ERROR
"""

OWN_FILES = """
hostname {host}
mount --bind {folder}/hosts /etc/hosts
mount -t tmpfs none /run
mkdir /run/sshd
"""
# What a shell does in a mount and UTS namespace to be a host. The SSH server drops its rights in
# the last folder.


def missing():
    """Why there can be no hosts here, or None."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "makes network namespaces, as root on Linux only"
    needed = ("ip", "ssh", "sshd", "ssh-keygen", "unshare", "mount")
    lacking = [name for name in needed if shutil.which(name) is None]
    if lacking:
        return f"needs {', '.join(lacking)}"
    attempt = "unshare --net --mount --uts ip link add name bridge type bridge"
    tried = subprocess.run(attempt.split(), capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no bridge in a network namespace: {tried.stderr.strip()}"
    return None


class Hosts:
    """Namespaces around one that is the switch.

    They use no address and no device of this machine itself.
    """

    def __init__(self, folder):
        self.folder = folder
        self.switch = f"valp-switch-{os.getpid()}"
        self.namespaces = {host: f"{host}-{os.getpid()}" for host in HOSTS}
        self.servers = []

    def make(self):
        addresses = {host: f"10.0.0.{number}" for number, host in enumerate(HOSTS, 1)}
        (self.folder / "hosts").write_text(
            "127.0.0.1 localhost\n"
            + "".join(f"{address} {host}\n" for host, address in addresses.items())
        )
        (self.folder / "hosts.txt").write_text(
            "".join(f"{host} {number}\n" for host, number in HOSTS.items())
        )
        (self.folder / "ssh_config").write_text(SSH_CLIENT.format(folder=self.folder))
        (self.folder / "ssh").write_text(
            f'#!/bin/sh\nexec ssh -F {shlex.quote(str(self.folder))}/ssh_config "$@"\n'
        )
        (self.folder / "ssh").chmod(0o755)
        for key in ("key", "host_key"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key)
        call("ip", "netns", "add", self.switch)
        call("ip", "-n", self.switch, "link", "add", "name", "bridge", "up", "type", "bridge")
        for host, address in addresses.items():
            self._add(host, address)
        for host in HOSTS:
            self._wait_for(host)

    def _add(self, host, address):
        name = self.namespaces[host]
        call("ip", "netns", "add", name)
        cable = f"ip link add eth0 netns {name} type veth peer name {host} netns {self.switch}"
        call(*cable.split())
        call("ip", "-n", self.switch, "link", "set", host, "up", "master", "bridge")
        call("ip", "-n", name, "link", "set", "lo", "up")
        call("ip", "-n", name, "link", "set", "eth0", "up")
        call("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        settings = self.folder / f"sshd-{host}"
        settings.write_text(SSH_SERVER.format(folder=self.folder, host=host))
        server = [*self.on(host), shutil.which("sshd"), "-D", "-e", "-f", settings]
        with (self.folder / f"log-{host}").open("w") as log:
            self.servers.append(
                subprocess.Popen(
                    server, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True
                )
            )

    def _wait_for(self, host):
        log = self.folder / f"log-{host}"
        reach = [*self.on(FIRST), self.folder / "ssh", host, "hostname"]
        end = time.monotonic() + 20
        found = subprocess.run(reach, capture_output=True, text=True, check=False)
        while found.stdout != f"{host}\n":
            assert time.monotonic() < end, found.stderr + log.read_text()
            time.sleep(0.1)
            found = subprocess.run(reach, capture_output=True, text=True, check=False)

    def on(self, host):
        """The command before one that is to run on a host."""
        shell = OWN_FILES.format(host=host, folder=shlex.quote(str(self.folder))) + 'exec "$@"'
        enter = f"ip netns exec {self.namespaces[host]} unshare --mount --uts"
        return [*enter.split(), "sh", "-ec", shell, "sh"]

    def launch(self, *arguments, launcher=FIRST, **environment):
        """Start SCOOP with its launcher on a host."""
        options = ("--hostfile", self.folder / "hosts.txt", "--ssh-executable", self.folder / "ssh")
        environment.setdefault("DEAP_VALP_CACHE", str(self.folder / f"cache-{launcher}"))
        return start(
            "-m", OURS, "-q", *options, *arguments, within=self.on(launcher), **environment
        )

    def processes(self, host):
        """Numbers of the launcher's and of what it started, on a host."""
        return [pid for pid in within(self.namespaces[host]) if OURS in command_of(pid)]

    def workers(self, host):
        """Numbers of the processes that run the script."""
        worker = ["-m", OURS, "--worker"]
        return [pid for pid in self.processes(host) if command_of(pid).split("\0")[1:4] == worker]

    def cut(self, host):
        """Pull the plug of its network."""
        call("ip", "-n", self.switch, "link", "set", host, "down")

    def mend(self):
        """Put the plugs in again, and end what was left behind them."""
        for host in HOSTS:
            call("ip", "-n", self.switch, "link", "set", host, "up")
            kill(self.processes(host))

    def remove(self):
        for name in (*self.namespaces.values(), self.switch):
            remove(name)
        for server in self.servers:
            server.wait()


def call(*command):
    subprocess.run(command, check=True)


def within(namespace):
    """Numbers of the processes in a namespace."""
    found = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def remove(namespace):
    kill(within(namespace))
    subprocess.run(["ip", "netns", "delete", namespace], check=False, stderr=subprocess.DEVNULL)


def remove_old():
    """Remove the namespaces of a test that was killed."""
    for line in subprocess.run(
        ["ip", "netns"], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        name, pid = line.split()[0], line.split()[0].rpartition("-")[2]
        if name.startswith("valp-") and not Path("/proc", pid).exists():
            remove(name)


def command_of(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""  # it ended


def kill(pids):
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    remove_old()
    made = Hosts(tmp_path_factory.mktemp("network"))
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture
def hosts(network):
    yield network
    network.mend()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the search finds in one process."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(SCRIPTS / "resume.py", "eaGuided", folder, "serial")
    assert done.status == 0, done.output
    return digest_of(folder)


def ended(hosts, process):
    """What a launcher left, after it and all that it started on any host ended."""
    done = finish(process)
    assert not done.leftover, done.output
    wait_until(lambda: not any(hosts.processes(host) for host in HOSTS), patience=30)
    return done


@pytest.mark.parametrize("launcher", [FIRST, OTHERS[0]])
def test_a_search_on_several_hosts_finds_what_one_process_finds(launcher, hosts, tmp_path):
    """Every process takes part; the data come from the cache of the host."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    serial = run(SCRIPTS / "small_search.py", "serial", 1, alone)
    done = ended(
        hosts,
        hosts.launch(SCRIPTS / "small_search.py", "scoop", PROCESSES, together, launcher=launcher),
    )
    assert done.status == 0, done.output
    found = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    assert found == [json.loads(serial.output.splitlines()[-1])]
    took_part = [path.read_text() for path in together.glob("process-*")]
    assert {host: took_part.count(host) for host in took_part} == HOSTS
    assert all(any((hosts.folder / f"cache-{host}").iterdir()) for host in HOSTS)


@pytest.mark.parametrize("launcher", [FIRST, OTHERS[0]])
@pytest.mark.parametrize("victims", [OTHERS[1:], OTHERS], ids=len)
def test_all_workers_of_hosts_killed_change_nothing(victims, launcher, hosts, whole, tmp_path):
    process = hosts.launch(SCRIPTS / "resume.py", "eaGuided", tmp_path, "scoop", launcher=launcher)
    wait_until(
        lambda: all(hosts.workers(host) for host in HOSTS) and evaluated(tmp_path) >= 4, process
    )
    time.sleep(0.2)  # in the middle of the next generation
    for host in victims:
        kill(hosts.workers(host))
    done = ended(hosts, process)
    assert done.status == 0, done.output
    assert digest_of(tmp_path) == whole


def test_a_host_whose_network_fails_changes_nothing(hosts, whole, tmp_path):
    process = hosts.launch(SCRIPTS / "resume.py", "eaGuided", tmp_path, "scoop")
    wait_until(
        lambda: all(hosts.workers(host) for host in HOSTS) and evaluated(tmp_path) >= 4, process
    )
    time.sleep(0.2)
    hosts.cut(OTHERS[-1])
    done = finish(process)
    assert done.status == 0 and not done.leftover, done.output
    assert digest_of(tmp_path) == whole
