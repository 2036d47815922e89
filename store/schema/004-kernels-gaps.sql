-- One row per sighting, merged to one per incarnation: read it with GROUP BY MachineId, KernelId, BootId.
CREATE TABLE kernels
(
    MachineId LowCardinality(String),
    MachineName SimpleAggregateFunction(anyLast, String),
    KernelId Int32,
    KernelName SimpleAggregateFunction(anyLast, String),
    BootId String,
    Release SimpleAggregateFunction(anyLast, String),
    Arch SimpleAggregateFunction(anyLast, String),
    -- `live` = from a collector, `imported` = from a file.
    Origin SimpleAggregateFunction(anyLast, String),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9))
)
ENGINE = AggregatingMergeTree
ORDER BY (MachineId, KernelId, BootId)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 1000;

-- Lost data: who lost how many records, when, and why (model/gap.ts).
CREATE TABLE gaps
(
    FromTime DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    ToTime DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    MachineId LowCardinality(String) CODEC(ZSTD(1)),
    MachineName LowCardinality(String) CODEC(ZSTD(1)),
    KernelId Int32 CODEC(ZSTD(1)),
    KernelName LowCardinality(String) CODEC(ZSTD(1)),
    BootId LowCardinality(String) CODEC(ZSTD(1)),
    Stream LowCardinality(String) CODEC(ZSTD(1)),
    -- -1 = the whole stream.
    Cpu Int32 CODEC(ZSTD(1)),
    -- -1 = the kernel does not say.
    Count Int64 CODEC(ZSTD(1)),
    Reason LowCardinality(String) CODEC(ZSTD(1)),
    StoredAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(FromTime)
ORDER BY (BootId, Stream, FromTime)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
