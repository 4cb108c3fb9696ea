"""The rows of the suite: what each compares, how its table looks, and what must be reached (issue 2)."""
from dataclasses import dataclass, field
from statistics import median
from typing import Callable

from . import http, modes, operating, postgres, traces, work
from .consumers import Whippet
from .programs import PYTHON


@dataclass
class Column:
    """A number of each consumer: its median, or, as a ratio, the median of the rounds' ratios to the reference."""
    heading: str
    metric: str
    style: str = "{:.2f}"
    ratio: bool = False


@dataclass
class Goal:
    """What Whippet's number in a column must be."""
    text: str
    column: Column
    relation: str  # ≤ or ≥
    limit: float
    title: str = "Whippet"  # whose number

    def met(self, value):
        return value <= self.limit if self.relation == "≤" else value >= self.limit


@dataclass
class Row:
    name: str
    title: str
    measure: Callable  # takes a Session; returns samples by title
    columns: list
    goals: list = field(default_factory=list)
    reference: str = ""  # title of who is compared with


def value_of(column, samples, title, reference):
    """The column's value for the consumer `title`; None when it has none."""
    own = [sample.get(column.metric) for sample in samples.get(title, [])]
    if not own or None in own:
        return None
    if not column.ratio:
        return median(own)
    others = [sample[column.metric] for sample in samples.get(reference, [])]
    return median(mine / other for mine, other in zip(own, others)) if others else None


RABBITMQC = "rabbitmq-c, blocking loop"
WHIPPET = "Whippet"

RATE = Column("messages/s", "rate", "{:,.0f}")
CPU = Column("CPU µs/message", "cpu_us")
BROKER = Column("broker's CPU µs/message", "broker_us", "{:.1f}")
PEAK = Column("peak MiB", "peak_mib", "{:.1f}")
RATE_RATIO = Column("rate, of rabbitmq-c's", "rate", ratio=True)
CPU_RATIO = Column("CPU, of rabbitmq-c's", "cpu_us", ratio=True)
CONSUMING = [RATE, CPU, PEAK, RATE_RATIO, CPU_RATIO]
FROM_RABBITMQ = [RATE, CPU, BROKER, PEAK, RATE_RATIO, CPU_RATIO]

P50_RATIO = Column("p50, of rabbitmq-c's", "p50_us", ratio=True)
P99_RATIO = Column("p99, of rabbitmq-c's", "p99_us", ratio=True)
LATENCY = [Column("p50 µs", "p50_us", "{:.0f}"), Column("p99 µs", "p99_us", "{:.0f}"),
           Column("most µs", "most_us", "{:.0f}"), P50_RATIO, P99_RATIO]


def measure_consume(session):
    cast = session.cast
    return session.interleave(
        [cast.whippet, cast.whippet_ungathered, cast.rabbitmqc, cast.rabbitmqc_100, cast.bare, cast.amqp091, cast.amqplib,
         cast.pika, cast.aio_pika],
        work.from_rabbitmq(session, session.count(200_000), 100, 500))


def measure_kilobyte(session):
    cast = session.cast
    return session.interleave([cast.whippet, cast.rabbitmqc, cast.bare],
                              work.from_rabbitmq(session, session.count(200_000), 1024, 500))


def measure_tls(session):
    cast = session.cast
    return session.interleave([cast.whippet, cast.rabbitmqc, cast.rabbitmqc_100],
                              work.from_rabbitmq(session, session.count(50_000), 100, 500, tls=True))


def measure_scripted(session):
    cast = session.cast
    return session.interleave([cast.whippet, cast.rabbitmqc, cast.bare, cast.amqp091, cast.amqplib],
                              work.from_scripted(session, session.count(1_000_000), 100, 500))


def measure_window(prefetch, full):
    def measure(session):
        cast = session.cast
        return session.interleave([cast.whippet, cast.whippet_ungathered, cast.rabbitmqc],
                                  work.from_rabbitmq(session, session.count(full), 100, prefetch))
    return measure


def measure_latency(rate, full):
    def measure(session):
        return session.interleave([Whippet(session.build, "latency"), Whippet(session.build, "latency", gathering=False),
                                   session.cast.rabbitmqc_latency],
                                  work.latency(session, session.count(full), rate))
    return measure


def measure_sleep(session):
    count = session.count(10_000)
    return session.interleave(
        [Whippet(session.build, "sleep", concurrency=count), session.cast.amqp091_sleep, session.cast.aio_pika_sleep],
        work.sleeping(session, count))


def measure_drain(session):
    return session.interleave([Whippet(session.build, "fail", retry={"attempts": 5, "delay": "1m"})],
                              work.draining(session, session.count(1_000)))


