-- The kernel's own description of stored events, for exports in its own form: one format file per boot and event.
CREATE TABLE event_texts
(
    BootId String,
    FormatId UInt64,
    Event String,
    Format String CODEC(ZSTD(3)),
    StoredAt DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(StoredAt)
ORDER BY (BootId, FormatId)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 1000;

-- How the pages of a boot's ring buffers are laid out.
CREATE TABLE page_layouts
(
    BootId String,
    Endian LowCardinality(String),
    HeaderPage String,
    PrintkFormats String CODEC(ZSTD(3)),
    StoredAt DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(StoredAt)
ORDER BY BootId
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 1000;
