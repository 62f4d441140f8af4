"""The style sheet of the HTML report: light and dark, from phone to desktop."""

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f8; --card: #fff; --text: #1c2329; --soft: #59646e;
  --line: #d9dee2;
  --fp32: #6b7785; --int8: #0f7c8c; --good: #1a7f4b; --bad: #b3261e; --warn: #9a5b00; --off: #59646e; }
@media (prefers-color-scheme: dark) { :root { --page: #12171b; --card: #1b2227; --text: #e6eaed; --soft:
  #9aa6b0;
  --line: #323c44; --fp32: #9aa7b4; --int8: #3fb6c6; --good: #56c288; --bad: #f2827a; --warn: #e3a64a;
  --off: #9aa6b0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI",
  Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 26px; line-height: 1.2; margin: 8px 0 2px; overflow-wrap: anywhere; }
h1 small { color: var(--soft); font-weight: 400; }
h2 { font-size: 18px; margin: 32px 0 6px; }
h3 { font-size: 14px; margin: 0 0 6px; }
p { margin: 0 0 10px; }
section > p, .lead { color: var(--soft); max-width: 72ch; }
.cards, .plots, .facts { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill,
  minmax(min(300px, 100%), 1fr)); }
article, figure, .facts > div, .wide, .narrow, .scroll { background: var(--card); border: 1px solid
  var(--line);
  border-radius: 8px; padding: 12px 14px; margin: 0; min-width: 0; }
article header { display: flex; justify-content: space-between; align-items: center; gap: 8px;
  font-weight: 600; }
article ul { margin: 4px 0; padding-left: 18px; font-size: 13px; overflow-wrap: anywhere; }
.time { margin: 4px 0; } .time b { font-size: 20px; }
.advice { margin: 4px 0 0; font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
.chip { font-size: 11px; font-weight: 700; letter-spacing: .03em; border: 1px solid currentColor;
  border-radius: 99px;
  padding: 1px 8px; white-space: nowrap; color: var(--warn); }
.chip.valid { color: var(--good); } .chip.drift { color: var(--bad); } .chip.incompatible { color:
  var(--off); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--text); font-family: inherit; }
svg .tick { font-size: 11px; fill: var(--soft); } svg .label { font-size: 13px; font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .sample { fill-opacity: .28; } svg .box { fill-opacity: .22; stroke-width: 1; }
svg .fp32 { fill: var(--fp32); stroke: var(--fp32); } svg .int8 { fill: var(--int8); stroke: var(--int8); }
svg .sample { stroke: none; } svg .median { stroke-width: 2.5; } svg .p90 { stroke-width: 1.5; }
svg .diagonal { stroke: var(--soft); stroke-width: 1; } svg .threshold { stroke: var(--warn);
  stroke-dasharray: 4 3; }
svg .dot { fill: var(--int8); fill-opacity: .55; } svg .flip { fill: none; stroke: var(--bad);
  stroke-width: 1.6; }
figcaption { font-size: 13px; margin-bottom: 6px; }
.narrow { display: none; padding: 8px 2px; }
@media (max-width: 700px) { .wide { display: none; } .narrow { display: block; } }
.scroll { overflow-x: auto; padding: 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
th:first-child { position: sticky; left: 0; background: var(--card); text-align: left; }
td:has(.chip), th.left { text-align: left; }
thead th { color: var(--soft); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; margin: 0; font-size: 13px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; } .scroll + .scroll { margin-top: 12px; }
code { font: inherit; white-space: nowrap; }
details { font-size: 13px; margin-top: 6px; } summary { cursor: pointer; color: var(--soft); }
details ul { margin: 4px 0; padding-left: 18px; overflow-wrap: anywhere; }
"""