def measure_retry(session):
    return session.interleave([Whippet(session.build, "fail", retry={"attempts": 5, "delay": "1m"})],
                              work.retrying(session, session.count(10_000)))


def measure_idle(session):
    return session.interleave([session.cast.whippet, session.cast.rabbitmqc], work.idle(session, 10))


def measure_start(session):
    cast = session.cast
    samples = session.interleave([cast.whippet, cast.rabbitmqc, cast.amqp091, cast.amqplib, cast.pika, cast.aio_pika],
                                 work.starting(session))
    for own in samples.values():
        for sample, reference in zip(own, samples[RABBITMQC]):
            sample["beyond_ms"] = sample["first_ms"] - reference["handshake_ms"]
    return samples


ADMIN_OFF = "Whippet, admin port off"


def measure_admin(session):
    """As long as the scripted broker lasts: a second or two, in which the metrics are scraped every quarter of one."""
    return session.interleave([operating.Observed(session.build, admin="127.0.0.1:0"), Whippet(session.build, title=ADMIN_OFF)],
                              work.from_scripted(session, session.count(3_000_000), 100, 500))


def measure_callgrind(session):
    cast = session.cast
    return session.interleave([cast.whippet, cast.rabbitmqc, cast.bare],
                              work.instructions(session, session.count(20_000), session.count(120_000)), rounds=1)


def measure_modes(session):
    """Run modes of one processor that acknowledges at once."""
    samples = session.interleave(
        [modes.summing(title, session.build, mode, session.folder) for title, mode in MODES.items()],
        modes.each(session, session.count(10_000), session.count(110_000)))
    for own in samples.values():
        for sample, reference in zip(own, samples["loop"]):
            sample["over_us"] = sample["cpu_us"] - reference["cpu_us"]
    return samples


def measure_exec(session):
    """The command `true` for each message, beside the same without Whippet."""
    few, many = session.count(500), session.count(5_500)
    peers = [modes.Bare(session.build, kind, ["true"]) for kind in modes.Bare.titles]
    consumer = modes.named(EXEC, session.build, "exec", concurrency=8, settings={"command": ["true"]})
    take = modes.each(session, few, many, 50)
    samples = session.interleave([*peers, consumer], lambda each: take(each) if each is consumer else each.take(many))
    for own in samples.values():
        for sample, captured in zip(own, samples[modes.Bare.titles["captured"]]):
            sample["of_captured"] = sample["cpu_us"] / captured["cpu_us"]
    return samples


def measure_pipe(session):
    """A child that acknowledges whatever comes: in C, and in Python as in processors/pipe/examples."""
    build = session.build
    children = {"pipe, a child in C": [str(build.programs / "answer")],
                "pipe, a child in Python": [PYTHON, "-c", ANSWER_IN_PYTHON]}
    consumers = [modes.summing("loop", build, "loop", session.folder)]
    consumers += [modes.named(title, build, "pipe", settings={"command": command, "in_flight": 64})
                  for title, command in children.items()]
    return session.interleave(consumers, modes.each(session, session.count(5_000), session.count(55_000)))


MODES = {"loop": "loop", "process, one child": "process", "thread, four": "thread"}
EXEC = "exec"
ANSWER_IN_PYTHON = """import json, sys
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "verdict": "ack"}), flush=True)
"""
MODE_OVER = Column("CPU µs/message over loop", "over_us")
EXEC_RATIO = Column("CPU, of the bare spawn's", "cpu_us", ratio=True)
CAPTURED_RATIO = Column("CPU, of that with a body and output", "of_captured")


def measure_postgres(session):
    with postgres.Server() as server:
        return session.interleave([postgres.Postgres(session.build), postgres.PgBench()],
                                  postgres.writing(session, server, session.count(40_000)))


def measure_http(session):
    """Posts to a server that takes 100 ms for each: at most 10,000 messages a second with 1,000 in flight."""
    bare = http.Bare(session.build)
    samples = session.interleave([http.Http(session.build), bare], http.posting(session, session.count(20_000)))
    for own in samples.values():
        for sample, reference in zip(own, samples[bare.title]):
            sample["of_goal"] = sample["rate"] / min(5000, 0.9 * reference["rate"])
    return samples


ADMIN_CPU = Column("CPU, of that with the admin port off", "cpu_us", ratio=True)
TRACE_CPU_RATIO = Column("CPU, of that without traces", "cpu_us", ratio=True)
PUBLISH_RATIO = Column("rate, of publish's", "rate", ratio=True)
GROWTH = Column("MiB more than for a tenth of them", "growth_mib", "{:.1f}")
REPLAY_COLUMNS = [Column("seconds", "seconds"), RATE, CPU, PEAK, GROWTH, PUBLISH_RATIO]
REPLAY_GOALS = [
    Goal("letters per second, of publish's messages", PUBLISH_RATIO, "≥", 0.8, operating.REPLAY),
    Goal("MiB more than for a tenth of the letters", GROWTH, "≤", 1, operating.REPLAY),
    Goal("MiB more than for a tenth of the letters, to list them", GROWTH, "≤", 1, operating.LIST)]
