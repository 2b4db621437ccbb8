#include "trainer/report_style.h"

namespace hearth {

std::string_view report_style() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #faf8f5; --card: #ffffff; --ink: #26221e; --quiet: #78716a; --line: #e7e1d9;
  --main: #b8501c; --held: #1f6f8b; --broken: #c0203a; --good: #4d7a36;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #171513; --card: #201d1a; --ink: #ebe6e0; --quiet: #a39a90; --line: #38332e;
    --main: #f0925a; --held: #6dbcd6; --broken: #ff7285; --good: #9cc884;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 66rem; padding: 2.5rem 1.5rem 3rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .4rem 1rem; margin-bottom: 1.4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; font-weight: 650; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; font-weight: 650; margin: 2.2rem 0 .7rem; }
.state { font-size: .85rem; color: var(--good); border: 1px solid; border-radius: 1rem; padding: .05rem .7rem; }
.state.open { color: var(--quiet); }
.state.broken { color: var(--broken); }
.ending { margin: .5rem 0 1rem; padding: .5rem .8rem; border-left: .25rem solid var(--quiet); }
.ending.broken { border-color: var(--broken); }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 0 0 .8rem; }
.tiles div, figure, pre {
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem; margin: 0;
}
.tiles div { padding: .7rem .95rem .75rem; min-width: 0; flex: 1 1 calc((100% + .8rem) / var(--n) - .82rem); }
dt { font-size: .8rem; color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
dd.value { font-size: 1.3rem; font-weight: 600; line-height: 1.35; font-variant-numeric: tabular-nums; }
dd.words { font-size: 1rem; font-weight: 600; line-height: 1.45; }
dd.more { font-size: .8rem; color: var(--quiet); }
dd .was { color: var(--quiet); font-weight: 400; }
.curves { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .8rem; }
.curves .wide { grid-column: 1 / -1; }
figure { padding: .75rem .9rem .4rem; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .5rem; font-size: .88rem; }
.unit, .keys { color: var(--quiet); font-size: .8rem; }
.keys { margin-left: auto; display: flex; flex-wrap: wrap; gap: 0 1rem; }
.key::before {
  content: ""; display: inline-block; width: 1.1rem; margin-right: .4rem; vertical-align: .25em;
  border-top: 2.5px solid var(--main);
}
.key.raw::before { opacity: .35; }
.key.held::before { border-color: var(--held); }
.key.began::before { border-top: 2px dashed var(--quiet); }
.key.broken::before {
  width: 0; vertical-align: 0; border: .32rem solid transparent; border-top: .55rem solid var(--broken);
  border-bottom: 0;
}
svg { display: block; width: 100%; height: auto; margin-top: .3rem; }
svg .axis text { font-size: 11px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
svg .axis line { stroke: var(--quiet); stroke-width: 1; }
svg .axis .grid { stroke: var(--line); }
svg .line { fill: none; stroke: var(--main); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .line.raw { stroke-width: 1; opacity: .35; }
svg .line.held { stroke: var(--held); }
svg circle { fill: var(--main); }
svg circle.held { fill: var(--held); stroke: var(--card); stroke-width: 1; }
svg .began { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 4 4; }
svg .broken { fill: var(--broken); }
.none, .note { color: var(--quiet); font-size: .85rem; margin: .5rem 0; }
pre {
  padding: .9rem 1.1rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 12.5px/1.55 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
pre .default { color: var(--quiet); }
footer { margin-top: 2.2rem; border-top: 1px solid var(--line); padding-top: .8rem; font-size: .8rem; color: var(--quiet); }
footer p { margin: .15rem 0; overflow-wrap: anywhere; }
@media (max-width: 46rem) {
  body { padding: 1.2rem .8rem 2rem; }
  .curves { grid-template-columns: minmax(0, 1fr); }
  .tiles div { flex-basis: calc(50% - .42rem); }
  figure { overflow-x: auto; }
  .wide svg { min-width: 40rem; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --card: #fff; --ink: #000; --quiet: #555; --line: #ccc;
    --main: #b8501c; --held: #1f6f8b; --broken: #c0203a; --good: #3d6a26;
  }
  @page { margin: 16mm; }
  body { padding: 0; font-size: 10pt; max-width: none; }
  .tiles div, figure { break-inside: avoid; }
  h2 { break-after: avoid; }
  pre { font-size: 8pt; }
}
)css";
}

}  // namespace hearth
