import { FAULTS } from '../../../deploy/lab/faults.ts';
import { defineCommand } from '../../command.ts';
import { ask, NAME_FLAG } from '../../lab/lab-flags.ts';
import { renderTable } from '../../table.ts';
import { createPaint, print, printLine } from '../../terminal.ts';

export const command = defineCommand({
  name: 'lab fault',
  usage: '[options] [KERNEL FAULT [VALUE]]',
  about: 'do something bad to a kernel of the running lab; without arguments, the list of what can be done.',
  options: { ...NAME_FLAG, json: { type: 'boolean', help: 'as JSON' } },
  examples: [
    ['mkscope lab fault', 'the menu'],
    ['mkscope lab fault spawn1 panic', 'a real panic; mkscope lab start spawn1 boots it again'],
    ['mkscope lab fault spawn2 hung-task 10', 'a task that hangs for 10 s'],
  ],
  positionals: { least: 0, most: 3 },
  async run(flags, [kernel, fault, value]) {
    if (kernel === undefined) return listFaults(flags.json);
    const done = await ask<string>(flags.name, { command: 'fault', kernel, fault: fault ?? '', value: value ?? '' });
    await printLine(flags.json ? JSON.stringify({ done }) : done);
    return 0;
  },
});

async function listFaults(asJson: boolean): Promise<number> {
  const list = Object.entries(FAULTS).map(([name, { about, value }]) => ({
    name,
    value: value?.name ?? '',
    default: value?.fallback ?? '',
    about,
  }));
  if (asJson) await printLine(JSON.stringify(list));
  else {
    const rows = list.map((fault) => [fault.name, fault.value === '' ? '' : `[${fault.value}]`, fault.default, fault.about]);
    const columns = [{ title: 'FAULT' }, { title: 'VALUE' }, { title: 'DEFAULT' }, { title: 'WHAT HAPPENS' }];
    await print(renderTable(columns, rows, { paint: createPaint(process.stdout) }));
  }
  return 0;
}
