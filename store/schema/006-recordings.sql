-- Recordings of trace-cmd that others may lean on: the clock of a host's, by the trace id that its guests' recordings name.
CREATE TABLE recordings
(
    TraceId UInt64,
    MachineId LowCardinality(String),
    MachineName LowCardinality(String),
    KernelId Int32,
    KernelName LowCardinality(String),
    BootId String,
    -- Unix ns = BaseUnixNs + (ns - BaseRaw) * NsPerTick, where ns is the raw time, or what the counter's conversion makes of it.
    BaseRaw Int64,
    BaseUnixNs Int64,
    NsPerTick Float64,
    ErrorNs Int64,
    -- ns = (ticks * TscMult >> TscShift) + TscOffsetNs; TscMult 0 = the clock is no counter.
    TscMult UInt32,
    TscShift UInt8,
    TscOffsetNs Int64,
    StoredAt DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(StoredAt)
ORDER BY (TraceId, BootId)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 1000;

-- Threads of a host that run the CPUs of its guests, as the host's recordings tell: (BootId, HostPid) is the host's.
CREATE TABLE vcpu_threads
(
    TraceId UInt64,
    MachineId LowCardinality(String),
    MachineName LowCardinality(String),
    KernelId Int32,
    KernelName LowCardinality(String),
    BootId String,
    GuestTraceId UInt64,
    GuestName String,
    Cpu UInt16,
    HostPid Int32,
    StoredAt DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(StoredAt)
ORDER BY (TraceId, BootId, GuestTraceId, Cpu)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 1000;
