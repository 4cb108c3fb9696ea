"""What it costs to look at a worker, and to bring back what failed: scrapes, and `whippet dead`."""
import http.client
import json
import os
import re
import threading
import time
import urllib.request

from . import machine
from .consumers import Running, Whippet
from .programs import Child, Failure
from .work import MEBIBYTE

# --- Dead letters: how fast they are replayed, and in how much memory

PUBLISH = "whippet publish"
REPLAY = "whippet dead replay"
LIST = "whippet dead list"
BODY = "x" * 100
HEADERS = ("whippet-reason=rejected", "whippet-queue=bench", "whippet-failed-at=2026-11-21T09:30:00.123Z",
           "whippet-error=no such customer")


class Command:
    """`whippet` with these arguments."""

    def __init__(self, title):
        self.title = title


def dead_queue(session):
    return f"{session.rabbitmq.queue}.dead"


def timed(session, *arguments):
    """Runs it to its end: seconds, CPU seconds, and the most memory it had, in MiB, seen every 10 ms."""
    peak, cpu = 0, 0.0
    began = time.monotonic()
    child = Child([session.build.whippet, *arguments], session.folder, {"AMQP_URL": session.rabbitmq.url})
    try:
        while child.process.poll() is None:
            try:
                peak, cpu = machine.peak_kib(child.process.pid), machine.process_seconds(child.process.pid)
            except (OSError, StopIteration):
                pass  # it has ended in between
            time.sleep(0.01)
        seconds = time.monotonic() - began
        child.finish(60)
    finally:
        child.stop()
    return seconds, cpu, peak / MEBIBYTE


def bury(session, count):
    """Leaves so many dead letters, published like any message. What that took."""
    session.rabbitmq.empty()
    session.build.queue("prepare", session.rabbitmq.url, dead_queue(session))
    headers = [argument for header in HEADERS for argument in ("--header", header)]
    return timed(session, "publish", dead_queue(session), "--quiet", "--count", count, "--body", BODY, *headers)


class Letters:
    """The dead-letter queue, and the commands that work on it: each finds as many letters there as it is to have."""

    def __init__(self, session):
        self.session = session
        self.lying = 0

    def work(self, title, count):
        """What `timed` tells of the command `title`, with so many letters."""
        if title == PUBLISH or self.lying != count:
            buried = bury(self.session, count)
            self.lying = count
            if title == PUBLISH:
                return buried
        if title == LIST:
            return timed(self.session, "dead", "list", dead_queue(self.session))
        self.lying = 0
        used = timed(self.session, "dead", "replay", dead_queue(self.session), "--quiet")
        self.session.rabbitmq.await_ready(count)
        return used


