/** The header's word on the connection: a dot, the hub's version, how much is stored, and what still waits. */
import { formatBytes, formatCompact, formatCount } from '../format/number.ts';
import { formatDateTime, formatUptime, parseUnixNs, toUnixMs } from '../format/time.ts';
import { useAppState } from '../state/app-state.ts';

export function HubStatus() {
  const link = useAppState((state) => state.link);
  const health = useAppState((state) => state.health);
  const nowMs = useAppState((state) => state.asOfMs);
  if (health === undefined) {
    return (
      <div class="hub-status" role="status">
        <span class={`dot ${link === 'down' ? 'dot-bad' : 'dot-idle'}`} />
        {link === 'down' ? 'no hub' : 'connecting'}
      </div>
    );
  }
  const { store, spool } = health;
  const started = parseUnixNs(health.startedUnixNs) ?? 0n;
  const state = link === 'down' ? 'bad' : health.status === 'ok' ? 'good' : 'warn';
  const title = [
    `hub ${health.version}, ${health.status}, up ${formatUptime((nowMs - toUnixMs(started)) / 1000)} (since ${formatDateTime(started, 0)})`,
    `${store.engine}, ${store.path}: ${formatCount(store.rows)} rows, ${formatBytes(store.bytesOnDisk)} on disk`,
    `to be loaded: ${formatBytes(spool.pendingBytes)} in ${spool.pendingFiles} files, oldest ${spool.oldestMs} ms`,
    `OTLP ${health.listening.otlp} · ClickHouse ${health.listening.clickhouse}`,
  ].join('\n');
  return (
    <div class="hub-status" role="status" title={title}>
      <span class={`dot dot-${state}`} aria-hidden="true" />
      <span class="hub-state">{link === 'down' ? 'no answer' : health.status === 'ok' ? 'connected' : 'degraded'}</span>
      <span class="hub-detail">
        {formatCompact(store.rows)} rows · {formatBytes(store.bytesOnDisk)}
      </span>
    </div>
  );
}
