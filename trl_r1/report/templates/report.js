// Draws the charts with Observable Plot, sorts tables, and reloads the page of a run that is going on.
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dashes = ["", "7 4", "2 4", "9 3 2 3"];
  const format = (value, digits) =>
    Number(value).toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: Math.max(digits, 3) });

  function draw(figure) {
    const canvas = figure.querySelector(".canvas");
    const chart = charts[Number(figure.dataset.chart)];
    const width = Math.max(240, Math.floor(canvas.clientWidth));
    if (canvas.dataset.width === String(width)) return;
    canvas.dataset.width = width;
    const marks = [];
    const values = [];
    for (const line of chart.lines) {
      const color = `var(--c${(line.color % 8) + 1})`;
      const dash = dashes[line.dash % dashes.length];
      const scale = line.scale || 1;
      const points = line.points.map(([x, y]) => ({ x, y: y / scale, value: y, line }));
      const band = line.band.map(([x, low, high]) => ({ x, low: low / scale, high: high / scale }));
      for (const point of points) {
        const near = band.length ? band.reduce((a, b) => (Math.abs(b.x - point.x) < Math.abs(a.x - point.x) ? b : a)) : null;
        const range = near ? ` (${format(near.low * scale, chart.digits)} to ${format(near.high * scale, chart.digits)})` : "";
        point.text = `${chart.lines.length > 1 ? line.label + "\n" : ""}${chart.x} ${format(point.x, 1)}: ${format(point.value, chart.digits)}${range}`;
      }
      values.push(...points);
      if (band.length > 1) marks.push(Plot.areaY(band, { x: "x", y1: "low", y2: "high", fill: color, fillOpacity: 0.16 }));
      if (points.length === 1) {
        marks.push(Plot.dot(points, { x: "x", y: "y", fill: color, r: 3.5 }));
      } else if (chart.smooth && points.length >= 12) {
        const k = 2 * Math.max(1, Math.floor(points.length / 16)) + 1;
        marks.push(Plot.lineY(points, { x: "x", y: "y", stroke: color, strokeWidth: 1, strokeOpacity: 0.3 }));
        marks.push(Plot.lineY(points, Plot.windowY({ k, anchor: "middle", strict: false },
          { x: "x", y: "y", stroke: color, strokeWidth: 2.2, strokeDasharray: dash, strokeLinejoin: "round" })));
      } else {
        marks.push(Plot.lineY(points, { x: "x", y: "y", stroke: color, strokeWidth: 2.2, strokeDasharray: dash, marker: points.length < 12 ? "dot" : null }));
      }
    }
    for (const [x, text] of chart.marks) {
      const middle = (Math.min(...values.map((v) => v.x)) + Math.max(...values.map((v) => v.x))) / 2;
      marks.push(Plot.ruleX([x], { stroke: "var(--ink)", strokeDasharray: "3 3" }));
      marks.push(Plot.text([{ x }], { x: "x", frameAnchor: "top", text: () => text, dx: x < middle ? 6 : -6, dy: 2,
        textAnchor: x < middle ? "start" : "end", fill: "var(--ink)", fontWeight: 600, stroke: "var(--card)", strokeWidth: 4 }));
    }
    marks.push(Plot.dot(values, Plot.pointer({ x: "x", y: "y", r: 4, fill: (d) => `var(--c${(d.line.color % 8) + 1})` })));
    marks.push(Plot.tip(values, Plot.pointer({ x: "x", y: "y", title: "text", fill: "var(--card)", stroke: "var(--faint)" })));
    const ys = values.map((v) => v.y);
    const flat = Math.min(...ys) === Math.max(...ys);
    const svg = Plot.plot({
      width, height: figure.classList.contains("large") ? 320 : 210,
      marginLeft: 52, marginRight: 14, marginTop: 24, marginBottom: 38,
      style: { background: "transparent", color: "var(--soft)", fontFamily: "inherit", fontSize: "12px", overflow: "visible" },
      x: { label: chart.x, type: chart.log ? "log" : "linear", ticks: Math.max(3, Math.floor(width / 80)), tickFormat: chart.log ? "~s" : undefined, labelAnchor: "right" },
      y: { label: `↑ ${chart.y}`, labelArrow: "none", grid: true, nice: !chart.share, ticks: 5,
        domain: chart.share ? [0, 1] : flat ? [ys[0] - (Math.abs(ys[0]) / 2 || 1), ys[0] + (Math.abs(ys[0]) / 2 || 1)] : undefined },
      marks,
    });
    svg.setAttribute("aria-hidden", "true"); // the canvas says what it shows
    canvas.replaceChildren(svg);
  }

  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "600px" });
  figures.forEach((figure) => seen.observe(figure));
  const shown = () => figures.filter((figure) => figure.querySelector("svg")).forEach(draw);
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(shown, 150); });
  addEventListener("draw-all", () => figures.forEach(draw)); // for who takes pictures of the page
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((each) => { each.open = true; });
    figures.forEach(draw);
  });

  // A heading is a button: it sorts by its column, and again the other way round.
  const key = (row, index) => {
    const cell = row.cells[index];
    const value = cell.dataset.value ?? cell.textContent.trim();
    return cell.classList.contains("number") ? Number.parseFloat(value) : value;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const number = head.classList.contains("number");
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : number;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => {
          const [x, y] = [key(a, index), key(b, index)];
          if (number && (Number.isNaN(x) || Number.isNaN(y))) return Number.isNaN(x) - Number.isNaN(y); // none is last
          const order = number ? x - y : x.localeCompare(y);
          return down ? -order : order;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  // What is wider than the page says that it can be scrolled.
  const cue = () => document.querySelectorAll(".scroll").forEach((each) => each.classList.toggle("wide", each.scrollWidth > each.clientWidth + 4));
  cue();
  addEventListener("resize", cue);

  if (document.body.dataset.watched !== undefined) {
    history.scrollRestoration = "manual";
    const place = sessionStorage.getItem("place");
    if (place !== null) {
      figures.forEach((figure) => { if (figure.getBoundingClientRect().top < Number(place) + innerHeight) draw(figure); });
      scrollTo({ top: Number(place), behavior: "instant" });
    }
    let version;
    setInterval(async () => {
      try {
        const now = await (await fetch("version", { cache: "no-store" })).text();
        if (version !== undefined && now !== version) {
          sessionStorage.setItem("place", scrollY);
          location.reload();
        }
        version = now;
      } catch { /* the server has ended: what is shown stays */ }
    }, 2000);
  }
})();
