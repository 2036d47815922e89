/** The SQL of the dashboard "mkscope: kernels". Columns are named as the panel shows them. */

/** Rows of the chosen kernels and machines; `All` leaves the condition out. */
const CHOSEN = [
  '$__conditionalAll(KernelName IN (${kernel:singlequote}), $kernel)',
  '$__conditionalAll(MachineName IN (${machine:singlequote}), $machine)',
].join(' AND ');

export const MACHINES = 'SELECT DISTINCT MachineName FROM kernels ORDER BY MachineName';
export const KERNELS_OF_MACHINES =
  'SELECT DISTINCT KernelName FROM kernels WHERE MachineName IN (${machine:singlequote}) ORDER BY KernelName';

/** One row per incarnation that was seen in the window. */
export const KERNELS = `
SELECT k.machine AS machine, k.id AS id, k.kernel AS kernel, k.release AS release, k.arch AS arch, k.origin AS origin,
    k.first_seen AS first_seen, k.last_seen AS last_seen, l.records AS records, l.errors AS errors, g.lost AS lost, k.boot AS boot
FROM
(
    SELECT MachineId, BootId AS boot, KernelId AS id, anyLast(MachineName) AS machine, anyLast(KernelName) AS kernel,
        anyLast(Release) AS release, anyLast(Arch) AS arch, anyLast(Origin) AS origin,
        min(FirstSeen) AS first_seen, max(LastSeen) AS last_seen
    FROM kernels
    WHERE ${CHOSEN}
    GROUP BY MachineId, KernelId, BootId
    HAVING last_seen >= $__fromTime AND first_seen <= $__toTime
) AS k
LEFT JOIN
(
    SELECT BootId AS boot, KernelId AS id, count() AS records, countIf(Level <= 3) AS errors
    FROM otel_logs
    WHERE $__timeFilter(Timestamp)
    GROUP BY boot, id
) AS l ON l.boot = k.boot AND l.id = k.id
LEFT JOIN
(
    SELECT BootId AS boot, KernelId AS id, sumIf(Count, Count > 0) AS lost
    FROM gaps
    WHERE $__timeFilter(FromTime)
    GROUP BY boot, id
) AS g ON g.boot = k.boot AND g.id = k.id
ORDER BY machine, id, last_seen DESC`;

export const KERNEL_COUNT = `
SELECT uniqExact(MachineId, KernelId) AS kernels
FROM kernels
WHERE ${CHOSEN} AND LastSeen >= $__fromTime`;

export const RECORD_COUNT = `
SELECT count() AS records, countIf(Level <= 3) AS errors
FROM otel_logs
WHERE $__timeFilter(Timestamp) AND ${CHOSEN}`;

export const LOST_COUNT = `
SELECT sumIf(Count, Count > 0) AS lost, countIf(Count < 0) AS uncounted_gaps
FROM gaps
WHERE $__timeFilter(FromTime) AND ${CHOSEN}`;

/** Records per second by kernel. */
export const RECORD_RATE = `
SELECT $__timeInterval(Timestamp) AS time, KernelName AS kernel, count() / $__interval_s AS records
FROM otel_logs
WHERE $__timeFilter(Timestamp) AND ${CHOSEN}
GROUP BY time, kernel
ORDER BY time`;

/** Records per second by level, the worst ones only. */
export const PROBLEM_RATE = `
SELECT $__timeInterval(Timestamp) AS time,
    transform(Level, [0, 1, 2, 3, 4], ['emerg', 'alert', 'crit', 'err', 'warn'], '') AS level, count() / $__interval_s AS records
FROM otel_logs
WHERE $__timeFilter(Timestamp) AND Level <= 4 AND ${CHOSEN}
GROUP BY time, level
ORDER BY time`;

/** Trace events per second by kernel. */
export const EVENT_RATE = `
SELECT $__timeInterval(Timestamp) AS time, KernelName AS kernel, count() / $__interval_s AS events
FROM events
WHERE $__timeFilter(Timestamp) AND ${CHOSEN}
GROUP BY time, kernel
ORDER BY time`;

/** The ten most frequent trace events, per second. */
export const TOP_EVENT_RATE = `
SELECT $__timeInterval(Timestamp) AS time, Event AS event, count() / $__interval_s AS events
FROM events
WHERE $__timeFilter(Timestamp) AND ${CHOSEN} AND Event IN
(
    SELECT Event FROM events WHERE $__timeFilter(Timestamp) AND ${CHOSEN} GROUP BY Event ORDER BY count() DESC LIMIT 10
)
GROUP BY time, event
ORDER BY time`;

/** Lost records per interval, by kernel, stream and reason. */
export const LOSS_RATE = `
SELECT $__timeInterval(FromTime) AS time, concat(KernelName, ' ', Stream, ': ', Reason) AS series, sumIf(Count, Count > 0) AS lost
FROM gaps
WHERE $__timeFilter(FromTime) AND ${CHOSEN}
GROUP BY time, series
ORDER BY time`;

export const GAPS = `
SELECT FromTime AS from, ToTime AS to, MachineName AS machine, KernelName AS kernel, Stream AS stream,
    if(Cpu < 0, '', toString(Cpu)) AS cpu, if(Count < 0, 'unknown', toString(Count)) AS lost, Reason AS reason
FROM gaps
WHERE $__timeFilter(FromTime) AND ${CHOSEN}
ORDER BY FromTime DESC
LIMIT 500`;

/** The data source's log columns: time, body, level, then labels. */
export const LOGS = `
SELECT Timestamp AS timestamp, Body AS body,
    transform(Level, [0, 1, 2, 3, 4, 5, 6, 7], ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'], 'unknown') AS level,
    TraceId AS traceID,
    map('machine', MachineName, 'kernel', KernelName, 'stream', Stream, 'caller', Caller, 'boot', BootId) AS labels
FROM otel_logs
WHERE $__timeFilter(Timestamp) AND ${CHOSEN}
ORDER BY Timestamp DESC
LIMIT 1000`;

/** Share of time the CPUs were busy: the point without a CPU number is the mean of all of them. */
export const CPU = `
SELECT $__timeInterval(TimeUnix) AS time, KernelName AS kernel, avg(Value) AS utilization
FROM otel_metrics_gauge
WHERE $__timeFilter(TimeUnix) AND MetricName = 'system.cpu.utilization' AND Attributes['cpu.logical_number'] = '' AND ${CHOSEN}
GROUP BY time, kernel
ORDER BY time`;

/** Bytes by state. */
export const MEMORY = `
SELECT $__timeInterval(TimeUnix) AS time, concat(KernelName, ' ', Attributes['system.memory.state']) AS series, avg(Value) AS memory
FROM otel_metrics_sum
WHERE $__timeFilter(TimeUnix) AND MetricName = 'system.memory.usage' AND ${CHOSEN}
GROUP BY time, series
ORDER BY time`;

/** Share of the time in which some (or all) tasks waited for a resource. */
export const PRESSURE = `
SELECT $__timeInterval(TimeUnix) AS time, concat(KernelName, ' ', Attributes['mk.pressure.resource'], ' ', Attributes['mk.pressure.scope']) AS series, avg(Value) AS pressure
FROM otel_metrics_gauge
WHERE $__timeFilter(TimeUnix) AND MetricName = 'mk.pressure.share' AND ${CHOSEN}
GROUP BY time, series
ORDER BY time`;
