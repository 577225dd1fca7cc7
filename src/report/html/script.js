"use strict";
// What the page adds when scripts may run: filters, a step-through of schedules, a cursor and zoom in charts and timelines.
// Without it everything on the page can be read. Every control is a native one, so that the keyboard reaches it.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};
const draw = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const button = (text, onclick, label) => make("button", { type: "button", onclick, "aria-label": label }, text);

// Filters: a search in the text of things, and a choice of their kind where there are several.
function filter(place) {
  const things = [...document.querySelectorAll(place.dataset.filter)];
  const name = place.dataset.things;
  if (things.length < 2) return;
  const texts = things.map((thing) => thing.textContent.toLowerCase());
  const kinds = [...new Set(things.map((thing) => thing.dataset.kind).filter(Boolean))].sort();
  const search = make("input", { type: "search", autocomplete: "off" });
  const kind = make("select", {}, make("option", { value: "" }, "all"), ...kinds.map((one) => make("option", { value: one }, one)));
  const told = make("output", {});
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    things.forEach((thing, index) => {
      const fits = words.every((word) => texts[index].includes(word)) && (!kind.value || thing.dataset.kind === kind.value);
      thing.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    told.textContent = `${shown} of ${things.length} ${name}`;
  };
  search.addEventListener("input", apply);
  kind.addEventListener("change", apply);
  const controls = [make("label", {}, `Search ${name}`, search)];
  if (kinds.length > 1) controls.push(make("label", {}, "Show", kind));
  place.append(make("div", { class: "tools", role: "search", "aria-label": `Filter of ${name}` }, ...controls, told));
  apply();
}

// Step-through: what each request has read, and what has been written, before and after each command.
function walk(place, schedule) {
  const releases = [...new Set(schedule.steps.map((step) => step.release))];
  const until = (at) => schedule.steps.filter((step) => releases.indexOf(step.release) < at);
  const line = (step) => `R${step.request + 1}: ${step.asks} → ${step.answer}`;
  const list = (steps, fresh, text, none) =>
    steps.length ? steps.map((step) => make("dd", { class: fresh.includes(step) ? "new" : undefined }, text(step))) : [make("dd", { class: "dim" }, none)];
  // Where it was looked at after each release.
  const stored = (at) => {
    if (!schedule.stored) return [];
    const [now, before] = [schedule.stored[at - 1] ?? [], schedule.stored[at - 2] ?? []];
    return [make("dt", {}, "Stored by these requests"), ...list(now, now.filter((one) => !before.includes(one)), (one) => one, "nothing yet")];
  };
  const state = (title, at, fresh) => {
    const steps = until(at);
    const rows = schedule.lanes.flatMap((lane, request) => {
      const own = steps.filter((step) => step.request === request && !step.writes);
      const over = schedule.steps.every((step) => step.request !== request || steps.includes(step));
      const end = over && schedule.outcomes[request] ? [make("dd", {}, make("b", {}, "answers "), schedule.outcomes[request])] : [];
      return [make("dt", {}, `${lane} has read`), ...list(own, fresh, (step) => `${step.asks} → ${step.answer}`, "nothing yet"), ...end];
    });
    const writes = steps.filter((step) => step.writes);
    const written = [make("dt", {}, "Written so far"), ...list(writes, fresh, line, "nothing yet")];
    return make("div", {}, make("h4", {}, title), make("dl", {}, ...rows, ...written, ...stored(at)));
  };

  let at = 1;
  const told = make("output", { "aria-live": "polite" });
  const now = make("p", {});
  const sides = make("div", { class: "sides" });
  const go = (to) => {
    at = Math.min(Math.max(to, 1), releases.length);
    const fresh = schedule.steps.filter((step) => step.release === releases[at - 1]);
    told.textContent = `Step ${at} of ${releases.length}`;
    now.replaceChildren(make("b", {}, fresh.map(line).join(" together with ")));
    sides.replaceChildren(state("Before", at - 1, []), state("After", at, fresh));
    [first.disabled, back.disabled] = [at === 1, at === 1];
    [next.disabled, last.disabled] = [at === releases.length, at === releases.length];
  };
  const first = button("First", () => go(1));
  const back = button("Back", () => go(at - 1));
  const next = button("Next", () => go(at + 1));
  const last = button("Last", () => go(releases.length));
  const box = make("div", { class: "walk", role: "group", "aria-label": `Steps of ${schedule.name}`, tabindex: "-1", hidden: "" },
    make("div", { class: "tools" }, first, back, next, last, told), now, sides);
  box.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 1, End: releases.length, Escape: 0 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (event.key === "Escape") toggle();
    else go(to);
  });
  const opener = button("Step through", () => toggle(), `Step through ${schedule.name}`);
  const row = place.closest("tr");
  const around = row ? make("tr", { hidden: "" }, make("td", { colspan: "2" }, box)) : box;
  const toggle = () => {
    around.hidden = !around.hidden;
    box.hidden = around.hidden;
    opener.setAttribute("aria-expanded", String(!box.hidden));
    (box.hidden ? opener : box).focus();
  };
  box.id = `walk-${place.dataset.walk}`;
  opener.setAttribute("aria-expanded", "false");
  opener.setAttribute("aria-controls", box.id);
  place.append(opener);
  // Below its row it has the width of the page.
  (row ?? opener).after(around);
  go(1);
}

