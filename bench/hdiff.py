#!/usr/bin/env python3
"""HDiffPatch on files: hdiff.py diff BASE NEW OUT, hdiff.py apply BASE DELTA OUT. LZMA2 makes its smallest patches."""

import sys

import hdiffpatch

verb, base, second, out = sys.argv[1:]
with open(base, "rb") as first_file, open(second, "rb") as second_file:
    old, other = first_file.read(), second_file.read()
result = hdiffpatch.diff(old, other, "lzma2", validate=False) if verb == "diff" else hdiffpatch.apply(old, other)
with open(out, "wb") as file:
    file.write(result)
