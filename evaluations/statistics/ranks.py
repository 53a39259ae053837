"""Ranks in which equal values share the mean of their places."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mid_ranks(values: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """The ranks from 1 to n of `values`, shape (n,), and how often each distinct value occurs, in rising order.

    The counts are what the variance of a rank statistic is corrected by: sum(t^3 - t) over them is 0 without ties.

    >>> import numpy as np
    >>> ranks, ties = mid_ranks(np.array([3.0, 1.0, 3.0]))
    >>> ranks.tolist(), ties.tolist()
    ([2.5, 1.0, 2.5], [1.0, 2.0])
    """
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places], counts.astype(np.float64)
