/** What Node has of WebAssembly, as far as it is used here: the types of it come with those of browsers only. */

export interface WasmModule {
  readonly exports?: never;
}

export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}

export interface WasmInstance {
  readonly exports: Readonly<Record<string, (...args: number[]) => number>>;
}

type WasmImports = Readonly<Record<string, Readonly<Record<string, ((...args: number[]) => number) | WasmMemory>>>>;

interface WasmRuntime {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: WasmImports) => WasmInstance;
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number; readonly shared: true }) => WasmMemory;
}

export const { Module, Instance, Memory } = (globalThis as unknown as { readonly WebAssembly: WasmRuntime }).WebAssembly;
