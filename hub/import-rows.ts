/** Part of a log batch as a batch of its own: where one piece of a file holds two boots. */
import { VALUE_KIND, type AttributeColumns } from '../model/attribute-columns.ts';
import { LogBatch } from '../model/log-batch.ts';

export function copyRows(source: LogBatch, from: number, to: number): LogBatch {
  const target = new LogBatch(Math.max(1, to - from));
  target.clock = source.clock;
  for (let row = from; row < to; row++) {
    const at = target.openRow();
    target.rawTime.setBigint(at, source.rawTime.getBigint(row));
    target.observedTime.setBigint(at, source.observedTime.getBigint(row));
    target.sequence[at] = source.sequence[row] as number;
    target.level[at] = source.level[row] as number;
    target.severityNumber[at] = source.severityNumber[row] as number;
    target.facility[at] = source.facility[row] as number;
    target.flags[at] = source.flags[row] as number;
    target.cpu[at] = source.cpu[row] as number;
    target.pid[at] = source.pid[row] as number;
    target.textStart[at] = target.appendText(source.text, source.textStart[row], source.textEnd[row]);
    target.textEnd[at] = target.textLength;
    target.eventName[at] = target.strings.internString(source.strings.get(source.eventName[row] as number));
    copyAttributes(source.attributes, row, target.attributes);
    target.closeRow();
  }
  return target;
}

function copyAttributes(source: AttributeColumns, row: number, target: AttributeColumns): void {
  for (let pair = source.offsets[row] as number; pair < (source.offsets[row + 1] as number); pair++) {
    const key = source.strings.get(source.keys[pair] as number);
    switch (source.kinds[pair]) {
      case VALUE_KIND.int:
        target.add(key, source.ints.getBigint(pair));
        break;
      case VALUE_KIND.double:
        target.addDouble(target.strings.internString(key), source.doubles[pair] as number);
        break;
      case VALUE_KIND.bool:
        target.add(key, source.ids[pair] === 1);
        break;
      case VALUE_KIND.json:
        target.addJson(target.strings.internString(key), target.strings.internString(source.textOf(pair)));
        break;
      default:
        target.add(key, source.textOf(pair));
    }
  }
}
