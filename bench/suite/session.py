"""One run of the suite: what every row needs in order to measure."""
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import machine
from .brokers import Scripted
from .programs import Failure, say

SECOND_CHANCES = 2  # samples that began in quiet and were disturbed are taken again, so many times


class Session:
    def __init__(self, build, cast, rabbitmq, rounds, scale, patience):
        self.build = build
        self.cast = cast
        self.rabbitmq = rabbitmq
        self.rounds = rounds
        self.scale = scale  # of every number of messages: 1, or less for a quick run
        self.patience = patience
        self.scratch = tempfile.TemporaryDirectory(prefix="whippet-bench.")
        self.folder = Path(self.scratch.name)

    def close(self):
        self.scratch.cleanup()

    def count(self, full):
        return max(10, int(full * self.scale))

    def scripted(self, count, size):
        return Scripted(self.build, count, size, self.folder)

    @contextmanager
    def running(self, consumer, broker, count, prefetch):
        """A consumer that is stopped at the end, whatever happens."""
        running = consumer.start(self.folder, broker, count, prefetch)
        try:
            yield running
        finally:
            running.stop()

    def quietly(self, take):
        """The sample that `take` returns, with `noise`: how many cores others kept busy meanwhile. Of several, when the
        first was disturbed, the least disturbed."""
        samples = []
        for _ in range(1 + SECOND_CHANCES):
            quiet = machine.wait_for_quiet(self.rabbitmq.pid, self.patience)
            noise = machine.Noise(self.rabbitmq.pid)
            samples.append(take())
            samples[-1]["noise"] = noise.read()
            if samples[-1]["noise"] <= machine.QUIET or not quiet:
                break
        return min(samples, key=lambda sample: sample["noise"])

    def interleave(self, consumers, take, rounds=None):
        """Samples by title, one for each round: A B C A B C …, so that what changes meanwhile changes for all."""
        consumers = [consumer for consumer in consumers if consumer is not None]
        samples = {consumer.title: [] for consumer in consumers}
        for turn in range(rounds or self.rounds):
            for consumer in consumers:
                samples[consumer.title].append(self.quietly(lambda each=consumer: take(each)))
                say(f"  {turn + 1}/{rounds or self.rounds} {consumer.title}: {summary(samples[consumer.title][-1])}")
        return samples


def summary(sample):
    return ", ".join(f"{name} {value:.4g}" for name, value in sample.items())


def checked(report, count, size):
    """The report of somebody who consumed all there was. Failure when it did not."""
    if report["messages"] != count or report["bytes"] != count * size:
        raise Failure(f"expected {count} messages of {size} bytes, found {report}")
    return report
