-- Log records: the columns of the OpenTelemetry Collector's ClickHouse exporter, then the kernel's own, typed. The defaults
-- fill the typed columns when another OTLP pipeline inserts here.
CREATE TABLE otel_logs
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8 CODEC(ZSTD(1)),
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8 CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName String CODEC(ZSTD(1)),

    ObservedTimestamp DateTime64(9) DEFAULT Timestamp CODEC(Delta(8), ZSTD(1)),
    MachineId LowCardinality(String) DEFAULT ResourceAttributes['host.id'] CODEC(ZSTD(1)),
    MachineName LowCardinality(String) DEFAULT ResourceAttributes['host.name'] CODEC(ZSTD(1)),
    -- -1 = the record is not a kernel's.
    KernelId Int32 DEFAULT toInt32OrDefault(ResourceAttributes['mk.kernel.id'], toInt32(-1)) CODEC(ZSTD(1)),
    KernelName LowCardinality(String) DEFAULT ResourceAttributes['mk.kernel.name'] CODEC(ZSTD(1)),
    BootId LowCardinality(String) DEFAULT ResourceAttributes['mk.boot.id'] CODEC(ZSTD(1)),
    Stream LowCardinality(String) DEFAULT ScopeAttributes['mk.stream'] CODEC(ZSTD(1)),
    Sequence UInt64 DEFAULT toUInt64OrZero(LogAttributes['mk.seq']) CODEC(Delta(8), ZSTD(1)),
    -- The record's own stamp in the unit of ClockDomain; -1 = it has none.
    RawTime Int64 DEFAULT toInt64OrDefault(LogAttributes['mk.clock.raw'], toInt64(-1)) CODEC(Delta(8), ZSTD(1)),
    ClockDomain LowCardinality(String) DEFAULT ScopeAttributes['mk.clock.domain'] CODEC(ZSTD(1)),
    -- Half-width of the interval that holds the true time, ns; -1 = unknown.
    ClockErrorNs Int64 DEFAULT toInt64OrDefault(ScopeAttributes['mk.clock.error_ns'], toInt64(-1)) CODEC(Delta(8), ZSTD(1)),
    -- Kernel level 0 (emerg) … 7 (debug), 255 = unknown.
    Level UInt8 DEFAULT multiIf(SeverityNumber = 0, 255, SeverityNumber >= 21, 0, SeverityNumber >= 19, 1, SeverityNumber = 18, 2,
        SeverityNumber = 17, 3, SeverityNumber >= 13, 4, SeverityNumber >= 10, 5, SeverityNumber = 9, 6, 7) CODEC(ZSTD(1)),
    Facility UInt16 DEFAULT toUInt16OrZero(LogAttributes['mk.facility']) CODEC(ZSTD(1)),
    Cpu Int32 DEFAULT toInt32OrDefault(LogAttributes['cpu.logical_number'], toInt32(-1)) CODEC(ZSTD(1)),
    Pid Int32 DEFAULT toInt32OrDefault(LogAttributes['thread.id'], toInt32(-1)) CODEC(ZSTD(1)),
    Flags UInt16 DEFAULT toUInt16OrZero(LogAttributes['mk.flags']) CODEC(ZSTD(1)),
    -- One value for each load, unlike any other's: a load that a crash cut short is found and undone by it. Retention counts
    -- from here too, so that an old log that is imported today stays.
    StoredAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1)),

    Caller String ALIAS multiIf(LogAttributes['mk.caller'] != '', LogAttributes['mk.caller'], Pid >= 0, concat('T', toString(Pid)),
        Cpu >= 0, concat('C', toString(Cpu)), ''),
    LogUid String ALIAS concat(BootId, ':', Stream, ':', toString(Sequence)),

    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_lower_body lower(Body) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
