/** The table of dashboards: the name is the file under generated/. */
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';

import { buildKernels } from './kernels.ts';

export const DASHBOARDS: Readonly<Record<string, () => Dashboard>> = {
  kernels: buildKernels,
};
