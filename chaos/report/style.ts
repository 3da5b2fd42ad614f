/** How a report looks: light and dark as the reader's system says, one column, wide things scroll. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d2430; --soft: #667085; --line: #e4e2dc;
  --good: #17803d; --good-paper: #e7f5ec; --bad: #c0262d; --bad-paper: #fdecec;
  --unknown: #b7791f; --fault: #f3c9a8; --fault-ink: #6b3410; --shade: rgba(214, 120, 50, .09);
  --region-0: #0b6bb5; --region-1: #c2570c; --region-2: #0d8a63; --region-3: #7c4dbe;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161d; --card: #1a2029; --ink: #e6e9ef; --soft: #94a0b3; --line: #2b3442;
    --good: #5bd08a; --good-paper: #163524; --bad: #ff8087; --bad-paper: #411d21;
    --unknown: #f0b95b; --fault: #6d4324; --fault-ink: #ffd9b8; --shade: rgba(255, 170, 100, .08);
    --region-0: #62b3f4; --region-1: #f59a4c; --region-2: #4fd0a4; --region-3: #b79af0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 28px 20px 64px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; }
h1 { font-size: 27px; line-height: 1.2; letter-spacing: -.02em; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; letter-spacing: -.01em; margin: 36px 0 10px; }
h3 { font-size: 13px; margin: 16px 0 4px; font-weight: 600; }
h3 span, .soft { color: var(--soft); font-weight: 400; }
.badge { font-size: 13px; font-weight: 650; padding: 3px 11px; border-radius: 99px; }
.badge.good { color: var(--good); background: var(--good-paper); }
.badge.bad { color: var(--bad); background: var(--bad-paper); }
.about { margin: 6px 0 0; color: var(--soft); }
pre { margin: 12px 0 0; padding: 10px 14px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; white-space: pre-wrap; overflow-wrap: anywhere; }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(46%, 200px), 1fr)); gap: 10px; margin: 18px 0 0; padding: 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px; }
.tiles dt { color: var(--soft); font-size: 12px; }
.tiles dd { margin: 0; font-size: 21px; font-weight: 600; letter-spacing: -.01em; font-variant-numeric: tabular-nums; }
.tiles small { font-size: 12px; font-weight: 400; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 4px 16px 14px; }
.scroll { overflow-x: auto; }
.scroll > * { min-width: 620px; }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; }
.grid { stroke: var(--line); } .tick { stroke: var(--soft); } .label { fill: var(--soft); }
.shade { fill: var(--shade); } .fault { fill: var(--fault); } .fault-name { fill: var(--fault-ink); }
.curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.curve.p99 { stroke-width: 1; stroke-dasharray: 3 3; opacity: .75; }
.region-0 { stroke: var(--region-0); } .region-1 { stroke: var(--region-1); }
.region-2 { stroke: var(--region-2); } .region-3 { stroke: var(--region-3); }
.trouble { fill: var(--bad); opacity: .8; }
.operation.ok { fill: var(--region-0); } .operation.failed { fill: var(--bad); } .operation.unknown { fill: var(--unknown); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 0; padding: 0; list-style: none; font-size: 13px; }
.legend i { display: inline-block; width: 18px; height: 0; border-top: 3px solid; border-radius: 2px; margin-right: 7px; vertical-align: middle; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: 12px; font-weight: 500; color: var(--soft); padding: 10px 10px 6px 0; }
td { border-top: 1px solid var(--line); padding: 7px 10px 7px 0; vertical-align: top; }
th.number, td.number { text-align: right; white-space: nowrap; }
td.good, .good-text { color: var(--good); } td.bad, .bad-text { color: var(--bad); }
.anomaly { border-left: 3px solid var(--bad); padding: 2px 0 2px 14px; margin: 14px 0 4px; }
.anomaly p { margin: 0 0 6px; font-weight: 550; overflow-wrap: anywhere; }
.anomaly td:first-child { white-space: nowrap; }
.anomaly td:nth-child(2) { width: 13.5em; }
.anomaly td { font: 12.5px/1.45 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
@media (max-width: 520px) { main { padding: 18px 14px 48px; } h1 { font-size: 22px; } .card { padding: 2px 12px 12px; } .wide { display: none; } }
`;
