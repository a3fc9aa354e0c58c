/** Style for screens of any width, light and dark mode, and print. */
export const STYLE = `
:root{color-scheme:light dark;--back:light-dark(#f6f7f9,#111418);--card:light-dark(#fff,#1a1f26);--ink:light-dark(#16191d,#e8ebef);--soft:light-dark(#545d69,#a3adba);--line:light-dark(#dde1e7,#333b46);
--c1:light-dark(#0b62ad,#5fa8ec);--c2:light-dark(#e08a00,#f3b04c);--c3:light-dark(#00866a,#3ec7a2);--c4:light-dark(#b8518f,#e48fc0);--c5:light-dark(#57b3e0,#9bd6f5);--c6:light-dark(#8b95a3,#6d7887)}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header,main{max-width:1180px;margin:0 auto;padding:1.5rem 1rem}
header{padding-top:2.5rem;padding-bottom:.5rem}
h1{font-size:1.9rem;line-height:1.2;margin:0;letter-spacing:-.02em;overflow-wrap:anywhere}
header>p{color:var(--soft);margin:.5rem 0 1.5rem}
h2{font-size:1.15rem;margin:0}
section,.tile{background:var(--card);border:1px solid var(--line);border-radius:14px}
.tiles{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:.8rem}
.tile{padding:.8rem 1rem}
.tile h2{font-size:.82rem;font-weight:600;color:var(--soft)}
.tile p{margin:0;color:var(--soft);font-size:.8rem;line-height:1.4}
.tile .figure{font-size:1.55rem;color:var(--ink);font-weight:650;font-variant-numeric:tabular-nums;line-height:1.45}
main{display:grid;grid-template-columns:minmax(0,1fr);gap:1rem;padding-bottom:4rem}
section{padding:1.1rem 1.2rem;min-width:0}
section>p{margin:.3rem 0 .8rem;color:var(--soft);max-width:80ch;font-size:.92rem}
section ul{margin:.5rem 0 0;padding-left:1.2rem;color:var(--soft);font-size:.92rem}
figure{margin:0}
.chart{display:block;width:100%;height:auto}
.chart.wide{max-width:960px}
.chart.narrow{display:none}
section .legend{list-style:none;margin:0 0 .4rem;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.85rem;color:var(--ink)}
.legend li{display:flex;align-items:center;gap:.45rem}
.legend i{width:.8rem;height:.8rem;border-radius:3px;flex:none}
details{margin-top:.6rem}
summary{cursor:pointer;font-size:.88rem;color:var(--soft);padding:.2rem 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.32rem .6rem;text-align:right;vertical-align:top;border-bottom:1px solid var(--line);white-space:nowrap}
th,td{padding-left:.5rem;padding-right:.5rem}
.text{text-align:left}
.long{white-space:normal;min-width:11rem;max-width:26rem;overflow-wrap:anywhere}
thead th{color:var(--soft);font-weight:600;white-space:normal;vertical-align:bottom}
tbody th{font-weight:500}
tfoot th,tfoot td{font-weight:650;border-bottom:0}
@media (max-width:760px){.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media (max-width:640px){.chart.wide{display:none}.chart.narrow{display:block}section{padding:.9rem .8rem}h1{font-size:1.5rem}}
@media print{:root{color-scheme:light;--back:#fff}body{font-size:11pt}section,.tile{break-inside:avoid;border-color:#ccc}.scroll{overflow:visible}section:has(table tr:nth-child(30)){break-inside:auto}details::details-content{display:block;content-visibility:visible;block-size:auto}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`;
