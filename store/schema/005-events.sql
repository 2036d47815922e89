-- What the fields of an event mean: one row per event format ever seen (store/event-formats.ts). A Join table, since the
-- alias `events.Fields` looks names up in it; a format that comes again changes nothing.
CREATE TABLE event_formats
(
    FormatId UInt64,
    Name String,
    System String,
    Event String,
    FieldNames Array(String),
    -- int32, uint32, int64, uint64, string
    FieldKinds Array(String),
    FieldTypes Array(String),
    -- k > 0 = the k-th integer (I0 is 1), k < 0 = the -k-th text (S0 is -1).
    FieldSlots Array(Int64),
    FieldHex Array(Int64)
)
ENGINE = Join(ANY, LEFT, FormatId);

-- All trace events of all kernels. Fields lie in slots by position (I0 … S0 …); read them by name through the view of the
-- event, or through `Fields`.
CREATE TABLE events
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    -- Timestamp - RawTime, ns: one number as long as the clock fit stands.
    RawOffset Int64 CODEC(Delta(8), ZSTD(1)),
    MachineId LowCardinality(String) CODEC(ZSTD(1)),
    MachineName LowCardinality(String) CODEC(ZSTD(1)),
    KernelId Int32 CODEC(ZSTD(1)),
    KernelName LowCardinality(String) CODEC(ZSTD(1)),
    BootId LowCardinality(String) CODEC(ZSTD(1)),
    Stream LowCardinality(String) CODEC(ZSTD(1)),
    ClockDomain LowCardinality(String) CODEC(ZSTD(1)),
    ClockErrorNs Int64 CODEC(Delta(8), ZSTD(1)),
    -- `sched:sched_switch`; text input without a system has the bare name.
    Event LowCardinality(String) CODEC(ZSTD(1)),
    FormatId UInt64 CODEC(Delta(8), ZSTD(1)),
    Cpu UInt16 CODEC(ZSTD(1)),
    -- Thread that was running.
    Pid Int32 CODEC(ZSTD(1)),
    Comm LowCardinality(String) CODEC(ZSTD(1)),
    Flags UInt8 CODEC(ZSTD(1)),
    PreemptCount UInt8 CODEC(ZSTD(1)),
    -- Verbatim text of imported lines; empty where the fields say it all.
    Body String CODEC(ZSTD(1)),
    I0 Int64 CODEC(ZSTD(1)),
    I1 Int64 CODEC(ZSTD(1)),
    I2 Int64 CODEC(ZSTD(1)),
    I3 Int64 CODEC(ZSTD(1)),
    I4 Int64 CODEC(ZSTD(1)),
    I5 Int64 CODEC(ZSTD(1)),
    I6 Int64 CODEC(ZSTD(1)),
    I7 Int64 CODEC(ZSTD(1)),
    I8 Int64 CODEC(ZSTD(1)),
    I9 Int64 CODEC(ZSTD(1)),
    I10 Int64 CODEC(ZSTD(1)),
    I11 Int64 CODEC(ZSTD(1)),
    S0 LowCardinality(String) CODEC(ZSTD(1)),
    S1 LowCardinality(String) CODEC(ZSTD(1)),
    S2 LowCardinality(String) CODEC(ZSTD(1)),
    S3 LowCardinality(String) CODEC(ZSTD(1)),
    IX Array(Int64) CODEC(ZSTD(1)),
    SX Array(LowCardinality(String)) CODEC(ZSTD(1)),
    StoredAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1)),

    RawTime Int64 ALIAS toUnixTimestamp64Nano(Timestamp) - RawOffset,
    -- All fields by name, as text: for looking, not for aggregating.
    Fields Map(String, String) ALIAS mapFromArrays(
        joinGet('{database}.event_formats', 'FieldNames', FormatId),
        arrayMap((slot, kind, hex) -> multiIf(
            slot < 0, arrayConcat([S0, S1, S2, S3]::Array(String), SX::Array(String))[-slot],
            hex = 1, concat('0x', replaceRegexpOne(lower(hex(bitAnd(
                reinterpretAsUInt64(arrayConcat([I0, I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11], IX)[slot]),
                if(endsWith(kind, '32'), 0xffffffff, 0xffffffffffffffff)))), '^0(.)', '\\1')),
            kind = 'uint64', toString(reinterpretAsUInt64(arrayConcat([I0, I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11], IX)[slot])),
            toString(arrayConcat([I0, I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11], IX)[slot])),
            joinGet('{database}.event_formats', 'FieldSlots', FormatId),
            joinGet('{database}.event_formats', 'FieldKinds', FormatId),
            joinGet('{database}.event_formats', 'FieldHex', FormatId)))
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (BootId, toStartOfMinute(Timestamp), Event, Timestamp)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
