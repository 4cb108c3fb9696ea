"""Who consumes: whippet and its peers, all started alike and all reporting alike (measure.h)."""
import json
import shutil
import time
from pathlib import Path

from . import machine
from .programs import PEERS, PYTHON, Child, Failure, run


class Running:
    """A consumer at work."""

    def __init__(self, child, started, report_file=None):
        self.child = child
        self.started = started
        self.report_file = report_file
        self.pid = child.process.pid

    def report(self, timeout=300):
        """Waits for its end. What it reported, and `started`: the moment just before it was started."""
        if self.report_file is None:
            report = self.child.report(timeout)
        else:
            self.child.finish(timeout)
            report = self.read_report_file()
        return {**report, "started": self.started}

    def read_report_file(self):
        try:
            return json.loads(self.report_file.read_text(encoding="ascii"))
        except OSError:
            raise Failure(f"{self.child.command}: wrote no report: {self.child.tail()}") from None

    def await_report_file(self, timeout):
        """Waits for the report of one that goes on working after it."""
        limit = time.monotonic() + timeout
        while not self.report_file.exists():
            if time.monotonic() > limit or self.child.process.poll() is not None:
                raise Failure(f"{self.child.command}: no report after {timeout} s: {self.child.tail()}")
            time.sleep(0.02)
        return self.read_report_file()

    def stop(self):
        self.child.stop()


class Peer:
    """A program that takes URL, QUEUE, COUNT and PREFETCH, and perhaps more, and prints its report."""

    def __init__(self, title, command, more=(), environment=None, version=""):
        self.title = title
        self.command = command
        self.more = more
        self.environment = environment
        self.version = version

    def under(self, wrapper):
        return Peer(self.title, [*wrapper, *self.command], self.more, self.environment)

    def start(self, folder, broker, count, prefetch):
        environment = {**(self.environment or {}), **({"SSL_CERT_FILE": str(broker.ca)} if broker.ca else {})}
        started = time.monotonic()
        return Running(Child([*self.command, broker.url, broker.queue, count, prefetch, *self.more], folder, environment),
                       started)


class Whippet:
    """`whippet run` with one of the plugins of bench/plugins."""

    def __init__(self, build, plugin="sum", gathering=True, title=None, admin="off", **queue_keys):
        self.title = title or ("Whippet" if gathering else "Whippet, reads not gathered")
        self.command = [build.whippet if gathering else build.programs / "whippet_ungathered"]
        self.build = build
        self.plugin = plugin
        self.admin = admin
        self.queue_keys = queue_keys
        self.environment = None

    def under(self, wrapper):
        wrapped = Whippet(self.build, self.plugin, **self.queue_keys)
        wrapped.environment = self.environment
        wrapped.command = [*wrapper, *self.command]
        return wrapped

    def start(self, folder, broker, count, prefetch):
        folder = Path(folder)
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        configuration = {
            "amqp": {"url": broker.url, **({"tls": {"ca": str(broker.ca)}} if broker.ca else {})},
            "admin": {"listen": self.admin},
            "processor_path": [str(self.build.plugins), str(self.build.processors)],
            "queues": [{
                "name": broker.queue, "processor": self.plugin, "declare": "passive", "type": "classic",
                "prefetch": prefetch, "settings": {"count": count, "report": str(report)}, **self.queue_keys,
            }],
        }
        file = folder / "whippet.json"
        file.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
        started = time.monotonic()
        return Running(Child([*self.command, "run", "-c", file], folder, self.environment), started, report)


class Cast:
    """The consumers that this machine has. One that is missing is None."""

    def __init__(self, build):
        self.build = build
        self.whippet = Whippet(build)
        self.whippet_ungathered = Whippet(build, gathering=False)
        rabbitmqc = machine.package("librabbitmq4")
        self.rabbitmqc = self.native("rabbitmq-c, blocking loop", "rabbitmqc", version=rabbitmqc)
        self.rabbitmqc_100 = self.native("rabbitmq-c, an ack per 100", "rabbitmqc", ("ack-every", 100), rabbitmqc)
        self.rabbitmqc_latency = self.native(self.rabbitmqc.title, "rabbitmqc", ("latency",), rabbitmqc)
        self.bare = self.native("bare loop, no framework", "bare", version=rabbitmqc)
        go = machine.package("golang-github-rabbitmq-amqp091-go-dev")
        self.amqp091 = self.native("Go amqp091", "amqp091", version=go)
        self.amqp091_sleep = self.native("Go amqp091, a goroutine each", "amqp091", ("sleep",), go)
        self.pika = self.python("pika", "pika_consumer.py", "python3-pika")
        self.aio_pika = self.python("aio-pika, uvloop", "aio_pika_consumer.py", "python3-aio-pika")
        self.aio_pika_sleep = self.python("aio-pika, a task each", "aio_pika_consumer.py", "python3-aio-pika", ("sleep",))
        self.amqplib = self.node()

    def native(self, title, name, more=(), version=""):
        program = self.build.programs / name
        return Peer(title, [program], more, version=version) if program.exists() else None

    def python(self, title, script, package, more=()):
        version = machine.package(package)
        return Peer(title, [PYTHON, PEERS / script], more, version=version) if version else None

    def node(self):
        manifest = self.build.node_modules / "amqplib" / "package.json"
        if not shutil.which("node") or not manifest.exists():
            return None
        version = json.loads(manifest.read_text(encoding="utf-8"))["version"]
        return Peer("Node amqplib", ["node", PEERS / "amqplib.js"], version=version,
                    environment={"NODE_PATH": str(self.build.node_modules)})

    def versions(self):
        """One line: what was measured, and against which broker."""
        parts = [f"RabbitMQ {machine.package('rabbitmq-server')}", run(self.build.whippet, "version").splitlines()[0]]
        parts += [f"{name} {peer.version}" for name, peer in (
            ("rabbitmq-c", self.rabbitmqc), ("amqp091-go", self.amqp091), ("pika", self.pika), ("aio-pika", self.aio_pika),
            ("amqplib", self.amqplib)) if peer]
        parts += [f"Python {machine.first_line(PYTHON, '--version').split()[-1]}"]
        parts += [f"Node {machine.first_line('node', '--version')}"] if self.amqplib else []
        parts += [f"Go {machine.first_line('go', 'version').split()[2].removeprefix('go')}"] if self.amqp091 else []
        return ", ".join(parts)
