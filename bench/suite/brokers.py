"""Where messages come from: a private RabbitMQ, and the scripted broker."""
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from .programs import Child, Failure


@dataclass
class Encrypted:
    """Where a consumer goes by TLS."""
    url: str
    queue: str
    ca: Path  # whom to trust


class RabbitMQ:
    """The broker that scripts/broker has started for us, and the one queue used in it."""

    ca = None

    def __init__(self, build):
        self.build = build
        self.url = os.environ["WHIPPET_TEST_AMQP_URL"]
        self.folder = Path(os.environ["WHIPPET_TEST_BROKER"])
        self.pid = int((self.folder / "server.pid").read_text(encoding="ascii"))
        self.queue = "bench"

    def over_tls(self):
        """The same queue by its encrypted port."""
        url = re.search(r"^export AMQPS_URL=(.*)$", (self.folder / "environment").read_text(encoding="utf-8"), re.MULTILINE)
        if not url:
            raise Failure("the broker takes no TLS; is openssl installed?")
        return Encrypted(url[1], self.queue, self.folder / "tls" / "ca.pem")

    def empty(self):
        self.build.queue("prepare", self.url, self.queue)

    def fill(self, count, size):
        """Leaves exactly `count` messages in the queue."""
        self.empty()
        self.build.publish(self.url, self.queue, count, size)
        self.await_ready(count)

    def publish(self, count, size, rate):
        self.build.publish(self.url, self.queue, count, size, rate, timeout=count / rate + 60)

    def counts(self):
        """Messages ready, and consumers."""
        return tuple(map(int, self.build.queue("count", self.url, self.queue).split()))

    def await_ready(self, count, patience=30):
        self.await_counts(lambda ready, _: ready == count, patience, f"{count} messages ready")

    def await_consumer(self, patience=30):
        self.await_counts(lambda _, consumers: consumers == 1, patience, "a consumer")

    def await_counts(self, hold, patience, what):
        limit = time.monotonic() + patience
        while not hold(*self.counts()):
            if time.monotonic() > limit:
                raise Failure("the queue has {} messages ready and {} consumers; expected {}".format(*self.counts(), what))
            time.sleep(0.05)


class Scripted:
    """A scripted broker for one consumer: `with Scripted(…) as broker`, then broker.report()."""

    pid = None
    ca = None

    def __init__(self, build, count, size, folder):
        self.count = count
        self.queue = "bench"
        folder = Path(folder, "scripted")
        folder.mkdir(exist_ok=True)
        self.child = Child([build.programs / "scripted_broker", count, size], folder)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.child.line()}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stop()

    def report(self):
        """What it saw, once the consumer has gone. Failure unless every message was acknowledged."""
        report = self.child.report(timeout=30)
        if report["settled"] != self.count or report["returned"] != 0:
            raise Failure(f"of {self.count} messages {report['settled']} were settled, {report['returned']} by returning")
        return report
