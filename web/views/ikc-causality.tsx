/** The audit that never stops: is a message received before it was sent? */
import type { Clocks } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { describeAudit } from '../format/ikc.ts';

const REFRESH_MS = 5000;

export function IkcCausality() {
  const { answer } = usePolled<Clocks>('/api/clocks', '', () => ({}), REFRESH_MS);
  if (answer === undefined) return undefined;
  const { text, tone } = describeAudit(answer.audit);
  return (
    <p
      class={`ikc-audit ${tone}`}
      title="Of all matches of 99 % or more since the hub started, whatever time is chosen; as `mkscope clocks`"
    >
      {text}
    </p>
  );
}
