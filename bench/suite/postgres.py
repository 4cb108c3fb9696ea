"""PostgreSQL: a private server, and two that write the same rows to it with the same statement."""
import json
import os
import re
import resource
import signal
import tempfile
import time
from pathlib import Path

from . import machine
from .programs import ROOT, Child, Failure, run

SCRIPT = ROOT / "scripts" / "postgres"
CONNECTIONS = 4
BODY = {"name": "Ann", "price": 12.5}

# What the processor makes of the settings below, with pgbench's variables in its parameters' places.
STATEMENT = """\\set n :n + 1
\\set id :client_id * 10000000 + :n
WITH inbox AS (INSERT INTO "whippet_inbox" (queue, id) VALUES ('bench', :id) ON CONFLICT DO NOTHING RETURNING 1) \
INSERT INTO "orders" ("id", "name", "price") SELECT :id, 'Ann', '12.5' FROM inbox
"""
TABLES = """DROP TABLE IF EXISTS orders, whippet_inbox;
CREATE TABLE orders (id text PRIMARY KEY, name text, price numeric(8, 2));
CREATE TABLE whippet_inbox (queue text, id text, done_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (queue, id));
"""


class Server:
    """As Debian configures it, and as safe: each commit is on the disk."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="whippet-postgres."))
        run(SCRIPT, "start", self.folder)
        text = (self.folder / "environment").read_text(encoding="utf-8")
        self.environment = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
        self.ask("ALTER SYSTEM SET fsync = on")
        self.ask("SELECT pg_reload_conf()")
        return self

    def __exit__(self, *_):
        run(SCRIPT, "destroy", self.folder)

    def run(self, *command, timeout=300):
        return run(*command, timeout=timeout, env={**os.environ, **self.environment})

    def ask(self, statement):
        return self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement).strip()

    def empty(self):
        self.ask("SET client_min_messages = warning; " + TABLES)
        self.ask("CHECKPOINT")

    def await_rows(self, count, timeout=300):
        limit = time.monotonic() + timeout
        while int(self.ask("SELECT count(*) FROM orders")) < count:
            if time.monotonic() > limit:
                raise Failure(f"expected {count} rows, found {self.ask('SELECT count(*) FROM orders')}")
            time.sleep(0.2)

    def rate(self):
        """Transactions a second, from the beginning of the first to that of the last."""
        return float(self.ask("SELECT (count(*) - 1) / extract(epoch FROM max(done_at) - min(done_at)) FROM whippet_inbox"))


class PgBench:
    title = "pgbench"

    def write(self, session, server, count):
        script = session.folder / "pgbench.sql"
        script.write_text(STATEMENT, encoding="ascii")
        before = children_seconds()
        server.run("pgbench", "--no-vacuum", "--protocol=prepared", f"--client={CONNECTIONS}", "--jobs=1",
                   f"--transactions={count // CONNECTIONS}", "--define=n=0", f"--file={script}")
        return children_seconds() - before


class Postgres:
    """`whippet run` with the processor postgres."""

    title = "Whippet"

    def __init__(self, build):
        self.build = build

    def configure(self, session, server):
        settings = {"connections": CONNECTIONS, "table": "orders",
                    "columns": {"id": "@message_id", "name": "name", "price": "price"},
                    "url": f"host={server.environment['PGHOST']} port={server.environment['PGPORT']} "
                           f"user={server.environment['PGUSER']} dbname={server.environment['PGDATABASE']}"}
        configuration = {
            "amqp": {"url": session.rabbitmq.url}, "admin": {"listen": "off"}, "state_dir": str(session.folder),
            "processor_path": [str(self.build.folder / "processors")],
            "queues": [{"name": session.rabbitmq.queue, "processor": "postgres", "declare": "passive", "type": "classic",
                        "concurrency": 64, "prefetch": 500, "settings": settings}],
        }
        file = session.folder / "postgres.json"
        file.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
        return file

    def write(self, session, server, count):
        body = session.folder / "body.json"
        body.write_text(json.dumps(BODY), encoding="ascii")
        session.rabbitmq.empty()
        run(self.build.whippet, "publish", session.rabbitmq.queue, "--url", session.rabbitmq.url, "--file", body, "--count",
            count)
        session.rabbitmq.await_ready(count)
        child = Child([self.build.whippet, "run", "-c", self.configure(session, server)], session.folder)
        try:
            server.await_rows(count)
            seconds = machine.process_seconds(child.process.pid)
            child.process.send_signal(signal.SIGTERM)
            child.finish(60)
            return seconds
        finally:
            child.stop()


def children_seconds():
    """What programs that have ended took of the processor."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def writing(session, server, count):
    """Writes `count` rows and looks that they are there. The processor's time is that of who writes, not the server's."""
    def take(writer):
        server.empty()
        seconds = writer.write(session, server, count)
        server.await_rows(count)
        return {"rate": server.rate(), "cpu_us": seconds / count * 1e6}
    return take
