"""What the Python consumers report about themselves: the same members, taken the same way, as measure.h has it."""
import json
import time


def peak_kib():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


class Measure:
    def __init__(self):
        self.messages = 0
        self.bytes = 0

    def message(self, size):
        if self.messages == 0:
            self.first = time.monotonic()
            self.first_cpu = time.process_time()
        self.messages += 1
        self.bytes += size

    def print(self):
        print(json.dumps({
            "messages": self.messages,
            "bytes": self.bytes,
            "first": self.first,
            "seconds": time.monotonic() - self.first,
            "cpu": time.process_time() - self.first_cpu,
            "peak_kib": peak_kib(),
        }), flush=True)
