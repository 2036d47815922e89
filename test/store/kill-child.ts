/**
 * The victim of kill.test.ts: appends batches with rising numbers until it is killed, and tells each one acknowledged. It
 * starts with the last number that was acknowledged before, as a sender would that missed the answer.
 */
import { EventBatch } from '../../model/event-batch.ts';
import { openStore } from '../../store/open.ts';
import { addEvents, field, KERNEL, makeLogs, makeSpans, RESOURCE, SCOPE } from './support.ts';

const [, , dataDir = '', firstText = '0', eventsText = '7'] = process.argv;
const store = await openStore({ dataDir, loadAfterMs: 20 });
await say('open');
for (let sequence = Number(firstText); ; sequence++) {
  const events = new EventBatch();
  addEvents(
    events,
    'test:kill',
    [field('n', 'int32')],
    Array.from({ length: Number(eventsText) }, () => [sequence]),
  );
  const texts = Array.from({ length: 50 }, (_, row) => `batch ${sequence} row ${row}`);
  await store.append({
    origin: { stream: 'victim', sequence },
    logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(texts, sequence * 50) }],
    spans: [{ resource: RESOURCE, scope: SCOPE, batch: makeSpans(2, sequence) }],
    events: [{ identity: KERNEL, stream: 's', clockErrorNs: 1, batch: events }],
  });
  await say(`${sequence}`);
  await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Handed to the pipe when it resolves, also where the reader is late and the pipe full. */
function say(line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${line}\n`, (error) => (error ? reject(error) : resolve()));
  });
}
