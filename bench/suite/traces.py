"""What tracing costs: Whippet with a collector of ours, which takes everything and looks at nothing."""
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import work
from .consumers import Whippet

UNTRACED = "no traces"
TENTH = "10 % of the messages traced"


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def collector():
    """The URL of a collector that works as long as the context lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def consumers(build, endpoint):
    untraced, tenth = Whippet(build), Whippet(build)
    untraced.title, tenth.title = UNTRACED, TENTH
    tenth.environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                         "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    return [tenth, untraced]


def measure(session):
    with collector() as endpoint:
        return session.interleave(consumers(session.build, endpoint),
                                  work.from_rabbitmq(session, session.count(200_000), 100, 500))


def count_instructions(session):
    with collector() as endpoint:
        return session.interleave(consumers(session.build, endpoint),
                                  work.instructions(session, session.count(20_000), session.count(120_000)), rounds=1)