def replay(full, rounds=None):
    """Publishes so many letters, lists them and replays them; a tenth of them first: memory must not grow with their
    number."""
    commands = [Command(PUBLISH), Command(LIST), Command(REPLAY)]

    def measure(session):
        count = session.count(full)
        letters = Letters(session)
        less = {command.title: letters.work(command.title, count // 10)[2] for command in commands}

        def take(command):
            seconds, cpu, peak = letters.work(command.title, count)
            sample = {"seconds": seconds, "peak_mib": peak, "growth_mib": peak - less[command.title]}
            return sample if command.title == LIST else {**sample, "rate": count / seconds, "cpu_us": cpu / count * 1e6}
        return session.interleave(commands, take, rounds)
    return measure


# --- Everything on: the admin port, a listener to its events, and scrapes

class Observed(Whippet):
    """A worker that is looked at while it works: somebody has its dashboard open, and its metrics are scraped."""

    EVERY = 0.25  # seconds

    def start(self, folder, broker, count, prefetch):
        running = super().start(folder, broker, count, prefetch)
        for look in self.listen, self.scrape:
            threading.Thread(target=self.watch, args=(look, running), daemon=True).start()
        return running

    def watch(self, look, running):
        """Until the worker has ended."""
        try:
            look(admin_port(running))
        except (OSError, http.client.HTTPException, Failure):
            pass

    def listen(self, address):
        with urllib.request.urlopen(address + "/api/events", timeout=30) as events:
            while events.read1():
                pass

    def scrape(self, address):
        while True:
            with urllib.request.urlopen(address + "/metrics", timeout=5) as answer:
                answer.read()
            time.sleep(self.EVERY)


# --- Scrapes: how long they take, and whether the loop notices

SCRAPED = "scraped"
LEFT_ALONE = "not scraped"
SCRAPED_FIRST = "scraped, the loop at real-time priority"
LEFT_ALONE_FIRST = "not scraped, the loop at real-time priority"
QUEUES = 100
SCRAPES = 200
PAUSE = 0.02  # seconds from one to the next


class Watched:
    """A worker with many queues; in one of them `probe` looks at how late the loop is. `first`: the loop's thread gets a
    core whenever it wants one, so that it is late only where it waits for something of the worker's own."""

    def __init__(self, title, build, scraped, first):
        self.title = title
        self.build = build
        self.scraped = scraped
        self.first = first

    def start(self, folder, broker, count, prefetch):
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        others = [{"name": f"{broker.queue}-{number}", "processor": "sum", "prefetch": prefetch,
                   "settings": {"count": 10 ** 9, "report": str(folder / "none")}} for number in range(1, QUEUES)]
        probe = {"name": broker.queue, "processor": "probe", "timeout": "5m", "prefetch": prefetch,
                 "settings": {"count": count, "report": str(report)}}
        file = folder / "whippet.json"
        file.write_text(json.dumps({
            "amqp": {"url": broker.url}, "admin": {"listen": "127.0.0.1:0"}, "processor_path": [str(self.build.plugins)],
            "queues": [{"declare": "if-missing", "type": "classic", **queue} for queue in [probe, *others]],
        }), encoding="utf-8")
        started = time.monotonic()
        child = Child([self.build.whippet, "run", "-c", file], folder)
        if self.first:
            os.sched_setscheduler(child.process.pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        return Running(child, started, report)


def admin_port(running, patience=30):
    """Its address, once every queue is consumed."""
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        said = re.search(r"admin port at (http://[0-9.]+:[0-9]+)", running.child.log.read_text(encoding="utf-8"))
        try:
            if said and urllib.request.urlopen(said[1] + "/readyz", timeout=5).status == 200:
                return said[1]
        except OSError:
            pass  # not yet
        time.sleep(0.05)
    raise Failure(f"not ready after {patience} s: {running.child.tail()}")


def scrape_often(address, seconds):
    """Milliseconds that each scrape took, sorted; none where nobody is to scrape."""
    taken = []
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if address is not None:
            began = time.monotonic()
            with urllib.request.urlopen(address + "/metrics", timeout=5) as answer:
                answer.read()
            taken.append((time.monotonic() - began) * 1e3)
        time.sleep(PAUSE)
    return sorted(taken)


def scrape(session):
    """The probe wakes a thousand times a second, five seconds long."""
    seconds = SCRAPES * PAUSE

    def take(watched):
        session.rabbitmq.empty()
        with session.running(watched, session.rabbitmq, int((seconds + 1) * 1000), 10) as running:
            address = admin_port(running)
            session.build.publish(session.rabbitmq.url, session.rabbitmq.queue, 1, 100)
            taken = scrape_often(address if watched.scraped else None, seconds)
            report = running.report()
        sample = {"late_p99_us": report["p99_us"], "late_most_us": report["most_us"], "cpu": report["cpu"]}
        if taken:
            sample.update(p50_ms=taken[len(taken) // 2], p99_ms=taken[len(taken) * 99 // 100], scrapes=len(taken))
        return sample

    samples = session.interleave([Watched(SCRAPED, session.build, True, False), Watched(LEFT_ALONE, session.build, False, False),
                                  Watched(SCRAPED_FIRST, session.build, True, True),
                                  Watched(LEFT_ALONE_FIRST, session.build, False, True)], take)
    for title, reference in (SCRAPED, LEFT_ALONE), (SCRAPED_FIRST, LEFT_ALONE_FIRST):
        for sample, alone in zip(samples[title], samples[reference]):
            sample["cpu_ms"] = (sample["cpu"] - alone["cpu"]) / sample["scrapes"] * 1e3
            sample["held_ms"] = (sample["late_p99_us"] - alone["late_p99_us"]) / 1e3
            sample["held_most_ms"] = (sample["late_most_us"] - alone["late_most_us"]) / 1e3
    return samples
