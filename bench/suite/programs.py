"""The programs that take part: built, found, run, and stopped when they do not end."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
PYTHON = "/usr/bin/python3"  # Debian's: the one that its python3-pika and python3-aio-pika belong to


class Failure(Exception):
    """What went wrong, for people."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(*command, timeout=300, **options):
    """Runs a command to its end and returns its standard output. Failure, with what it said, when that is not good."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command)}: not done after {timeout} s") from None
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


class Build:
    """A build folder, and what is in it."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.programs = self.folder / "bench"
        self.plugins = self.programs / "plugins"
        self.processors = self.folder / "processors"
        self.whippet = self.folder / "cmd" / "whippet"
        self.node_modules = self.programs / "node" / "node_modules"
        self.results = self.programs / "results"

    def make(self):
        say(f"building in {self.folder}")
        run("cmake", "-S", ROOT, "-B", self.folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DWHIPPET_TESTS=OFF",
            "-DWHIPPET_BENCH=ON")
        run("cmake", "--build", self.folder, timeout=1800)
        self.results.mkdir(exist_ok=True)
        self.install_node_modules()

    def install_node_modules(self):
        """amqplib comes from npm. Without npm, or without a network, the rows simply lack it."""
        folder = self.node_modules.parent
        if (self.node_modules / "amqplib").exists() or not shutil.which("npm"):
            return
        folder.mkdir(exist_ok=True)
        shutil.copy(PEERS / "package.json", folder)
        try:
            run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)
        except Failure as failure:
            say(f"goes on without amqplib: {failure}")

    def queue(self, *arguments):
        return run(self.programs / "queue", *arguments)

    def publish(self, *arguments, timeout=300):
        run(self.programs / "publish", *arguments, timeout=timeout)


class Child:
    """A program that was started and will print a line of JSON as its last; its standard error is kept in a file."""

    def __init__(self, command, folder, environment=None):
        self.command = " ".join(map(str, command))
        self.log = Path(folder) / "log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=log, text=True,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})

    def line(self):
        """The first line it prints, while it goes on. Failure when it ends before that."""
        line = self.process.stdout.readline().strip()
        if not line:
            raise Failure(f"{self.command}: {self.tail()}")
        return line

    def finish(self, timeout):
        """Waits for its end and returns what it had printed. Failure when it did not end well."""
        try:
            output, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise Failure(f"{self.command}: not done after {timeout} s: {self.tail()}") from None
        if self.process.returncode != 0:
            raise Failure(f"{self.command}: status {self.process.returncode}: {self.tail()}")
        return output

    def report(self, timeout):
        output = self.finish(timeout)
        try:
            return json.loads(output.splitlines()[-1])
        except (IndexError, ValueError):
            raise Failure(f"{self.command}: printed no report: {output[-500:]!r}") from None

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self):
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
