"""What compose.py and kubernetes.py share: the faults they find, and how long a worker takes to stop."""
import re

# After shutdown_timeout: 7.5 seconds at worst (docs/containers.md has the sum), and a machine that is busy.
STOP_SECONDS = 10

faults = []


def expect(condition, fault):
    if not condition:
        faults.append(fault)


def seconds(duration):
    """Of "90s" or "1m30s", as Compose has it, or "1.5m", as Whippet does."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"([0-9.]+)(ms|s|m|h|d)", str(duration))
    expect("".join(map("".join, parts)) == duration, f"{duration} is no duration")
    return sum(float(number) * units[unit] for number, unit in parts)


def report():
    """Prints the faults, and returns the exit status that they come to."""
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0
