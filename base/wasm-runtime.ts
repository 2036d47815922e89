/** What Node has of WebAssembly, as far as it is used here: the types of it come with those of browsers only. */

export interface WasmModule {
  readonly exports?: never;
}

/** Of all threads that it is handed to, or of one. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}

export interface OwnWasmMemory {
  /** Another one after it has grown. */
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export interface WasmInstance {
  readonly exports: Readonly<Record<string, (...args: number[]) => number>>;
}

type WasmImports = Readonly<Record<string, Readonly<Record<string, ((...args: number[]) => number) | WasmMemory | OwnWasmMemory>>>>;

interface WasmRuntime {
  readonly validate: (bytes: Uint8Array<ArrayBuffer>) => boolean;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: WasmImports) => WasmInstance;
  readonly Memory: {
    new (limits: { readonly initial: number; readonly maximum: number; readonly shared: true }): WasmMemory;
    new (limits: { readonly initial: number; readonly maximum: number }): OwnWasmMemory;
  };
}

const runtime = (globalThis as unknown as { readonly WebAssembly?: WasmRuntime }).WebAssembly;
/** False where Node was told to do without. */
export const hasWasm = runtime !== undefined;
export const { Module, Instance, Memory, validate } = runtime ?? ({} as WasmRuntime);
