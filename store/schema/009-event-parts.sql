-- A load is a part of some 20 MB: as one file it costs half of the CPU time that a file for each of 38 columns does
-- (bench/trace-dat.bench.ts: import). What merges make of them is wide again.
ALTER TABLE events MODIFY SETTING min_bytes_for_wide_part = 134217728;
