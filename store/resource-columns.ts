/** The columns that all OTLP tables share: the resource, its kernel identity, and the scope. */
import type { KernelIdentity, Resource, Scope } from '../model/identity.ts';
import type { NativeWriter } from './native.ts';

/** Kernel id of rows that no kernel of ours wrote. */
const NOT_A_KERNEL = -1;

export function writeIdentity(writer: NativeWriter, resource: Resource): void {
  writer.constantLowCardinality('ServiceName', resource.attributes['service.name'] ?? '');
  writer.constantMap('ResourceAttributes', resource.attributes);
  if (resource.identity === undefined) writer.constantNumber('KernelId', 'Int32', 4, NOT_A_KERNEL);
  else writeKernel(writer, resource.identity);
}

export function writeKernel(writer: NativeWriter, identity: KernelIdentity): void {
  writer.constantLowCardinality('MachineId', identity.machineId);
  writer.constantLowCardinality('MachineName', identity.machineName);
  writer.constantNumber('KernelId', 'Int32', 4, identity.kernelId);
  writer.constantLowCardinality('KernelName', identity.kernelName);
  writer.constantLowCardinality('BootId', identity.bootId);
}

/** otel_logs has the scope's version and schema URL as LowCardinality, the others as String. */
export function writeScope(writer: NativeWriter, scope: Scope, form: 'LowCardinality' | 'String'): void {
  writer.constantString('ScopeName', scope.name);
  if (form === 'LowCardinality') {
    writer.constantLowCardinality('ScopeVersion', scope.version);
    writer.constantLowCardinality('ScopeSchemaUrl', scope.schemaUrl);
  } else {
    writer.constantString('ScopeVersion', scope.version);
    writer.constantString('ScopeSchemaUrl', scope.schemaUrl);
  }
  if (Object.keys(scope.attributes).length > 0) writer.constantMap('ScopeAttributes', scope.attributes);
}
