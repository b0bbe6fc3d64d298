"""The worker: counts the words of one text after the other. With `--once` it ends when none waits."""

import sys
import time
from collections import Counter

from wordcount import jobs


def count(text):
    """How often each word is in a text."""
    return dict(Counter(word.strip(".,;:!?\"'()").lower() for word in text.split()))


if __name__ == "__main__":
    connection = jobs.connect()
    while True:
        job = jobs.work(connection, count)
        if job is not None:
            print(f"job {job} is done")
        elif "--once" in sys.argv:
            break
        else:
            time.sleep(0.5)
