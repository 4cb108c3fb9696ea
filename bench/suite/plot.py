"""docs/performance.svg: what a message costs, and how many go through, by consumer."""
import subprocess

from .programs import ROOT, Failure
from .rows import CPU, RATE, value_of

PICTURE = ROOT / "docs" / "performance.svg"
SCRIPT = ROOT / "bench" / "plot.gnuplot"


def data(result):
    """One line for each consumer: its name, CPU µs per message, thousands of messages a second."""
    samples = result["samples"]
    for title in sorted(samples, key=lambda each: value_of(CPU, samples, each, "")):
        yield f'"{title}" {value_of(CPU, samples, title, ""):.3f} {value_of(RATE, samples, title, "") / 1000:.1f}'


def draw(result, folder):
    file = folder / "plot.data"
    file.write_text("\n".join(data(result)) + "\n", encoding="utf-8")
    command = ["gnuplot", "-e", f"data='{file}'; picture='{PICTURE}'", str(SCRIPT)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise Failure(f"no plot: {error}") from None
    if done.returncode != 0:
        raise Failure(f"no plot: gnuplot: {done.stderr.strip()}")
