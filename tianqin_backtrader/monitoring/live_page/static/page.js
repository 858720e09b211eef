"use strict";

// What the server sends is merged into `rows`; everything is shown with textContent, never as HTML.
const KEEP = { bars: 600, orders: 200, fills: 500, equity: 3000, log: 300 };
const rows = { bars: {}, orders: new Map(), fills: [], equity: [], log: [] };
const by = (id) => document.getElementById(id);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let state = null;
let heard = Date.now();
let shownFeed = null;

// -- charts -----------------------------------------------------------------------------------

const { createChart, createSeriesMarkers, CandlestickSeries, AreaSeries } = LightweightCharts;
const charts = [];

function chart(id, kind, options) {
  const made = createChart(by(id), { autoSize: true });
  charts.push(made);
  return { chart: made, series: made.addSeries(kind, options) };
}

const bars = chart("bars", CandlestickSeries, {});
const equity = chart("equity", AreaSeries, { lineWidth: 2 });
const markers = createSeriesMarkers(bars.series, []);

function paint() {
  const [up, down, line, accent] = ["--up", "--down", "--line", "--accent"].map(style);
  for (const one of charts) {
    one.applyOptions({
      layout: { background: { color: style("--card") }, textColor: style("--dim") },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { timeVisible: true, secondsVisible: false, borderColor: line },
    });
  }
  bars.series.applyOptions({
    upColor: up, borderUpColor: up, wickUpColor: up,
    downColor: down, borderDownColor: down, wickDownColor: down,
  });
  equity.series.applyOptions({
    lineColor: accent, topColor: accent + "40", bottomColor: accent + "05",
    priceFormat: { type: "price", precision: 0, minMove: 1 },
  });
  equity.chart.applyOptions({ layout: { attributionLogo: false } }); // the one above has it
  showMarkers();
}

const candle = ([time, open, high, low, close]) => ({ time, open, high, low, close });
const point = ([time, value]) => ({ time, value });

function ascending(points) {
  const last = new Map(points.map((one) => [one.time, one]));
  return [...last.values()].sort((a, b) => a.time - b.time);
}

function decimals(points) {
  const longest = points.slice(-50).map((one) => (String(one.close).split(".")[1] || "").length);
  return Math.min(6, Math.max(0, ...longest));
}

function showBars() {
  const points = ascending((rows.bars[shownFeed] || []).map(candle));
  const precision = decimals(points);
  bars.series.applyOptions({
    priceFormat: { type: "price", precision, minMove: 1 / 10 ** precision },
  });
  bars.series.setData(points);
  showMarkers();
}

function showMarkers() {
  const times = bars.series.data().map((bar) => bar.time);
  const symbol = state ? state.feeds[shownFeed] : null;
  const found = [];
  for (const fill of rows.fills) {
    // a bar carries its right edge: the trade is in the first that ends at or after it
    const at = times.find((time) => time >= fill.time) ?? times.at(-1);
    if (fill.symbol !== symbol || at === undefined || fill.time < times[0] - 86400) continue;
    const buy = fill.direction === "BUY";
    found.push({
      time: at,
      position: buy ? "belowBar" : "aboveBar",
      shape: buy ? "arrowUp" : "arrowDown",
      color: style(buy ? "--up" : "--down"),
      text: `${fill.offset === "OPEN" ? "open" : "close"} ${fill.volume}`,
    });
  }
  markers.setMarkers(found.sort((a, b) => a.time - b.time));
}

function chooseFeed(name) {
  shownFeed = name;
  showBars();
  bars.chart.timeScale().scrollToRealTime();
}

// -- texts ------------------------------------------------------------------------------------

const money = (value) => value === null || value === undefined ? "–"
  : value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const number = (value) => value === null || value === undefined ? "–" : String(+value.toFixed(6));
const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(5, 19).replace("T", " ");
// "11-10 09:30:00", of the market's present date the time alone
const brief = (text) => state.now.at && text.startsWith(state.now.at.slice(5, 10)) ? text.slice(6) : text;

function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function list(id, pairs) {
  by(id).replaceChildren(...pairs.map(([name, text, className]) => {
    const one = document.createElement("div");
    one.append(element("dt", name), element("dd", text, className));
    return one;
  }));
}

