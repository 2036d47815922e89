-- Incidents (model/incident.ts): what went wrong, as one thing. A row for each revision of each: read it with FINAL, and
-- WHERE MergedInto = ''.
CREATE TABLE incidents
(
    Id String,
    Revision UInt32,
    Kind LowCardinality(String),
    -- `critical`, `error`, `warning`; `info` = a life event that was asked for.
    Severity LowCardinality(String),
    -- `open` or `resolved`.
    State LowCardinality(String),
    Title String CODEC(ZSTD(1)),
    MachineId LowCardinality(String),
    MachineName LowCardinality(String),
    -- -1 = no kernel is known to be the one.
    KernelId Int32,
    KernelName LowCardinality(String),
    BootId String,
    FirstTime DateTime64(9),
    LastTime DateTime64(9),
    -- 1970 = it is open.
    ResolvedTime DateTime64(9),
    -- Half-width of the interval that holds the true FirstTime, ns; -1 = unknown.
    ErrorNs Int64,
    -- Reports, messages and lost records that it is made of.
    Count UInt64,
    Reason String CODEC(ZSTD(1)),
    -- The line that says so.
    Evidence String CODEC(ZSTD(1)),
    Resolution String,
    -- Of a kernel that ended: its last lines over all its streams, with their own stamps.
    LastWords Array(String) CODEC(ZSTD(1)),
    -- Other kernels that said something of it, in parallel arrays.
    OtherKernelIds Array(Int64),
    OtherKernels Array(String),
    OtherBoots Array(String),
    -- Not empty: late records showed that it is a part of that one, or (`-`) that it is none.
    MergedInto String,
    StoredAt DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(Revision)
ORDER BY (MachineId, Id)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 1000;
