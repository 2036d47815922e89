-- Where the clocks of a machine's kernels are on its timeline, stretch by stretch (docs/clocks.md):
--   unix = BaseUnixNs + (raw - FromRaw) * NsPerTick    for FromRaw <= raw < ToRaw; the truth is within ± ErrorNs
-- A stretch that was drawn anew replaces the one before: read with FINAL.
CREATE TABLE clock_fits
(
    MachineId LowCardinality(String),
    MachineName LowCardinality(String),
    KernelId Int32,
    KernelName LowCardinality(String),
    BootId String,
    ClockDomain LowCardinality(String),
    FromRaw Int64 CODEC(Delta(8), ZSTD(1)),
    ToRaw Int64 CODEC(Delta(8), ZSTD(1)),
    BaseUnixNs Int64 CODEC(Delta(8), ZSTD(1)),
    NsPerTick Float64 CODEC(ZSTD(1)),
    ErrorNs Int64 CODEC(ZSTD(1)),
    -- The edges on the way to the machine's Unix time.
    Evidence LowCardinality(String),
    -- Steps of the clock before it.
    Segment UInt32,
    Revision UInt32,
    -- How far, at most, the rows that were stored before it was drawn anew are away from it, ns.
    ShiftNs Int64,
    StoredAt DateTime64(9) DEFAULT now64(9),

    FromTime DateTime64(9) ALIAS fromUnixTimestamp64Nano(BaseUnixNs),
    ToTime DateTime64(9) ALIAS fromUnixTimestamp64Nano(BaseUnixNs + toInt64((ToRaw - FromRaw) * NsPerTick))
)
ENGINE = ReplacingMergeTree(Revision)
ORDER BY (BootId, ClockDomain, FromRaw)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- Rows keep the time they were stored with; here is the best that is known now.
CREATE VIEW otel_logs_aligned AS
SELECT
    if(fit.ToRaw > log.RawTime AND log.RawTime >= 0 AND (log.ClockErrorNs < 0 OR log.ClockErrorNs >= fit.ErrorNs),
        fromUnixTimestamp64Nano(fit.BaseUnixNs + (log.RawTime - fit.FromRaw) + toInt64(round((log.RawTime - fit.FromRaw) * (fit.NsPerTick - 1)))),
        log.Timestamp) AS AlignedTime,
    if(fit.ToRaw > log.RawTime AND log.RawTime >= 0 AND (log.ClockErrorNs < 0 OR log.ClockErrorNs >= fit.ErrorNs), fit.ErrorNs, log.ClockErrorNs) AS AlignedErrorNs,
    log.*
FROM otel_logs AS log
ASOF LEFT JOIN (SELECT BootId, ClockDomain, FromRaw, ToRaw, BaseUnixNs, NsPerTick, ErrorNs FROM clock_fits FINAL) AS fit
ON log.BootId = fit.BootId AND log.ClockDomain = fit.ClockDomain AND log.RawTime >= fit.FromRaw;
