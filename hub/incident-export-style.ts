/** The style sheet of an exported incident: light and dark as the reader's system is, and fit for paper. */
export const EXPORT_STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --muted: #5c6570; --line: #d9dee4; --soft: #f4f6f8; --back: #fff; --bad: #b42318; --warn: #9a6700; --own: #eef4ff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #dfe3e8; --muted: #98a2ad; --line: #30363d; --soft: #1a1f26; --back: #0f1318; --bad: #ff7b72; --warn: #e3b341; --own: #16202e; }
}
body { margin: 0 auto; max-width: 1500px; padding: 24px 28px 40px; color: var(--text); background: var(--back); font: 14px/1.45 system-ui, sans-serif; }
h1 { margin: 4px 0 8px; font-size: 22px; }
h2 { margin: 26px 0 8px; font-size: 15px; }
.tag { margin: 0; color: var(--muted); font-size: 12px; letter-spacing: .04em; text-transform: uppercase; }
.tag.critical, .tag.error { color: var(--bad); }
.tag.warning { color: var(--warn); }
.reason { margin: 0 0 8px; }
pre { margin: 0; padding: 10px 12px; overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; background: var(--soft); font: 12px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.notes { margin: 16px 0; padding: 10px 12px 10px 30px; border: 1px solid var(--warn); border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 16px 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: 12.5px; }
th { padding: 4px 10px 4px 0; color: var(--muted); font-weight: 500; text-align: left; border-bottom: 1px solid var(--line); }
td { padding: 2px 10px 2px 0; vertical-align: top; }
.n { text-align: right; }
.log { font: 12px/1.5 ui-monospace, monospace; }
.log td { white-space: nowrap; }
.log td:first-child, .log td:nth-child(2), .log td:nth-child(4) { color: var(--muted); }
.log td.b { width: 100%; white-space: pre-wrap; overflow-wrap: anywhere; }
.log .own { background: var(--own); }
.log .l0 .b, .log .l1 .b, .log .l2 .b, .log .l3 .b { color: var(--bad); }
.log .l4 .b { color: var(--warn); }
.log .report .b { font-weight: 600; }
.log .gap { outline: 1px dashed var(--warn); }
footer { margin-top: 30px; color: var(--muted); font-size: 12px; }
@media print { body { max-width: none; padding: 0; } tr { break-inside: avoid; } }
`;
