// Reads a latency.hlog with hdr-histogram-js and prints what is in it, as JSON.
const fs = require("fs");
const hdr = require("hdr-histogram-js");

const reader = new hdr.HistogramLogReader(fs.readFileSync(process.argv[2], "utf8"));
const totals = {};
for (let histogram = reader.nextIntervalHistogram(); histogram; histogram = reader.nextIntervalHistogram()) {
  const total = (totals[histogram.tag] ??= hdr.build({ bitBucketSize: 64, highestTrackableValue: 3.6e12, numberOfSignificantValueDigits: 3 }));
  // One by one: with `add`, version 3.0.1 was seen to make NaN of a count that it had read correctly.
  for (let index = 0; index < histogram.countsArrayLength; index++) {
    const count = histogram.getCountAtIndex(index);
    if (count > 0) total.recordValueWithCount(histogram.valueFromIndex(index), count);
  }
}
const figures = Object.entries(totals).map(([tag, total]) => [
  tag,
  { count: total.totalCount, p50: total.getValueAtPercentile(50), max: total.maxValue },
]);
console.log(JSON.stringify(Object.fromEntries(figures)));
