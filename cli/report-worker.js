// Starts the thread of report-printer.ts with the cache of compiled modules: a thread does not take over that of its process, and
// without it types are stripped anew, which takes a tenth of a second.
import * as nodeModule from 'node:module';
import { workerData } from 'node:worker_threads';

if (nodeModule.enableCompileCache) nodeModule.enableCompileCache();
await import(workerData.module);
