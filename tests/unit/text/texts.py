"""Texts that tests make up."""

import time
from collections.abc import Callable

from hypothesis import strategies as st

TRICKY = (
    st.text(max_size=300)
    | st.text(st.sampled_from("aасеfr.1 @$!|\u200b\u0301\u202e👍漢가가\n-_[]():/"), max_size=300)
    | st.text(st.characters(codec=None), max_size=100)
)
"""Ordinary texts, texts made of what this code treats specially, and texts with lone surrogates."""


def seconds(work: Callable[[], object]) -> float:
    """CPU time of this thread, the better of two."""

    def once() -> float:
        begin = time.thread_time()
        work()
        return time.thread_time() - begin

    return min(once(), once())
