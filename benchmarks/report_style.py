"""The style sheet of the HTML report: light and dark, from phone to desktop."""

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f8; --card: #fff; --text: #1c2329; --soft: #59646e;
  --line: #d9dee2;
  --fp32: #6b7785; --int8: #0f7c8c;
  --good: #1a7f4b; --bad: #b3261e; --warn: #9a5b00; --off: #59646e;
  --line0: #0f7c8c; --line1: #b3541e; --line2: #6a4fb0; --line3: #1a7f4b;
  --line4: #b3261e; --line5: #59646e; }
@media (prefers-color-scheme: dark) { :root { --page: #12171b; --card: #1b2227; --text: #e6eaed; --soft:
  #9aa6b0;
  --line: #323c44; --fp32: #9aa7b4; --int8: #3fb6c6; --good: #56c288; --bad: #f2827a; --warn: #e3a64a;
  --off: #9aa6b0; --line0: #3fb6c6; --line1: #e8935a; --line2: #b39cf0; --line3: #56c288; --line4: #f2827a;
  --line5: #9aa6b0; } }
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
ul.plain { margin: 4px 0; padding-left: 18px; font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
ul.flips { list-style: none; padding: 0; display: grid; gap: 6px; } ul.flips li { display: flex; gap: 8px;
  align-items: center; min-width: 0; }
ul.flips img { width: 80px; height: auto; border-radius: 4px; flex: none; }
.soft { color: var(--soft); font-weight: 400; }
h3 { margin-top: 14px; } .facts h3 { margin-top: 0; }
.wide + .scroll, .narrow + .scroll { margin-top: 12px; }
svg .bar { fill-opacity: .55; stroke: none; } svg .mark { stroke-width: 2; }
svg .trace { fill: none; stroke-width: 1.8; } svg .point { stroke: none; }
svg .line0 { stroke: var(--line0); } svg .line1 { stroke: var(--line1); } svg .line2 { stroke: var(--line2); }
svg .line3 { stroke: var(--line3); } svg .line4 { stroke: var(--line4); } svg .line5 { stroke: var(--line5); }
svg .point.line0 { fill: var(--line0); } svg .point.line1 { fill: var(--line1); }
svg .point.line2 { fill: var(--line2); } svg .point.line3 { fill: var(--line3); }
svg .point.line4 { fill: var(--line4); } svg .point.line5 { fill: var(--line5); }
.keys { display: flex; flex-wrap: wrap; gap: 2px 8px; align-items: center; font-size: 13px; }
.key { width: 14px; height: 3px; display: inline-block; }
.key.line0 { background: var(--line0); } .key.line1 { background: var(--line1); }
.key.line2 { background: var(--line2); } .key.line3 { background: var(--line3); }
.key.line4 { background: var(--line4); } .key.line5 { background: var(--line5); }
.steps th:first-child { white-space: normal; min-width: 110px; max-width: min(300px, 38vw); }
.apart th { text-align: left; white-space: normal; }
.apart { border-top: 3px double var(--warn); margin-top: 40px; } .apart td { white-space: normal; text-align: left; }
.apart td:nth-child(4) { text-align: right; } .apart td:last-child { min-width: 260px; }
"""
