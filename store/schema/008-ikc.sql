-- Messages between kernels: one row per message, from its sending, its receiving, or both. A row is replaced by a later one of the
-- same message with a higher Version (docs/decisions/008-ikc-matching.md): read it with FINAL. Times that were not recorded are 0.
CREATE TABLE ikc_messages
(
    -- Of the sending, else of the receiving.
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    -- Id of that half: 16 hexadecimal digits.
    MessageId String CODEC(ZSTD(1)),
    Version UInt8 CODEC(ZSTD(1)),
    -- 1 = the message turned out to be another one's other end.
    IsDeleted UInt8 CODEC(ZSTD(1)),
    MachineId LowCardinality(String) CODEC(ZSTD(1)),
    MachineName LowCardinality(String) CODEC(ZSTD(1)),
    -- -1 and empty = not known.
    SenderId Int32 CODEC(ZSTD(1)),
    SenderName LowCardinality(String) CODEC(ZSTD(1)),
    SenderBootId LowCardinality(String) CODEC(ZSTD(1)),
    ReceiverId Int32 CODEC(ZSTD(1)),
    ReceiverName LowCardinality(String) CODEC(ZSTD(1)),
    ReceiverBootId LowCardinality(String) CODEC(ZSTD(1)),
    -- Pack: `multikernel`, `popcorn`, …
    System LowCardinality(String) CODEC(ZSTD(1)),
    Type UInt32 CODEC(ZSTD(1)),
    Subtype UInt32 CODEC(ZSTD(1)),
    TypeName LowCardinality(String) CODEC(ZSTD(1)),
    SubtypeName LowCardinality(String) CODEC(ZSTD(1)),
    PayloadBytes UInt32 CODEC(ZSTD(1)),
    SendTime DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    ReceiveTime DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    -- Half-widths, ns; -1 = not recorded.
    SendErrorNs Int64 CODEC(ZSTD(1)),
    ReceiveErrorNs Int64 CODEC(ZSTD(1)),
    -- How long the sender's call took; -1 = not recorded.
    SendNs Int64 CODEC(ZSTD(1)),
    -- Receiving less sending, as the aligned times say it; 0 where one is missing.
    LatencyNs Int64 CODEC(ZSTD(1)),
    -- Place in the receiver's ring, and places before it that no record names; -1 = not known.
    Slot Int16 CODEC(ZSTD(1)),
    Missing Int16 CODEC(ZSTD(1)),
    -- Of a sending that was refused: -28 = ring full.
    Errno Int32 CODEC(ZSTD(1)),
    SendPid Int32 CODEC(ZSTD(1)),
    SendCpu Int32 CODEC(ZSTD(1)),
    ReceiveCpu Int32 CODEC(ZSTD(1)),
    -- Physical CPU of the sender, as the receiver saw it.
    FromCpu Int32 CODEC(ZSTD(1)),
    -- How likely the two halves are one message.
    Confidence Float64 CODEC(ZSTD(1)),
    -- waiting, unmatched, failed, matched, superseded
    State LowCardinality(String) CODEC(ZSTD(1)),
    Reason LowCardinality(String) CODEC(ZSTD(1)),
    IsFinal UInt8 CODEC(ZSTD(1)),
    -- 1 = an end is known from a printk line.
    IsPrinted UInt8 CODEC(ZSTD(1)),
    -- Spans written: 1 PRODUCER, 2 CONSUMER.
    Spans UInt8 CODEC(ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SendSpanId String CODEC(ZSTD(1)),
    ReceiveSpanId String CODEC(ZSTD(1)),
    -- The request and answer it is part of; empty = none.
    ExchangeId String CODEC(ZSTD(1)),
    KeyHash UInt32 CODEC(ZSTD(1)),
    StoredAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1)),

    INDEX idx_latency LatencyNs TYPE minmax GRANULARITY 1,
    INDEX idx_stored StoredAt TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(Version, IsDeleted)
PARTITION BY toDate(Timestamp)
ORDER BY (MachineId, Timestamp, MessageId)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- Requests that waited for an answer, from the requester's side; messages name theirs by ExchangeId.
CREATE TABLE ikc_exchanges
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    ExchangeId String CODEC(ZSTD(1)),
    MachineId LowCardinality(String) CODEC(ZSTD(1)),
    MachineName LowCardinality(String) CODEC(ZSTD(1)),
    RequesterId Int32 CODEC(ZSTD(1)),
    RequesterName LowCardinality(String) CODEC(ZSTD(1)),
    RequesterBootId LowCardinality(String) CODEC(ZSTD(1)),
    -- -1 = the request's sending was not recorded.
    ResponderId Int32 CODEC(ZSTD(1)),
    System LowCardinality(String) CODEC(ZSTD(1)),
    Type UInt32 CODEC(ZSTD(1)),
    Operation UInt32 CODEC(ZSTD(1)),
    OperationName LowCardinality(String) CODEC(ZSTD(1)),
    Resource UInt64 CODEC(ZSTD(1)),
    -- answered, timeout, open
    State LowCardinality(String) CODEC(ZSTD(1)),
    -- Of the answer, or -110; 0 where there was none.
    Result Int32 CODEC(ZSTD(1)),
    -- 0 = no answer was recorded.
    AnswerTime DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    -- -1 = the end was not recorded.
    DurationNs Int64 CODEC(ZSTD(1)),
    ErrorNs Int64 CODEC(ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    StoredAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (MachineId, Timestamp, ExchangeId)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
