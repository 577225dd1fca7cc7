"""Reads a latency.hlog with the HdrHistogram of Python and prints what is in it, as JSON."""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

totals = {}
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3_600_000_000_000, 3))
while True:
    histogram = reader.get_next_interval_histogram()
    if histogram is None:
        break
    tag = histogram.get_tag()
    if tag not in totals:
        totals[tag] = HdrHistogram(1, 3_600_000_000_000, 3)
    totals[tag].add(histogram)
print(json.dumps({
    tag: {"count": total.get_total_count(), "p50": total.get_value_at_percentile(50), "max": total.get_max_value()}
    for tag, total in totals.items()
}))
