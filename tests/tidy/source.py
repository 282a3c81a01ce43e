"""A C++ file as the tidy rules see it: its lines, its code without comments and literals, its statements and functions.

This is no parser. It knows tokens and brackets, and says for each `{` whether it opens a block, the body of a lambda or
an initialiser; that is enough for what the rules ask, and fast enough to run at every build.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

_BLANKABLE = re.compile(
    r"""(?P<line>//(?:[^\n\\]|\\.|\\\n)*)
      | (?P<block>/\*.*?\*/)
      | (?P<raw>(?:u8|u|U|L)?R"(?P<tag>[^ ()\\\t\n]{0,16})\(.*?\)(?P=tag)")
      | (?P<text>"(?:[^"\\\n]|\\.)*")
      | (?P<char>(?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)+')
      | (?P<include>^[ \t]*\#[ \t]*include[^\n]*)
      | (?P<directive>^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_TOKEN = re.compile(r"[A-Za-z_]\w*|::|->|<=|>=|==|!=|&&|\|\||[0-9][\w.']*|\S")
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)

_TYPE_WORDS = {"struct", "class", "union", "enum", "namespace", "extern"}
_BLOCK_WORDS = {"else", "do", "try"}
_FUNCTION_ENDS = {"const", "override", "noexcept", "final", "mutable", "requires", "volatile", "&", "&&"}


@dataclass
class Function:
    """From the first line of its declaration to its closing bracket."""

    first: int
    last: int
    head: str

    @property
    def lines(self):
        return self.last - self.first + 1


@dataclass
class Statement:
    """What stands between two statement boundaries; the bodies of lambdas in it are statements of their own."""

    line: int
    awaits: bool = False
    awaits_line: int = 0
    braced_line: int = 0
    lambda_line: int = 0


@dataclass
class Lambda:
    line: int
    captures: str
    coroutine: bool = False


@dataclass
class _Frame:
    kind: str  # "top", "type", "function", "block", "lambda", "init"
    statement: Statement
    tokens: list = field(default_factory=list)  # of the statement under way
    parens: list = field(default_factory=list)  # positions of "(" and "[" in tokens
    function: Function = None
    opened_lambda: Lambda = None


class Source:
    """`path` is relative to the top of the tree, with '/'."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")

    @property
    def is_header(self):
        return self.path.endswith((".h", ".hpp"))

    @cached_property
    def code(self):
        """The text with comments, literals and directives blanked; lines stay where they are."""

        def blank(match):
            blanked = re.sub(r"[^\n]", " ", match.group())
            return f'"{blanked[1:-1]}"' if match.lastgroup in ("text", "char", "raw") else blanked

        return _BLANKABLE.sub(blank, self.text)

    @cached_property
    def code_lines(self):
        return self.code.split("\n")

    @cached_property
    def includes(self):
        """(line, name, quoted) of each include."""
        return [
            (self.text.count("\n", 0, m.start()) + 1, m.group(2), m.group(1) == '"')
            for m in _INCLUDE.finditer(self.text)
        ]

    @cached_property
    def functions(self):
        return self._scan[0]

    @cached_property
    def statements(self):
        return self._scan[1]

    @cached_property
    def lambdas(self):
        return self._scan[2]

    @cached_property
    def _scan(self):
        return _Scanner(self.code).scan()


class _Scanner:
    def __init__(self, code):
        self.code = code
        self.functions, self.statements, self.lambdas = [], [], []
        self.stack = [_Frame("top", Statement(1))]

    def scan(self):
        line, at = 1, 0
        for match in _TOKEN.finditer(self.code):
            line += self.code.count("\n", at, match.start())
            at = match.start()
            self._token(match.group(), line)
        self._end_statement(line)
        return self.functions, self.statements, self.lambdas

    def _token(self, token, line):
        frame = self.stack[-1]
        if token == "{":
            return self._open(line)
        if token == "}":
            return self._close(line)
        if not frame.tokens and frame.kind != "init":
            frame.statement.line = line
        frame.tokens.append(token)
        if token in "([":
            frame.parens.append(len(frame.tokens) - 1)
        elif token in ")]" and frame.parens:
            frame.parens.pop()
        elif token == ";" and not frame.parens and frame.kind != "init":
            self._end_statement(line)
        elif token == ":" and frame.tokens[-2:-1] and frame.tokens[-2] in ("public", "protected", "private"):
            self._end_statement(line)
        elif token in ("co_await", "co_yield", "co_return"):
            self._coroutine_word(token, line)

    def _coroutine_word(self, token, line):
        for frame in reversed(self.stack):
            if frame.kind != "init":
                break
        if token == "co_await":
            frame.statement.awaits = True
            frame.statement.awaits_line = line
        for outer in reversed(self.stack):
            if outer.kind == "lambda":
                outer.opened_lambda.coroutine = True
            if outer.kind in ("lambda", "function"):
                break

    def _owner(self):
        """The nearest frame that has statements."""
        return next(frame for frame in reversed(self.stack) if frame.kind != "init")

    def _open(self, line):
        frame = self.stack[-1]
        kind, captures = self._classify(frame)
        if kind == "init":
            owner = self._owner()
            owner.statement.braced_line = owner.statement.braced_line or line
            self.stack.append(_Frame("init", owner.statement))
            return
        if kind == "lambda":
            self._owner().statement.lambda_line = line
            opened = Lambda(line, captures)
            self.lambdas.append(opened)
            self.stack.append(_Frame("lambda", Statement(line), opened_lambda=opened))
            return
        first, head = frame.statement.line if frame.tokens else line, " ".join(frame.tokens)
        self._end_statement(line)
        function = Function(first, line, head) if kind == "function" else None
        self.stack.append(_Frame(kind, Statement(line), function=function))

    def _close(self, line):
        if len(self.stack) == 1:
            return  # unbalanced through the preprocessor: carry on
        frame = self.stack.pop()
        if frame.kind in ("init", "lambda"):
            if frame.kind == "lambda":
                self._end(frame, line)
            self.stack[-1].tokens.append("}")
            return
        self._end(frame, line)
        if frame.function:
            frame.function.last = line
            self.functions.append(frame.function)

    def _end_statement(self, line):
        self._end(self.stack[-1], line)

    def _end(self, frame, line):
        if frame.tokens:
            self.statements.append(frame.statement)
        frame.statement, frame.tokens, frame.parens = Statement(line), [], []

    def _classify(self, frame):
        tokens = frame.tokens
        if frame.kind == "init":
            bracket = self._lambda_captures(tokens)
            return ("lambda", bracket) if bracket is not None else ("init", "")
        if not tokens:
            return ("type", "") if frame.kind == "top" else ("block", "")
        captures = self._lambda_captures(tokens)
        if captures is not None:
            return "lambda", captures
        if frame.parens:
            return "init", ""
        last = tokens[-1]
        if tokens[0] == "template":
            tokens = self._without_template(tokens)
        opener = next((t for t in tokens if t not in ("inline", "typedef", "static", "constexpr")), "")
        if opener in _TYPE_WORDS and "=" not in tokens and "(" not in tokens:
            return "type", ""
        if last in _BLOCK_WORDS or last == ":":
            return "block", ""
        return self._function_or_init(frame, tokens, last)

    def _function_or_init(self, frame, tokens, last):
        in_function = frame.kind in ("function", "block", "lambda")
        if last == ")":
            return ("block" if in_function else "function"), ""
        if in_function:
            return "init", ""
        if last in _FUNCTION_ENDS and "(" in tokens:
            return "function", ""
        if "->" in tokens and "(" in tokens and "=" not in tokens:
            return "function", ""
        if last == "}" and "(" in tokens and ":" in tokens:
            return "function", ""  # a constructor whose last member is initialised with braces
        return "init", ""

    @staticmethod
    def _without_template(tokens):
        depth = 0
        for i, token in enumerate(tokens[1:], 1):
            depth += (token == "<") - (token == ">")
            if depth == 0 and i > 1:
                return tokens[i + 1 :]
        return tokens

    @staticmethod
    def _lambda_captures(tokens):
        """The capture list when these tokens end in the head of a lambda, else None."""
        i = len(tokens) - 1
        # Back over what may stand between the parameters and the body: mutable, noexcept, -> type.
        steps = 0
        while i >= 0 and tokens[i] not in (")", "]") and steps < 24:
            if tokens[i] in (";", "=", "(", "[", "return", "}"):
                return None
            i -= 1
            steps += 1
        while i >= 0 and tokens[i] == ")":
            opening = _matching(tokens, i)
            if opening <= 0:
                return None
            if tokens[opening - 1] in ("noexcept", "decltype"):
                i = opening - 2
                continue
            i = opening - 1
            break
        if i < 0 or tokens[i] != "]":
            # `-> awaitable<X>` behind the parameters: look for the arrow.
            arrow = max((k for k, t in enumerate(tokens) if t == "->"), default=-1)
            if arrow > 0 and tokens[arrow - 1] in (")", "mutable", "noexcept"):
                return _Scanner._lambda_captures(tokens[:arrow])
            return None
        opening = _matching(tokens, i)
        if opening < 0:
            return None
        before = tokens[opening - 1] if opening else ""
        if before in (")", "]") or re.fullmatch(r"\w+", before) and before not in ("return", "co_return", "co_await"):
            return None  # an index
        if opening + 1 <= i and tokens[opening + 1] == "[":
            return None  # an attribute
        return "".join(tokens[opening + 1 : i])


def _matching(tokens, closing):
    """The position of the bracket that `closing` closes, or -1."""
    depth = 0
    for i in range(closing, -1, -1):
        if tokens[i] in (")", "]"):
            depth += 1
        elif tokens[i] in ("(", "["):
            depth -= 1
            if depth == 0:
                return i
    return -1
