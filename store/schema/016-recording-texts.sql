-- What a recording holds beside its events, as it holds it, for exports in its own form. A kernel's symbols are some 10 MB, of which
-- 2 MB stay.
CREATE TABLE recording_texts
(
    BootId String,
    -- `file:<name>`: the streams of its instances begin with it.
    Stream String,
    -- kallsyms, saved_cmdlines, or options: [[id, base64], …] as JSON.
    Kind LowCardinality(String),
    Content String CODEC(ZSTD(6)),
    StoredAt DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(StoredAt)
ORDER BY (BootId, Stream, Kind)
SETTINGS index_granularity = 1, non_replicated_deduplication_window = 1000;
