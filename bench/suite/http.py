"""HTTP: a server that takes its time, and two that post the same bodies to it, with the same number under way."""
import json
import signal

from . import machine
from .programs import Child, run

IN_FLIGHT = 1000
PREFETCH = 2 * IN_FLIGHT  # acknowledgements gather, and there is to be no shortage meanwhile
MILLISECONDS = 100
SIZE = 100


class Bare:
    title = "bare curl-multi program"

    def __init__(self, build):
        self.program = build.programs / "posts"

    def post(self, _session, url, server, count):
        report = json.loads(run(self.program, url, count, IN_FLIGHT, SIZE))
        return server.report(60), report["cpu"]


class Http:
    """`whippet run` with the processor http."""

    title = "Whippet"

    def __init__(self, build):
        self.build = build

    def configure(self, session, url):
        configuration = {
            "amqp": {"url": session.rabbitmq.url}, "admin": {"listen": "off"}, "state_dir": str(session.folder),
            "processor_path": [str(self.build.processors)],
            "queues": [{"name": session.rabbitmq.queue, "processor": "http", "declare": "passive", "type": "classic",
                        "concurrency": IN_FLIGHT, "prefetch": PREFETCH, "settings": {"url": url}}],
        }
        file = session.folder / "http.json"
        file.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
        return file

    def post(self, session, url, server, count):
        session.rabbitmq.fill(count, SIZE)
        child = Child([self.build.whippet, "run", "-c", self.configure(session, url)], session.folder)
        try:
            report = server.report(120)
            session.rabbitmq.await_ready(0)
            seconds = machine.process_seconds(child.process.pid)
            child.process.send_signal(signal.SIGTERM)
            child.finish(60)
            session.rabbitmq.await_ready(0)
            return report, seconds
        finally:
            child.stop()


def posting(session, count):
    """The rate is the server's, from the first request to the last answer; the CPU is that of who posts."""
    def take(poster):
        folder = session.folder / "server"
        folder.mkdir(exist_ok=True)
        server = Child([session.build.programs / "late_server", count, MILLISECONDS], folder)
        try:
            seen, seconds = poster.post(session, f"http://127.0.0.1:{server.line()}/", server, count)
        finally:
            server.stop()
        return {"rate": count / seen["seconds"], "cpu_us": seconds / count * 1e6, "most": seen["most"],
                "connections": seen["connections"]}
    return take
