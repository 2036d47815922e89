-- What was stored since: a hub that forwards spans asks for it every other second.
ALTER TABLE otel_traces ADD INDEX IF NOT EXISTS idx_stored StoredAt TYPE minmax GRANULARITY 1;