function table(id, heads, lines, empty) {
  const row = (tag, cells) => {
    const made = document.createElement("tr");
    if (tag === "td") made.className = "row";
    made.append(...cells.map((cell) => Array.isArray(cell)
      ? Object.assign(element(tag, cell[0], cell[1]), cell[2] ? { title: cell[2] } : {})
      : element(tag, cell)));
    return made;
  };
  const shown = lines.length ? [row("th", heads), ...lines.map((line) => row("td", line))]
    : [row("td", [[empty, "dim"]])];
  by(id).replaceChildren(...shown);
}

const sign = (value) => value > 0 ? "up" : value < 0 ? "down" : "";
const side = (direction, offset = "") =>
  [`${direction} ${offset}`.toLowerCase(), direction === "BUY" ? "up" : "down"];
const signed = (value) => (value > 0 ? "+" : "") + money(value);

function showNow() {
  const now = state.now;
  const account = now.account;
  by("strategy").textContent = now.strategy || "tianqin_backtrader";
  document.title = `${now.strategy || "tianqin_backtrader"} ${money(account.balance)}`;
  const badges = [
    [`market data ${now.market_data_up ? "up" : "down"}`, now.market_data_up ? "good" : "bad"],
    [`trading ${now.trading_up ? "up" : "down"}`, now.trading_up ? "good" : "bad"],
    [now.trading ? "market open" : "market closed", now.trading ? "good" : "dim"],
  ];
  if (now.risk_state) {
    badges.push([`risk ${now.risk_state}`, now.risk_state === "ACTIVE" ? "good" : "bad"]);
  }
  const differ = Object.values(now.bars).reduce((sum, one) => sum + one.corrected, 0);
  if (differ) badges.push([`${differ} bars differ`, "warn"]);
  by("badges").replaceChildren(...badges.map(([text, kind]) => element("li", text, kind)));
  by("clock").textContent = now.at ? now.at.slice(0, 19) : "";
  const day = account.balance === null || account.static_balance === null ? null
    : account.balance - account.static_balance;
  list("account", [
    ["Equity", money(account.balance)],
    ["Of the day", signed(day), sign(day)],
    ["Available", money(account.available)],
    ["Margin", money(account.margin)],
    ["Fees of the day", money(account.commission)],
  ]);
  table("positions", ["Contract", "Side", "Lots", "Profit", "Last", "Opened at", "Today"],
    now.positions.map((one) => [
      one.symbol, [one.side, one.side === "long" ? "up" : "down"], one.lots,
      [signed(one.profit), sign(one.profit)], number(one.last_price), number(one.price), one.today,
    ]), "nothing is held");
  const delivered = Object.entries(now.bars).map(([name, one]) =>
    [name, `${one.delivered} bars, ${one.equal} equal, ${one.corrected} differ`]);
  list("health", [
    ["Link", now.state, now.state === "UP" ? "good" : "bad"],
    ["Newest tick behind", now.lag === null ? "–" : `${now.lag.toFixed(1)} s`],
    ["New sessions today", String(now.reconnects_today)],
    ["Next open or close", now.next_boundary ? now.next_boundary.slice(5, 16) : "–"],
    ["Orders / refused", `${now.counts.orders} / ${now.counts.rejected}`],
    ["Last error", now.last_error || "none"],
    ...(now.risk_reason ? [["Risk", now.risk_reason]] : []),
    ...delivered,
  ]);
}

function showOrders() {
  const newest = [...rows.orders.values()].reverse();
  newest.sort((a, b) => b.alive - a.alive);
  table("orders", ["Contract", "Side", "Status", "Filled", "Price", "Kind", "Time"],
    newest.map((one) => [
      one.symbol, side(one.direction),
      [one.status, one.alive ? "warn" : one.reason ? "bad" : "", one.reason],
      `${one.filled}/${one.size}`, number(one.price), one.kind, brief(one.time),
    ]), "no orders yet");
  // A reason has a line of its own below its order, where a narrow screen shows it, too.
  newest.forEach((one, place) => {
    if (!one.reason) return;
    const line = document.createElement("tr");
    const cell = Object.assign(document.createElement("td"), { className: "reason", colSpan: 7 });
    cell.append(element("div", one.reason));
    line.append(cell);
    by("orders").querySelectorAll("tr.row")[place].after(line);
  });
}

