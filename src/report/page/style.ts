/** The page's style sheet: readable at 375 px, light and dark, on paper. */
import { themed } from '../theme.ts';

export const STYLE = `${themed(':root')}
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,sans-serif}
header,main,footer,nav{max-width:1180px;margin:0 auto;padding:0 16px}
h1{font-size:1.7rem;margin:24px 0 0}h2{font-size:1.35rem;margin:48px 0 8px;padding-top:12px;border-top:1px solid var(--line)}h3{font-size:1.1rem;margin:28px 0 6px}
p{max-width:76ch;margin:.5em 0}a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--paper);padding:8px;z-index:1}
nav ul{display:flex;flex-wrap:wrap;gap:2px 16px;list-style:none;padding:0;margin:12px 0}
.quiet,figcaption,caption,.note{color:var(--quiet);font-size:.875rem}
.cards,.charts{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));margin:12px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:4px 16px 12px}
.card h3{margin:12px 0 4px}.card p{margin:.4em 0}
.verdict{display:inline-block;border:2px solid currentColor;border-radius:6px;padding:0 8px;font-weight:700;white-space:nowrap}
.holds{color:var(--s2)}.fails{color:var(--s1)}.mixed,.inherited,.differ{color:var(--s5)}.undecided{color:var(--quiet)}
figure{margin:0;min-width:0}figcaption{margin:2px 0 0}figure h4{margin:0}
.figure-title{font-weight:600;color:var(--ink);font-size:.95rem;margin:0 0 4px}
.chart{width:100%}
.scroll{overflow-x:auto;max-width:100%;margin:12px 0}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:4px 0}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{border-bottom:2px solid var(--line);white-space:nowrap}.r{text-align:right;white-space:nowrap}table{min-width:min(100%,32rem)}
code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:10px;overflow:auto;max-height:320px;margin:6px 0}
pre.sample{white-space:pre-wrap;overflow-wrap:anywhere;max-height:none}
td code,li code{overflow-wrap:anywhere}.token{background:var(--card);border:1px solid var(--line);border-radius:4px;padding:0 4px;white-space:pre;margin-right:2px}
details{margin:4px 0}summary{cursor:pointer;color:var(--link);font-size:.875rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:8px 16px;margin:16px 0}dt{color:var(--quiet);font-size:.875rem}dd{margin:0;font-size:1.15rem;font-weight:600}
@media print{:root{font-size:10pt}nav,.skip,details.csv{display:none}.card,figure,tr{break-inside:avoid}h2,h3{break-after:avoid}.scroll,pre{overflow:visible;max-height:none}
details::details-content{content-visibility:visible;block-size:auto}.charts,.cards{grid-template-columns:1fr 1fr}a{color:inherit;text-decoration:none}}`;
