"""The style sheet of ``report.html``; a module, so that it is installed wherever the code is."""

STYLE_SHEET = """
:root { --ink: #1f2328; --faint: #626a73; --line: #e3e1dc; --ground: #faf9f7; --card: #fff;
  --good: #1a7f4b; --bad: #b3261e; --warn: #8a6100; --link: #0072b2; }
* { box-sizing: border-box; }
html { color-scheme: light; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 28px 24px 60px; }
header h1 { margin: 0; font-size: 27px; letter-spacing: -0.01em; }
header p { margin: 2px 0 18px; color: var(--faint); }
h2 { font-size: 18px; margin: 34px 0 10px; padding-bottom: 5px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 22px 0 6px; }
a { color: var(--link); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 10px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 21px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--faint); font-size: 13px; }
.tile.good b, .good { color: var(--good); }
.tile.bad b, .bad { color: var(--bad); }
.warn { color: var(--warn); }
.notes { margin: 18px 0 0; padding: 10px 14px 10px 30px; background: var(--card); border: 1px solid var(--line);
  border-left: 3px solid var(--warn); border-radius: 6px; }
.note { color: var(--faint); font-size: 13.5px; max-width: 100ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; font-size: 12.5px; vertical-align: bottom; line-height: 1.25; }
table.numbers { width: 100%; }
table.numbers th:nth-child(n+3), table.numbers td:nth-child(n+3) { text-align: right; }
table.numbers th:last-child, table.numbers td:last-child { padding-right: 0; }
table.facts td:first-child { color: var(--faint); white-space: nowrap; }
table.facts td:nth-child(2):not(:last-child) { font-weight: 600; text-align: right; white-space: nowrap; }
table.facts td:nth-child(3) { color: var(--faint); }
.tag { padding: 1px 8px; border-radius: 9px; font-size: 12.5px; background: #ececec; }
.tag.capture { background: #fbe3d3; color: #8f3f00; }
.tag.timeout { background: #d8e9f5; color: #00507d; }
img { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 8px; margin: 8px 0; padding: 6px; }
code, pre { font: 12.5px/1.45 ui-monospace, "SFMono-Regular", Consolas, monospace; overflow-wrap: anywhere; }
pre { margin: 6px 0; padding: 10px; background: #f3f2ee; border-radius: 6px; overflow-x: auto; }
summary { cursor: pointer; color: var(--link); }
@media print { body { background: #fff; } main { max-width: none; padding: 0; } article { break-inside: avoid; } }
"""