function showFills() {
  table("fills", ["Contract", "Side", "Lots", "Price", "Time"],
    rows.fills.slice(-100).reverse().map((one) => [
      one.symbol, side(one.direction, one.offset), one.volume, number(one.price), brief(clock(one.time)),
    ]), "no trades yet");
}

const LEVELS = { WARNING: "warn", ERROR: "bad", CRITICAL: "bad" };

function showLog() {
  by("log").replaceChildren(...rows.log.slice().reverse().map((one) => {
    const made = element("li", "", LEVELS[one.level]);
    made.append(element("time", clock(one.time)), one.text);
    return made;
  }));
}

function showFeeds() {
  const names = Object.keys(state.feeds);
  const select = by("feed");
  if (names.join("\n") !== [...select.options].map((one) => one.value).join("\n")) {
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  }
  select.hidden = names.length < 2;
  if (!names.includes(shownFeed) && names.length) chooseFeed(names[0]);
  select.value = shownFeed;
}

// -- news -------------------------------------------------------------------------------------

function append(known, news, most) {
  known.push(...news);
  known.splice(0, known.length - most);
}

function take(news) {
  state = news;
  if (news.full) {
    Object.assign(rows, { bars: {}, fills: [], equity: [], log: [] });
    rows.orders.clear();
  }
  for (const [name, more] of Object.entries(news.bars)) {
    append((rows.bars[name] ??= []), more, KEEP.bars);
  }
  for (const order of news.orders) {
    rows.orders.delete(order.ref);
    rows.orders.set(order.ref, order);
    if (rows.orders.size > KEEP.orders) rows.orders.delete(rows.orders.keys().next().value);
  }
  for (const name of ["fills", "equity", "log"]) append(rows[name], news[name], KEEP[name]);
  showFeeds();
  showNow();
  // whole, not bar by bar: a second run on one store begins before the bars of the first one end
  if (news.full || news.bars[shownFeed]?.length) showBars();
  if (news.full || news.equity.length) equity.series.setData(ascending(rows.equity.map(point)));
  if (news.full) equity.chart.timeScale().fitContent();
  if (news.full || news.orders.length) showOrders();
  if (news.full || news.fills.length) { showFills(); showMarkers(); }
  if (news.full || news.log.length) showLog();
  by("controls").hidden = !news.commands;
}

function listen() {
  const source = new EventSource("events");
  source.onmessage = (event) => {
    heard = Date.now();
    take(JSON.parse(event.data));
    document.documentElement.dataset.number = state.number;
  };
}

function watch() {
  const silent = (Date.now() - heard) / 1000;
  by("lost").hidden = silent < 5;
  by("lost").textContent = `No news from the program for ${silent.toFixed(0)} s: it is busy or has ended.`;
}

// -- commands ---------------------------------------------------------------------------------

async function command(button) {
  if (!button.classList.contains("sure")) {
    button.classList.add("sure");
    button.textContent = `Sure? ${button.dataset.label}`;
    setTimeout(() => calm(button), 4000);
    return;
  }
  calm(button);
  try {
    const answer = await fetch(`command/${button.dataset.command}`, {
      method: "POST", headers: { Authorization: `Bearer ${by("token").value}` },
    });
    by("answer").textContent = answer.ok ? `${button.dataset.label} was requested`
      : (await answer.text()).trim();
  } catch {
    by("answer").textContent = "the program does not answer";
  }
}

function calm(button) {
  button.classList.remove("sure");
  button.textContent = button.dataset.label;
}

for (const button of document.querySelectorAll("[data-command]")) {
  button.dataset.label = button.textContent;
  button.addEventListener("click", () => command(button));
}
by("controls").addEventListener("submit", (event) => event.preventDefault());
by("feed").addEventListener("change", (event) => chooseFeed(event.target.value));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
paint();
listen();
setInterval(watch, 1000);
