"""What the demo prints: steps, progress and a table; calm when the output is no terminal."""

import sys
import time

_START = time.monotonic()
_TTY = sys.stdout.isatty()


def elapsed():
    return time.monotonic() - _START


def _paint(code, text):
    return f"\033[{code}m{text}\033[0m" if _TTY else text


def bold(text):
    return _paint("1", text)


def green(text):
    return _paint("32", text)


def red(text):
    return _paint("31", text)


def grey(text):
    return _paint("90", text)


def step(text):
    """A line with the time since the start."""
    print(f"{grey(f'{elapsed():5.1f} s')}  {bold(text)}", flush=True)


def remark(text):
    print(f"         {text}", flush=True)


class Progress:
    """One line that is rewritten on a terminal, and printed again only when it says something new elsewhere."""

    def __init__(self):
        self._last = ""

    def show(self, text):
        if text == self._last:
            return
        self._last = text
        if _TTY:
            print(f"\r\033[K         {text}", end="", flush=True)
        else:
            remark(text)

    def done(self):
        if _TTY and self._last:
            print(flush=True)
        self._last = ""


def bar(done, whole, width=16):
    filled = width if whole == 0 else min(width, width * done // whole)
    return "[" + "#" * filled + "." * (width - filled) + "]"


def size(count):
    for unit in ("B", "KiB", "MiB"):
        if count < 1024 or unit == "MiB":
            return f"{count} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024


def table(header, rows):
    """Columns as wide as their widest cell; numbers to the right."""
    cells = [header] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for n, row in enumerate(cells):
        texts = [
            cell.rjust(width) if n and cell[:1].isdigit() and cell.endswith(("B", "0")) else cell.ljust(width)
            for cell, width in zip(row, widths)
        ]
        line = "  ".join(texts).rstrip()
        lines.append(bold(line) if n == 0 else line)
        if n == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)
