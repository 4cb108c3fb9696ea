#!/usr/bin/env python3
"""A terminal's screen, as `tmux capture-pane -p -e` prints it, as an SVG picture.

    terminal_picture.py COLUMNS ROWS TITLE <screen >picture.svg
"""
import re
import sys
from html import escape

CELL, LINE, MARGIN = 8.4, 18, 12  # pixels; a cell of 14 px monospace
PAPER, INK, RED = "#1b1f24", "#d5dae1", "#ff7b72"


def spans(line):
    """The line as [(text, styles)]; a style lasts until the next sequence changes it."""
    styles = set()
    for sequence, text in re.findall(r"\x1b\[([\d;]*)m|([^\x1b]+)", line):
        if text:
            yield text, frozenset(styles)
            continue
        for code in sequence.split(";"):
            if code in ("", "0"):
                styles.clear()
            elif code == "39":
                styles.discard("31")
            else:
                styles.add(code)


def picture(columns, rows, title, lines):
    width, height = columns * CELL + 2 * MARGIN, rows * LINE + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'font-family="ui-monospace, DejaVu Sans Mono, monospace" font-size="14"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>'
    )
    for row, line in enumerate(lines[:rows]):
        column = 0
        for text, styles in spans(line.rstrip("\n")):
            x, y, size = MARGIN + column * CELL, MARGIN + row * LINE, len(text) * CELL
            column += len(text)
            ink = RED if "31" in styles else INK
            if "7" in styles:
                yield f'<rect x="{x:g}" y="{y:g}" width="{size:g}" height="{LINE}" fill="{ink}"/>'
                ink = PAPER
            bold = ' font-weight="bold"' if "1" in styles else ""
            line_below = ' text-decoration="underline"' if "4" in styles else ""
            yield (
                f'<text x="{x:g}" y="{y + 13:g}" textLength="{size:g}" xml:space="preserve" '
                f'fill="{ink}"{bold}{line_below}>{escape(text)}</text>'
            )
    yield "</svg>"


if __name__ == "__main__":
    print("\n".join(picture(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.stdin.readlines())))
