"use strict";
/* Charts, live update, keys. Pages work without it. */
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (label) => css(`--${label}`) || css("--other");
  const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
  const twoDigits = (n) => String(n).padStart(2, "0");
  const utc = (s) => { const d = new Date(s * 1000); return `${twoDigits(d.getUTCHours())}:${twoDigits(d.getUTCMinutes())}`; };

  const draw = () => {
    for (const figure of document.querySelectorAll("[data-chart]")) {
      figure.querySelector(".uplot")?.remove();
      const chart = JSON.parse(figure.dataset.chart);
      const days = chart.times.at(-1) - chart.times[0] > 172800;
      const tick = (s) => (days ? `${new Date(s * 1000).toISOString().slice(5, 10)} ${utc(s)}` : utc(s));
      const axis = { stroke: css("--faint"), grid: { stroke: css("--line") }, ticks: { stroke: css("--line") } };
      const series = chart.series.map((one, place) => ({
        label: one.label, stroke: colour(one.label), width: 2, dash: dashes[place % dashes.length], points: { show: false },
      }));
      new uPlot({
        width: Math.max(240, figure.clientWidth), height: 220,
        tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
        series: [{ label: "time (UTC)", value: (_, s) => (s == null ? "" : tick(s)) }, ...series],
        axes: [{ ...axis, space: days ? 90 : 50, values: (_, times) => times.map(tick) }, { ...axis, values: (_, all) => all.map(String) }],
        scales: { y: { range: (_, low, high) => [0, Math.max(1, high || 0)] } },
      }, [chart.times, ...chart.series.map((one) => one.values)], figure);
    }
  };

  /* On narrow screens a row is a card: its cells carry the titles of their columns, and stay cells to a screen reader. */
  const label = () => {
    const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };
    for (const table of document.querySelectorAll("main table")) {
      for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, td")]) part.setAttribute("role", roles[part.tagName]);
      const titles = [...table.querySelectorAll("thead th")];
      for (const one of titles) one.setAttribute("role", "columnheader");
      for (const one of table.querySelectorAll("tbody th")) one.setAttribute("role", "rowheader");
      for (const row of table.tBodies[0]?.rows ?? [])
        [...row.cells].forEach((cell, place) => { if (titles[place]) cell.dataset.label = titles[place].textContent; });
    }
  };
  /* Deadlines: seconds left when the page was made, whatever the clock of this machine says. */
  const words = (s) => {
    const [h, m] = [Math.floor(s / 3600), Math.floor(s % 3600 / 60)];
    return s <= 0 ? "time is up" : h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
  };
  const began = new WeakMap();
  const count = () => {
    for (const one of document.querySelectorAll("[data-left]")) {
      if (!began.has(one)) began.set(one, performance.now());
      one.textContent = words(Math.max(0, Math.floor(one.dataset.left - (performance.now() - began.get(one)) / 1000)));
    }
  };
  setInterval(count, 1000);
  const show = () => { draw(); label(); count(); };

  const live = () => document.querySelector("[data-live]");
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    // Nobody's place is lost: while something in it has the focus, the list stays as it is.
    if (document.hidden || event.target.contains(document.activeElement)) event.preventDefault();
  });
  document.body.addEventListener("htmx:afterSwap", show);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") {
      const field = document.querySelector("main input:not([type=hidden])");
      if (field) { event.preventDefault(); field.focus(); }
      return;
    }
    const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
    if (link) link.click();
  });

  /* Records as they arrive: so many are kept, the list is as high as it was, and whoever scrolls up stays there. */
  const follow = (section) => {
    const most = 200;
    const [button, state, box] = ["[data-follow]", "[data-state]", "[data-records]"].map((one) => section.querySelector(one));
    let source = null, count = 0, passed = 0;
    const say = (what) => { state.textContent = `${what}: ${count} records${passed ? `, ${passed} more were not shown` : ""}`; };
    const stop = (what) => { source?.close(); source = null; button.textContent = "Follow on"; say(what); };
    const start = () => {
      source = new EventSource(section.dataset.tail);
      button.textContent = "Pause";
      box.hidden = false;
      state.textContent = "connecting";
      const on = (name, then) => source.addEventListener(name, (event) => then(JSON.parse(event.data)));
      on("begin", () => say("following"));
      on("record", (data) => {
        const below = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
        box.insertAdjacentHTML("beforeend", data.html);
        while (box.childElementCount > most) box.firstElementChild.remove();
        if (below) box.scrollTop = box.scrollHeight;
        count += 1;
        say("following");
      });
      on("passed", (data) => { passed = data.count; say("following"); });
      on("end", (data) => stop(`ended, ${data.reason}`));
      source.onerror = () => stop("the connection is lost");
    };
    button.addEventListener("click", () => (source ? stop("paused") : start()));
    addEventListener("pagehide", () => source?.close());
  };
  for (const section of document.querySelectorAll("[data-tail]")) follow(section);

  try { show(); } finally { document.documentElement.classList.add("scripts"); }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  if (live()) {
    const source = new EventSource("/console/live");
    source.addEventListener("news", () => htmx.trigger(document.body, "news"));
    addEventListener("pagehide", () => source.close());
    document.documentElement.dataset.following = "yes";
  }
})();
