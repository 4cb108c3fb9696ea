"""The machine: what it is, and how much of it others use while we measure."""
import os
import platform
import resource
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
QUIET = 0.15  # cores that others may use


def busy_seconds():
    """CPU seconds, of all cores and everybody, since the machine started."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _wait, _irq, _softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + steal) / TICKS


def process_seconds(pid):
    """CPU seconds that a process has used; 0 when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def own_seconds():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_kib(pid):
    return status_kib(pid, "VmHWM")


def status_kib(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name + ":"))


def wake_ups(pid):
    """How often the process' threads, all together, have slept and been woken."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches:"))
    return total


class Noise:
    """Measures, from its making to read(), how many cores others kept busy: neither we, nor those we started and have
    waited for, nor the broker."""

    def __init__(self, broker_pid):
        self.broker_pid = broker_pid
        self.start = self.moment()

    def moment(self):
        ours = own_seconds() + (process_seconds(self.broker_pid) if self.broker_pid else 0)
        return time.monotonic(), busy_seconds() - ours

    def read(self):
        elapsed, others = (after - before for before, after in zip(self.start, self.moment()))
        return max(0.0, others / elapsed)


def wait_for_quiet(broker_pid, patience):
    """Returns when others use little, True; or after `patience` seconds all the same, False."""
    limit = time.monotonic() + patience
    while True:
        noise = Noise(broker_pid)
        time.sleep(0.4)
        if noise.read() <= QUIET:
            return True
        if time.monotonic() > limit:
            return False


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip()


def package(name):
    """The version of a Debian package, without the packaging's own part; "" when it is not installed."""
    version = first_line("dpkg-query", "-W", "-f", "${Version}", name)
    return version.split(":")[-1].rpartition("-")[0] if version and "no packages" not in version else ""


def describe():
    """One line about the hardware and the system."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        model = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return f"{os.cpu_count()} × {model or platform.machine()}, {memory:.0f} GiB, {system}, Linux {platform.release()}"