SCRAPE_P50 = Column("p50 ms", "p50_ms")
SCRAPE_P99 = Column("p99 ms", "p99_ms")
SCRAPE_CPU = Column("CPU ms for one", "cpu_ms")
LATE_P99 = Column("the loop, late by µs: p99", "late_p99_us", "{:.0f}")
LATE_MOST = Column("most", "late_most_us", "{:.0f}")
HELD = Column("p99, beyond that without scrapes, in ms", "held_ms")
HELD_MOST = Column("most, beyond that without scrapes, in ms", "held_most_ms")
SLEEP_PEAK = Column("peak MiB", "peak_mib", "{:.1f}")
SLEEP_SECONDS = Column("seconds", "seconds")
SLEEP_ALL_SECONDS = Column("seconds at the scripted broker, to the last ack", "all_seconds")
RETRY_OVER = Column("MiB over idle", "over_mib", "{:.1f}")
DRAIN = Column("ms from SIGTERM to its end", "ms", "{:.0f}")
IDLE_RESIDENT = Column("resident MiB", "resident_mib", "{:.1f}")
IDLE_WAKE_UPS = Column("wake-ups in 10 s", "wake_ups", "{:.0f}")
PGBENCH_RATIO = Column("messages/s, of pgbench's", "rate", ratio=True)
BARE_RATE = Column("messages/s, of the bare program's", "rate", ratio=True)
BARE_CPU = Column("CPU, of the bare program's", "cpu_us", ratio=True)
HTTP_GOAL = Column("of the goal", "of_goal")
START_BEYOND = Column("ms beyond rabbitmq-c's handshake", "beyond_ms", "{:.1f}")

