"""CPU time of the Dockerfile parser, 10,000 lines of all kinds, the best of seven runs: parse_dockerfile.py [LINES]"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from pywerf.frontend.dockerfile import parse, parse_instructions

BLOCK = b"""\
RUN apt-get update && apt-get install -y make$VERSION bar
COPY --chown=1:2 --chmod=0644 a b /c/
ENV A=1 B="two words" C=${A:-x}
RUN --mount=type=cache,target=/root/.cache echo a \\
    && echo b \\
    # a comment
    && echo c
LABEL a=b
RUN <<EOF
echo hi
EOF

# a comment
EXPOSE 80/tcp
CMD ["a", "b"]
ARG X=1
ONBUILD ADD a /b
HEALTHCHECK --interval=1s CMD true
"""


def best(work: Callable[[], object]) -> float:
    """Seconds of CPU time."""
    times = []
    for _ in range(7):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    data = b"FROM scratch\n" + BLOCK * (count // BLOCK.count(b"\n"))
    tree = parse(data)
    print("lines        ", len(data.splitlines()))
    print(f"parse         {best(lambda: parse(data)):.3f} s")
    print(f"instructions  {best(lambda: parse_instructions(tree)):.3f} s")


if __name__ == "__main__":
    main()
