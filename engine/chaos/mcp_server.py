"""A scripted MCP server over stdin and stdout: ``python -m engine.chaos.mcp_server FAULT [CALLS_BEFORE_IT]``.

A process of its own, so that it may end, hang or print what it likes. See ``mcp_script.py`` for the faults.
"""

from __future__ import annotations

import sys

from engine.chaos.mcp_script import McpScript, Then

CRASHED = 3
"""Exit code of a server that ends in the middle."""


def main(arguments: list[str]) -> int:
    """Serve until stdin ends or the script says so; the exit code."""
    script = McpScript(arguments[0], after=int(arguments[1]) if len(arguments) > 1 else 0)
    if script.fault == "exit-at-start":
        return CRASHED
    for line in sys.stdin.buffer:
        reply = script.answer(line)
        for out in reply.lines:
            sys.stdout.buffer.write(out)
        sys.stdout.buffer.flush()
        if reply.then is Then.EXIT:
            return CRASHED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