ROWS = [
    Row("consume", "RabbitMQ, 200,000 × 100 B, prefetch 500", measure_consume, FROM_RABBITMQ, [
        Goal("CPU per message, of rabbitmq-c's loop", CPU_RATIO, "≤", 0.4),
        Goal("messages per second, of rabbitmq-c's loop", RATE_RATIO, "≥", 1.3)], RABBITMQC),
    Row("kilobyte", "RabbitMQ, 200,000 × 1 KiB, prefetch 500", measure_kilobyte, FROM_RABBITMQ, [
        Goal("CPU per message, of rabbitmq-c's loop", CPU_RATIO, "≤", 0.6)], RABBITMQC),
    Row("tls", "RabbitMQ over TLS, 50,000 × 100 B, prefetch 500", measure_tls, FROM_RABBITMQ, [
        Goal("CPU per message, of rabbitmq-c's loop", CPU_RATIO, "≤", 1.0)], RABBITMQC),
    Row("scripted", "scripted broker, 1,000,000 × 100 B, prefetch 500", measure_scripted,
        [*CONSUMING, Column("messages per ack", "messages_per_ack", "{:.0f}")], [
        Goal("messages per second", RATE, "≥", 2e6),
        Goal("CPU µs per message", CPU, "≤", 0.4)], RABBITMQC),
    Row("window-1", "RabbitMQ, 20,000 × 100 B, prefetch 1", measure_window(1, 20_000), FROM_RABBITMQ, [
        Goal("messages per second, of rabbitmq-c's loop (0.05 for noise)", RATE_RATIO, "≥", 0.95)], RABBITMQC),
    Row("window-10", "RabbitMQ, 100,000 × 100 B, prefetch 10", measure_window(10, 100_000), FROM_RABBITMQ, [
        Goal("messages per second, of rabbitmq-c's loop (0.05 for noise)", RATE_RATIO, "≥", 0.95)], RABBITMQC),
    Row("latency", "latency at 500 messages/s, 5,000 × 100 B", measure_latency(500, 5000), LATENCY, [
        Goal("p50, of rabbitmq-c's loop", P50_RATIO, "≤", 1.15),
        Goal("p99, of rabbitmq-c's loop", P99_RATIO, "≤", 1.15)], RABBITMQC),
    Row("lone", "latency of lone messages, 20 a second, 200 × 100 B", measure_latency(20, 200), LATENCY, [
        Goal("p50, of rabbitmq-c's loop", P50_RATIO, "≤", 1.15)], RABBITMQC),
    Row("sleep", "10,000 messages that each wait 1 s", measure_sleep, [SLEEP_SECONDS, SLEEP_ALL_SECONDS, SLEEP_PEAK], [
        Goal("seconds", SLEEP_SECONDS, "≤", 1.2),
        Goal("peak MiB", SLEEP_PEAK, "≤", 60)]),
    Row("retry", "10,000 messages that wait for a retry", measure_retry,
        [Column("idle MiB", "idle_mib", "{:.1f}"), Column("waiting MiB", "waiting_mib", "{:.1f}"), RETRY_OVER], [
        Goal("MiB over idle", RETRY_OVER, "≤", 16)]),
    Row("drain", "a stop with 1,000 messages at rest", measure_drain, [DRAIN], [
        Goal("ms from SIGTERM to the end", DRAIN, "≤", 100)]),
    Row("modes", "run modes, RabbitMQ, 100,000 × 100 B, prefetch 500", measure_modes, [CPU, MODE_OVER, RATE], [
        Goal("CPU µs per message over loop, in a process", MODE_OVER, "≤", 6, "process, one child")]),
    Row("exec", "a command for each of 5,000 messages", measure_exec,
        [CPU, EXEC_RATIO, CAPTURED_RATIO, RATE], [
        Goal("CPU per message, of bare posix_spawn and wait", EXEC_RATIO, "≤", 1.3, EXEC),
        Goal("CPU per message, of the same with a body and its output", CAPTURED_RATIO, "≤", 1.3, EXEC)],
        modes.Bare.titles["bare"]),
    Row("pipe", "50,000 messages through one child", measure_pipe, [CPU, RATE]),
    Row("idle", "idle for 10 s", measure_idle, [IDLE_RESIDENT, IDLE_WAKE_UPS], [
        Goal("resident MiB", IDLE_RESIDENT, "≤", 8),
        Goal("wake-ups in 10 s: a tick a second, and heartbeats both ways", IDLE_WAKE_UPS, "≤", 16)]),
    Row("start", "start to first message", measure_start,
        [Column("ms from exec to the first message", "first_ms", "{:.1f}"), START_BEYOND], [
        Goal("ms beyond the broker's handshake", START_BEYOND, "≤", 100)]),
    Row("postgres", "PostgreSQL, 40,000 rows, each once by its inbox, 4 connections", measure_postgres,
        [RATE, CPU, PGBENCH_RATIO], [
        Goal("messages per second, of pgbench's with the same statement", PGBENCH_RATIO, "≥", 0.8)], "pgbench"),
    Row("http", "20,000 posts, 1,000 at once, to a server that takes 100 ms", measure_http, [RATE, CPU, BARE_RATE, BARE_CPU], [
        Goal("messages per second, of 5,000 or 0.9 of the bare program's", HTTP_GOAL, "≥", 1)], http.Bare.title),
    Row("admin", "the admin port looked at, scripted broker, 3,000,000 × 100 B", measure_admin, [RATE, CPU, PEAK, ADMIN_CPU], [
        Goal("CPU per message, of that with the admin port off", ADMIN_CPU, "≤", 1.1)], ADMIN_OFF),
    Row("scrape", "the metrics of 100 queues, scraped 50 times a second", operating.scrape,
        [SCRAPE_P50, SCRAPE_P99, SCRAPE_CPU, LATE_P99, LATE_MOST, HELD, HELD_MOST], [
        Goal("milliseconds for a scrape", SCRAPE_P50, "≤", 5, operating.SCRAPED),
        Goal("milliseconds by which scrapes delay the loop, p99", HELD, "≤", 1, operating.SCRAPED),
        Goal("milliseconds by which scrapes delay the loop that need not share a core, at most", HELD_MOST, "≤", 1,
             operating.SCRAPED_FIRST)], operating.LEFT_ALONE),
    Row("replay", "10,000 dead letters of 100 B, 15 times", operating.replay(10_000, 15), REPLAY_COLUMNS, REPLAY_GOALS, operating.PUBLISH),
    Row("million", "1,000,000 dead letters of 100 B", operating.replay(1_000_000, 1), REPLAY_COLUMNS, REPLAY_GOALS,
        operating.PUBLISH),
    Row("traces", "traces of a tenth, RabbitMQ, 200,000 × 100 B, prefetch 500", traces.measure, [CPU, TRACE_CPU_RATIO, RATE], [
        Goal("CPU per message, of the same without traces", TRACE_CPU_RATIO, "≤", 1.15, traces.TENTH)], traces.UNTRACED),
    Row("traces-instructions", "instructions per message with traces, scripted broker", traces.count_instructions,
        [Column("instructions/message", "instructions", "{:,.0f}"),
         Column("of those without traces", "instructions", ratio=True)], [], traces.UNTRACED),
    Row("callgrind", "instructions per message, scripted broker", measure_callgrind,
        [Column("instructions/message", "instructions", "{:,.0f}"),
         Column("of rabbitmq-c's", "instructions", ratio=True)], [], RABBITMQC),
]
