/**
 * mac80211's drv_bss_info_changed as libtraceevent's plugin prints it:
 *
 *   phy0 vif:wlan0(1)
 *                                                                    assoc:1 aid:1 cts:0 shortpre:1 shortslot:1 dtimper:1 ⏎
 *                                                                    bcnint:100 assoc_cap:0x431 basic_rates:0xf enable_beacon:0⏎
 *                                                                    ht_operation_mode:0
 *   +-- 65 blanks
 *
 * Source: libtraceevent 1.7, plugins/plugin_mac80211.c.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import { compileFieldRegion, type Arithmetic } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import { fieldReader, type ReportHandler } from './report-handler.ts';
import type { TextOut } from './text-out.ts';

const INDENT = 65;

export function bssInfoHandler(_format: EventFormat, of: Arithmetic): ReportHandler {
  const lines = [
    ['assoc', 'aid', 'cts', 'shortpre', 'shortslot', 'dtimper', ''],
    ['bcnint', 'assoc_cap', 'basic_rates', 'enable_beacon'],
    ['ht_operation_mode'],
  ].map((names) => names.map((name) => numberPrinter(name, of)));
  const [putWiphy, putVif, readType] = [textPrinter('wiphy_name', of), textPrinter('vif_name', of), fieldReader('vif_type', of)];
  return ({ record }, out) => {
    putWiphy(record, out);
    out.putText(' vif:');
    putVif(record, out);
    if (readType === undefined) out.putText('CAN\'T FIND FIELD "vif_type"');
    else out.putText(`(${readType(record) | 0})`);
    for (const puts of lines) {
      out.putByte(10);
      out.putFill(32, INDENT);
      for (const [i, put] of puts.entries()) {
        if (i > 0) out.putByte(32);
        put(record, out);
      }
    }
    return false;
  };
}

function textPrinter(name: string, of: Arithmetic): Put {
  const field = of.format.fields.find((one) => one.name === name);
  if (field === undefined) return (_record, out) => out.putText(`NOTFOUND:${name}`);
  const { locate } = compileFieldRegion(field, of);
  return (record, out) => {
    if (locate(record)) out.putString(record.bytes, record.from, record.to);
  };
}

/** `name:value`, or nothing where the kernel's event has no such field. */
function numberPrinter(name: string, of: Arithmetic): Put {
  const read = fieldReader(name, of);
  if (read === undefined) return () => undefined;
  const isHex = name === 'assoc_cap' || name === 'basic_rates';
  return (record, out) => {
    out.putText(`${name}:`);
    const low = read(record) | 0;
    if (!isHex) out.putDecimal(low);
    else putPrefixedHex(out, low);
  };
}

/** `%#x` */
function putPrefixedHex(out: TextOut, low: number): void {
  if (low !== 0) out.putText('0x');
  out.putHexWords(low, 0);
}
