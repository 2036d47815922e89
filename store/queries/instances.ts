/** What host kernels say of their instances, as of now. */
import type { Store } from '../store.ts';

export interface StoredInstance {
  readonly machineId: string;
  readonly machineName: string;
  readonly id: number;
  readonly name: string;
  readonly state: string;
  readonly sinceUnixNs: string;
  /** Physical ids, in decimal. */
  readonly cpus: readonly string[];
  readonly memoryBytes: number;
  readonly devices: readonly string[];
  readonly release: string;
  readonly image: string;
  readonly commandLine: string;
  readonly loadedAt: string;
}

const MAX_INSTANCES = 1_000;

/** Those that are there; by machine and id the one that was named last, since ids are used again. */
export async function queryInstances(store: Store): Promise<StoredInstance[]> {
  return store.query<StoredInstance>(
    `SELECT MachineId AS machineId, anyLast(MachineName) AS machineName, InstanceId AS id, Name AS name,
       argMaxIf(State, Time, State != '') AS state, toString(toUnixTimestamp64Nano(maxIf(Time, State != ''))) AS sinceUnixNs,
       arrayMap(cpu -> toString(cpu), argMaxIf(Cpus, Time, State = '')) AS cpus, toFloat64(argMaxIf(MemoryBytes, Time, State = '')) AS memoryBytes,
       argMaxIf(Devices, Time, State = '') AS devices, argMaxIf(Release, Time, State = '') AS release,
       argMaxIf(Image, Time, State = '') AS image, argMaxIf(CommandLine, Time, State = '') AS commandLine,
       argMaxIf(LoadedAt, Time, State = '') AS loadedAt
     FROM instances GROUP BY MachineId, InstanceId, Name HAVING state NOT IN ('', 'none')
     ORDER BY max(Time) DESC LIMIT 1 BY MachineId, InstanceId LIMIT ${MAX_INSTANCES}`,
  );
}
