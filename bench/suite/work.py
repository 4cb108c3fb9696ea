"""What is measured: each function here takes one sample, a dict of numbers, of one consumer."""
import signal
import time

from . import machine
from .session import checked

MEBIBYTE = 1024  # in KiB


def consuming(report):
    return {
        "rate": report["messages"] / report["seconds"],
        "cpu_us": report["cpu"] / report["messages"] * 1e6,
        "peak_mib": report["peak_kib"] / MEBIBYTE,
    }


def from_rabbitmq(session, count, size, prefetch, tls=False):
    """Consumes a full queue until it is empty, and looks that it is."""
    broker = session.rabbitmq.over_tls() if tls else session.rabbitmq

    def take(consumer):
        session.rabbitmq.fill(count, size)
        before = machine.process_seconds(session.rabbitmq.pid)
        with session.running(consumer, broker, count, prefetch) as running:
            report = checked(running.report(), count, size)
        after = machine.process_seconds(session.rabbitmq.pid)
        session.rabbitmq.await_ready(0)
        return {**consuming(report), "broker_us": (after - before) / count * 1e6}
    return take


def from_scripted(session, count, size, prefetch):
    def take(consumer):
        with session.scripted(count, size) as broker:
            with session.running(consumer, broker, count, prefetch) as running:
                report = checked(running.report(), count, size)
            seen = broker.report()
        return {**consuming(report), "messages_per_ack": count / max(1, seen["acks"])}
    return take


def latency(session, count, rate):
    """Publishes at an even rate to somebody who waits for it."""
    def take(consumer):
        session.rabbitmq.empty()
        with session.running(consumer, session.rabbitmq, count, 500) as running:
            session.rabbitmq.await_consumer()
            session.rabbitmq.publish(count, 100, rate)
            report = running.report()
        return {"p50_us": report["p50_us"], "p99_us": report["p99_us"], "most_us": report["most_us"]}
    return take


def sleeping(session, count):
    """Every message waits a second. `all_seconds`: at the scripted broker, from the first delivery to the last ack."""
    def take(consumer):
        session.rabbitmq.fill(count, 100)
        with session.running(consumer, session.rabbitmq, count, count) as running:
            report = checked(running.report(), count, 100)
        session.rabbitmq.await_ready(0)
        with session.scripted(count, 100) as broker:
            with session.running(consumer, broker, count, count) as running:
                running.report()
            seen = broker.report()
        return {"seconds": report["seconds"], "all_seconds": seen["seconds"], "peak_mib": report["peak_kib"] / MEBIBYTE}
    return take


def retrying(session, count):
    """Every message fails at once and waits for its retry; then the worker is stopped, and returns them all."""
    def take(consumer):
        session.rabbitmq.empty()
        with session.running(consumer, session.rabbitmq, count, count) as running:
            session.rabbitmq.await_consumer()
            time.sleep(1)
            idle = machine.status_kib(running.pid, "VmRSS")
            session.build.publish(session.rabbitmq.url, session.rabbitmq.queue, count, 100)
            running.await_report_file(60)
            time.sleep(1)
            waiting = machine.status_kib(running.pid, "VmRSS")
            running.child.process.send_signal(signal.SIGTERM)
            running.child.finish(60)
        session.rabbitmq.await_ready(count, patience=180)  # which the broker takes its time for: each is returned by itself
        return {"idle_mib": idle / MEBIBYTE, "waiting_mib": waiting / MEBIBYTE, "over_mib": (waiting - idle) / MEBIBYTE}
    return take


def draining(session, count):
    """Every message fails at once and waits for its retry. `ms`: from SIGTERM until the worker has returned them and ended."""
    def take(consumer):
        session.rabbitmq.empty()
        with session.running(consumer, session.rabbitmq, count, count) as running:
            session.rabbitmq.await_consumer()
            session.build.publish(session.rabbitmq.url, session.rabbitmq.queue, count, 100)
            running.await_report_file(60)
            time.sleep(1)
            stopped = time.monotonic()
            running.child.process.send_signal(signal.SIGTERM)
            running.child.finish(60)
            ended = time.monotonic()
        session.rabbitmq.await_ready(count)
        return {"ms": (ended - stopped) * 1e3}
    return take


def idle(session, seconds):
    def take(consumer):
        session.rabbitmq.empty()
        with session.running(consumer, session.rabbitmq, 1, 500) as running:
            session.rabbitmq.await_consumer()
            time.sleep(2)
            before = machine.wake_ups(running.pid)
            time.sleep(seconds)
            wake_ups = machine.wake_ups(running.pid) - before
            resident = machine.status_kib(running.pid, "VmRSS")
        return {"resident_mib": resident / MEBIBYTE, "wake_ups": wake_ups}
    return take


def starting(session):
    """`first_ms`: from just before the program was started to its first message, which was waiting for it.
    `handshake_ms`: from its connecting to that message, where the consumer says so: rabbitmq-c's loop does."""
    def take(consumer):
        session.rabbitmq.fill(1, 100)
        with session.running(consumer, session.rabbitmq, 1, 500) as running:
            report = running.report()
        sample = {"first_ms": (report["first"] - report["started"]) * 1e3}
        if "connecting" in report:
            sample["handshake_ms"] = (report["first"] - report["connecting"]) * 1e3
        return sample
    return take


def instructions(session, few, many):
    """Instructions in user space for one message more: two runs under callgrind, of which only the number of messages
    differs, so that starting and stopping do not count."""
    def total(consumer, count):
        output = session.folder / "callgrind.out"
        wrapped = consumer.under(["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}"])
        with session.scripted(count, 100) as broker:
            with session.running(wrapped, broker, count, 500) as running:
                checked(running.report(timeout=900), count, 100)
            broker.report()
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("totals:"))

    def take(consumer):
        return {"instructions": (total(consumer, many) - total(consumer, few)) / (many - few)}
    return take