// A cursor that a slider or the pointer moves, and zoom around it. `show(view, at, used)` draws: `view` is the
// visible part, 0 to 1; the cursor is seen once it was used.
function lens(host, svgs, name, tell, show) {
  let view = { from: 0, length: 1 };
  let at = 0.5;
  let used = false;
  const cursor = make("input", { type: "range", min: "0", max: "1000", step: "1", value: "500" });
  const told = make("output", {});
  const redraw = () => {
    if (at < view.from || at > view.from + view.length) view.from = at - view.length / 2;
    view.from = Math.min(Math.max(view.from, 0), 1 - view.length);
    show(view, at, used);
    cursor.setAttribute("aria-valuetext", tell(at));
    told.textContent = used ? tell(at) : "";
    whole.disabled = view.length === 1;
    out.disabled = view.length === 1;
  };
  const zoom = (factor) => {
    used = true;
    const length = Math.min(Math.max(view.length * factor, 1 / 256), 1);
    view = { from: at - (at - view.from) * (length / view.length), length };
    redraw();
  };
  const out = button("−", () => zoom(2), `Zoom out of ${name}`);
  const whole = button("Whole", () => ((view = { from: 0, length: 1 }), redraw()), `Show the whole of ${name}`);
  const move = (to) => {
    at = to;
    used = true;
    redraw();
  };
  cursor.addEventListener("input", () => move(Number(cursor.value) / 1000));
  for (const { svg, share } of svgs) {
    svg.addEventListener("pointermove", (event) => {
      const inner = share(event);
      if (inner === undefined) return;
      cursor.value = String(Math.round((view.from + inner * view.length) * 1000));
      move(view.from + inner * view.length);
    });
  }
  host.append(make("div", { class: "tools", role: "group", "aria-label": `Cursor and zoom of ${name}` },
    make("label", {}, "Cursor", cursor), button("+", () => zoom(0.5), `Zoom into ${name}`), out, whole, told));
  redraw();
}

const clamp = (share) => Math.min(Math.max(share, 0), 1);

function chart(svg) {
  const values = JSON.parse(svg.dataset.values);
  const plot = svg.querySelector(".plot");
  if (!values.length || !plot) return;
  const [left, , width, height] = plot.getAttribute("viewBox").split(" ").map(Number);
  const ticks = [...svg.querySelectorAll(".tick")].map((tick) => [tick, Number(tick.getAttribute("x") ?? tick.getAttribute("x1"))]);
  const line = draw("line", { class: "cursor", y1: 4, y2: height - 27 });
  svg.append(line);
  const nearest = (at) => values.reduce((best, value) => (Math.abs(value[0] - left - at * width) < Math.abs(best[0] - left - at * width) ? value : best));
  const place = (x, view) => left + (((x - left) / width - view.from) / view.length) * width;
  const show = (view, at, used) => {
    plot.setAttribute("viewBox", `${left + view.from * width} 0 ${width * view.length} ${height}`);
    for (const [tick, x] of ticks) {
      const to = place(x, view);
      const seen = to >= left - 1 && to <= left + width + 1;
      tick.setAttribute("visibility", seen ? "visible" : "hidden");
      for (const name of tick.tagName === "text" ? ["x"] : ["x1", "x2"]) tick.setAttribute(name, String(seen ? to : x));
    }
    const x = place(nearest(at)[0], view);
    const seen = used && x >= left && x <= left + width;
    line.setAttribute("visibility", seen ? "visible" : "hidden");
    for (const name of ["x1", "x2"]) line.setAttribute(name, String(seen ? x : left));
  };
  const share = (event) => {
    const box = svg.getBoundingClientRect();
    return clamp((((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width - left) / width);
  };
  lens(svg.parentElement, [{ svg, share }], svg.getAttribute("aria-label"), (at) => nearest(at)[1], show);
}

function time(us) {
  const [value, unit] = us < 999.5 ? [us, "µs"] : us < 999500 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
  return `${value.toPrecision(3).replace(/e.*/, "")} ${unit}`;
}

function timeline(figure, number) {
  const from = Number(figure.dataset.from);
  const length = Number(figure.dataset.length);
  const svgs = [...figure.querySelectorAll("svg")];
  // Every mark with its place, in per cent, as it was drawn.
  const marks = svgs.flatMap((svg) => [...svg.querySelectorAll("rect, line, text")]).map((mark) => {
    const names = ["x", "x1", "x2", "width"].filter((name) => mark.hasAttribute(name));
    return [mark, names.map((name) => [name, parseFloat(mark.getAttribute(name))])];
  });
  const lines = svgs.map((svg) => svg.appendChild(draw("line", { class: "cursor", y1: 0, y2: 20 })));
  const show = (view, at, used) => {
    for (const [mark, places] of marks) {
      for (const [name, place] of places) {
        const to = name === "width" ? place / view.length : (place - view.from * 100) / view.length;
        mark.setAttribute(name, `${to}%`);
      }
    }
    const x = `${((at - view.from) / view.length) * 100}%`;
    for (const line of lines) {
      line.setAttribute("visibility", used ? "visible" : "hidden");
      for (const name of ["x1", "x2"]) line.setAttribute(name, x);
    }
  };
  const share = (svg) => (event) => {
    const box = svg.getBoundingClientRect();
    return box.width ? clamp((event.clientX - box.left) / box.width) : undefined;
  };
  const tell = (at) => `+${time(at * length)}, ${time(from + at * length)} after the start of the run`;
  lens(figure, svgs.map((svg) => ({ svg, share: share(svg) })), `timeline ${number + 1}`, tell, show);
}

document.querySelectorAll("[data-filter]").forEach(filter);
const walks = document.getElementById("walks");
if (walks) {
  const schedules = JSON.parse(walks.textContent);
  document.querySelectorAll("[data-walk]").forEach((place) => walk(place, schedules[Number(place.dataset.walk)]));
}
document.querySelectorAll("svg.chart").forEach(chart);
document.querySelectorAll("figure.time").forEach(timeline);
// A link into something folded unfolds it.
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) target.closest("details")?.setAttribute("open", "");
};
addEventListener("hashchange", unfold);
unfold();
