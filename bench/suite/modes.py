"""What a message costs where processes take part in it: the CPU of the worker and of all that it starts."""
import json
import os
import re
import signal
import time

from . import machine
from .consumers import Whippet
from .programs import Failure, run

ENDLESS = 10 ** 9  # messages until the processor `sum` would stop the worker by itself


def tree_seconds(pid):
    """CPU seconds of a process and its descendants, those that have ended included."""
    parents = {}
    used = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(name)] = int(fields[1])
        used[int(name)] = sum(map(int, fields[11:15])) / machine.TICKS

    def belongs(process):
        while process not in (0, 1, pid):
            process = parents.get(process, 0)
        return process == pid
    return sum(seconds for process, seconds in used.items() if belongs(process))


def named(title, build, plugin, **queue_keys):
    consumer = Whippet(build, plugin, **queue_keys)
    consumer.title = title
    return consumer


def summing(title, build, mode, folder):
    return named(title, build, "sum", run=mode, settings={"count": ENDLESS, "report": str(folder / "report.json")})


def await_idle(running, patience=120):
    """Until the worker says that it has nothing in flight."""
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        running.child.process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
        said = re.findall(r"(\d+) in flight\"", running.child.log.read_text(encoding="utf-8", errors="replace"))
        if said and said[-1] == "0":
            return
    raise Failure(f"not idle after {patience} s: {running.child.tail()}")


def total(session, consumer, count, prefetch):
    """CPU seconds from the worker's start until `count` messages are done, and the seconds that took."""
    session.rabbitmq.fill(count, 100)
    before = time.monotonic()
    with session.running(consumer, session.rabbitmq, count, prefetch) as running:
        session.rabbitmq.await_counts(lambda ready, _: ready == 0, 300, "an empty queue")
        await_idle(running)
        seconds = time.monotonic() - before
        cpu = tree_seconds(running.pid)
        running.child.process.send_signal(signal.SIGTERM)
        running.child.finish(60)
    session.rabbitmq.await_ready(0)
    return cpu, seconds


def each(session, few, many, prefetch=500):
    """For one message more: two runs of which only the number of messages differs."""
    def take(consumer):
        less, more = (total(session, consumer, count, prefetch) for count in (few, many))
        return {"cpu_us": (more[0] - less[0]) / (many - few) * 1e6, "rate": (many - few) / max(more[1] - less[1], 1e-3)}
    return take


class Bare:
    """posix_spawn and wait, without a broker: "bare" is nothing else, "captured" also gives a body to standard input and
    reads what comes of the other two, without which no command is of use."""
    titles = {"bare": "bare posix_spawn and wait", "captured": "the same with a body and its output"}

    def __init__(self, build, kind, command):
        self.program = build.programs / "spawn"
        self.title = self.titles[kind]
        self.command = [kind, *command]

    def take(self, count):
        report = json.loads(run(self.program, count, *self.command))
        return {"cpu_us": report["cpu"] / count * 1e6, "rate": count / report["seconds"]}
