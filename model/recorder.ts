/** Flight recorders and what was asked of them, as the API tells it. Times are Unix ns in decimal. */

/** Trace pages that were asked of the flight recorders of a machine. */
export interface RecordedWindow {
  readonly fromUnixNs: string;
  readonly toUnixNs: string;
  /** Those that have answered. */
  readonly kernels: readonly {
    readonly kernelId: number;
    readonly kernelName: string;
    /** In segments that touch the window, and of those what has arrived. */
    readonly events: number;
    readonly sentEvents: number;
    /** No more comes. */
    readonly isComplete: boolean;
    /** From when on its recorder has everything: what was before is not kept any more. Empty = it has nothing. */
    readonly sinceUnixNs: string;
  }[];
}

export interface RecorderRow {
  readonly machineId: string;
  readonly machineName: string;
  readonly kernelId: number;
  readonly kernelName: string;
  /** Of its newest record. */
  readonly bootId: string;
  readonly sinceUnixNs: string;
  readonly keptBytes: number;
  readonly maxBytes: number;
  /** Not sent. */
  readonly keptEvents: number;
  /** It has reported in the last seconds. */
  readonly isHeard: boolean;
}

export interface RecorderRequestRow extends RecordedWindow {
  readonly id: string;
  readonly machineName: string;
  /** `incident 05ba16c7d2e1`, `a person`. */
  readonly by: string;
  readonly askedUnixNs: string;
}

export interface Recorders {
  readonly recorders: readonly RecorderRow[];
  readonly requests: readonly RecorderRequestRow[];
}
