-- Spans: the exporter's columns, then the kernel's own. Duration is in ns.
CREATE TABLE otel_traces
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),

    MachineId LowCardinality(String) DEFAULT ResourceAttributes['host.id'] CODEC(ZSTD(1)),
    MachineName LowCardinality(String) DEFAULT ResourceAttributes['host.name'] CODEC(ZSTD(1)),
    -- -1 = the span is not a kernel's.
    KernelId Int32 DEFAULT toInt32OrDefault(ResourceAttributes['mk.kernel.id'], toInt32(-1)) CODEC(ZSTD(1)),
    KernelName LowCardinality(String) DEFAULT ResourceAttributes['mk.kernel.name'] CODEC(ZSTD(1)),
    BootId LowCardinality(String) DEFAULT ResourceAttributes['mk.boot.id'] CODEC(ZSTD(1)),
    StoredAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1)),

    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- Time range of each trace: Grafana narrows its search with it. Filled by the view. Only sums of minima and maxima may stand
-- behind a view here: a load that is repeated after a crash runs it again (docs/decisions/003-exactly-once.md).
CREATE TABLE otel_traces_trace_id_ts
(
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime) CODEC(Delta(4), ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime) CODEC(Delta(4), ZSTD(1)),
    StoredAt SimpleAggregateFunction(max, DateTime64(9)) CODEC(Delta(8), ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(Start)
ORDER BY TraceId
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
SELECT TraceId, min(toDateTime(Timestamp)) AS Start, max(toDateTime(Timestamp)) AS End, max(StoredAt) AS StoredAt
FROM otel_traces
WHERE TraceId != ''
GROUP BY TraceId;
