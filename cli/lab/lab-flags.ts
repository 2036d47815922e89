/** The flag that all lab commands share, and the question they ask. */
import { askLab, type LabRequest } from '../../deploy/lab/control.ts';
import type { OptionTable } from '../flags.ts';

export const DEFAULT_LAB = 'lab';

export const NAME_FLAG = {
  name: { type: 'string', value: 'NAME', help: `which lab, where there are several (default ${DEFAULT_LAB})` },
} as const satisfies OptionTable;

export async function ask<Answer>(name: string | undefined, request: LabRequest): Promise<Answer> {
  return (await askLab(name ?? DEFAULT_LAB, request)) as Answer;
}
