"""Results, as files and as tables: on the terminal, and between the markers of docs/performance.md."""
import json
import re
import time

from .programs import ROOT, Failure
from .rows import ROWS, value_of

DOCUMENT = ROOT / "docs" / "performance.md"


def save(folder, row, samples, circumstances):
    result = {"date": time.strftime("%Y-%m-%d"), "samples": samples, **circumstances}
    (folder / f"{row.name}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def load(folder):
    """Saved results by the name of their row."""
    files = {row.name: folder / f"{row.name}.json" for row in ROWS}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}


def cell(column, samples, title, reference):
    value = value_of(column, samples, title, reference)
    return "–" if value is None else column.style.format(value)


def grid(lines):
    """A table in Markdown; the first line is its head, the first column its names."""
    head, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "| --- |" + " ---: |" * (len(lines[0]) - 1), *body])


def table(row, result):
    samples = result["samples"]
    lines = [["", *(column.heading for column in row.columns)]]
    lines += [[title, *(cell(column, samples, title, row.reference) for column in row.columns)] for title in samples]
    return grid(lines)


def noise(result):
    values = sorted(sample["noise"] for own in result["samples"].values() for sample in own)
    return f"others used {values[len(values) // 2]:.2f} cores at the median, {values[-1]:.2f} at most"


def footnote(result):
    rounds = max(len(own) for own in result["samples"].values())
    return f"{result['date']}; rounds: {rounds}; {noise(result)}."


def goals(results):
    """Every goal there is a result for: row, what, wanted, found, met."""
    for row in ROWS:
        for goal in row.goals if row.name in results else []:
            value = value_of(goal.column, results[row.name]["samples"], goal.title, row.reference)
            if value is not None:
                yield row, goal, value


def goal_lines(row, results):
    lines = []
    for _, goal, value in goals({row.name: results[row.name]}):
        style = goal.column.style
        limit = f"{goal.limit:,.0f}" if goal.limit >= 1000 else f"{goal.limit:g}"
        lines.append([f"[{row.title}](#{row.name})", goal.text, f"{goal.relation} {limit}", style.format(value),
                      "met" if goal.met(value) else "**missed**"])
    return grid([[""] * 5, *lines]).splitlines()[2:]


def goals_table(results, present):
    """Goals of rows without a result are as they stand in `present`, the document."""
    block = present.partition("<!-- bench:goals -->")[2].partition("<!-- /bench:goals -->")[0]
    lines = grid([["work", "measure", "goal", "found", ""]]).splitlines()
    for row in ROWS:
        standing = [line for line in block.splitlines() if f"](#{row.name})" in line]
        lines += goal_lines(row, results) if row.name in results else standing
    return "\n".join(lines)


def replace_block(text, name, content):
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise Failure(f"{DOCUMENT.relative_to(ROOT)}: the markers {begin} … {end} are missing")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


def write_document(results):
    """Puts every result that is there into the document. Rows without one keep the table they have."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for row in ROWS:
        if row.name in results:
            result = results[row.name]
            text = replace_block(text, row.name, f"\n{table(row, result)}\n\n{footnote(result)}\n")
    text = replace_block(text, "goals", f"\n{goals_table(results, text)}\n")
    latest = max(results.values(), key=lambda result: result["date"])
    text = replace_block(text, "machine", f"\n- {latest['machine']}\n- {latest['versions']}\n")
    DOCUMENT.write_text(text, encoding="utf-8")


def print_result(row, result):
    print(f"\n{row.title}\n\n{table(row, result)}\n\n{footnote(result)}")
    for _, goal, value in goals({row.name: result}):
        verdict = "met" if goal.met(value) else "MISSED"
        print(f"{verdict}: {goal.text}: {goal.column.style.format(value)}, goal {goal.relation} {goal.limit:g}")
