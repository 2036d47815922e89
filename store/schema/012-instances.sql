-- What a host kernel says of its instances: a row per change of state, and per set of resources. Made from log records, so that those
-- of any OTLP pipeline count. Who owned a CPU at a moment: the instance whose last row with resources before it names the CPU.
CREATE TABLE instances
(
    Time DateTime64(9),
    MachineId LowCardinality(String),
    MachineName LowCardinality(String),
    -- Of the host kernel that says it.
    HostBootId String,
    InstanceId Int32,
    Name String,
    -- `none` = it is gone. Empty in a row of resources.
    State LowCardinality(String),
    -- Physical ids.
    Cpus Array(UInt64),
    MemoryBytes UInt64,
    Devices Array(String),
    Release String,
    Image String,
    -- Without secrets.
    CommandLine String,
    LoadedAt String,
    StoredAt DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(StoredAt)
ORDER BY (MachineId, InstanceId, Name, Time, State)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW instances_mv TO instances AS
SELECT
    Timestamp AS Time,
    MachineId,
    MachineName,
    BootId AS HostBootId,
    toInt32OrDefault(LogAttributes['mk.instance.id'], toInt32(-1)) AS InstanceId,
    LogAttributes['mk.instance.name'] AS Name,
    if(EventName = 'mk.instance.state', LogAttributes['mk.instance.state'], '') AS State,
    arrayMap(cpu -> toUInt64OrZero(cpu), arrayFilter(cpu -> cpu != '', splitByChar(',', LogAttributes['mk.instance.cpus']))) AS Cpus,
    toUInt64OrZero(LogAttributes['mk.instance.memory']) AS MemoryBytes,
    arrayFilter(device -> device != '', splitByChar(',', LogAttributes['mk.instance.devices'])) AS Devices,
    LogAttributes['os.version'] AS Release,
    LogAttributes['mk.instance.image'] AS Image,
    LogAttributes['mk.instance.command_line'] AS CommandLine,
    LogAttributes['mk.instance.loaded_at'] AS LoadedAt,
    StoredAt
FROM otel_logs
WHERE EventName IN ('mk.instance.state', 'mk.instance.resources') AND KernelId = 0;
