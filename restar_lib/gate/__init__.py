"""The gate: whether a challenger may serve, with every reason. A refusal is a good answer.

`judge` measures, asks each line, and stores the verdict; `render` says it for people. Nothing is released here.
"""

from restar_lib.gate.judging import judge
from restar_lib.gate.verdict import Verdict, VerdictLine, render, render_markdown
from restar_lib.gate.verdict_log import is_provisional, last_judged_at, latest_verdict, newest, verdict_of

__all__ = [
    "Verdict",
    "VerdictLine",
    "is_provisional",
    "judge",
    "last_judged_at",
    "latest_verdict",
    "newest",
    "render",
    "render_markdown",
    "verdict_of",
]
