-- Which of several rings or links between two kernels, by the pack's field of that name; 0 where there is one.
ALTER TABLE ikc_messages ADD COLUMN IF NOT EXISTS Queue UInt32 CODEC(ZSTD(1)) AFTER KeyHash;
