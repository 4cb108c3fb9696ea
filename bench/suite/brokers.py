"""Where messages come from: a private RabbitMQ, and the scripted broker."""
import os
import time
from pathlib import Path

from .programs import Child, Failure


class RabbitMQ:
    """The broker that scripts/broker has started for us, and the one queue used in it."""

    def __init__(self, build):
        self.build = build
        self.url = os.environ["WHIPPET_TEST_AMQP_URL"]
        self.pid = int(Path(os.environ["WHIPPET_TEST_BROKER"], "server.pid").read_text(encoding="ascii"))
        self.queue = "bench"

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
