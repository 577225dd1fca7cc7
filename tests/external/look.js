// Looks at a page in frames of several sizes and colour schemes, and lists what a reader would stumble over.
"use strict";

const problems = [];
const text = (element) => element.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
const inside = (inner, outer) =>
  inner.left >= outer.left - 1 && inner.right <= outer.right + 1 && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;

// Relative luminance and contrast as the Web Content Accessibility Guidelines define them.
const channels = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
function luminance(colour) {
  const [r, g, b] = channels(colour).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

function look(frame) {
  const scheme = frame.style.colorScheme;
  const problem = (what) => problems.push(`${frame.width} ${scheme}: ${what}`);
  const page = frame.contentDocument;
  const style = (element) => frame.contentWindow.getComputedStyle(element);
  page.querySelectorAll("details").forEach((details) => (details.open = true));

  const width = page.documentElement.scrollWidth;
  if (width > Number(frame.width)) problem(`the page is ${width} wide`);
  for (const box of page.querySelectorAll(".scroll, pre, td, th, dd, summary, p, figure")) {
    if (box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0) problem(`<${box.tagName.toLowerCase()}> is cut off: ${text(box)}`);
  }

  const background = style(page.body).backgroundColor;
  if ((luminance(background) < 0.2) !== (scheme === "dark")) problem(`the background is ${background}`);
  const seen = new Set();
  for (const element of page.querySelectorAll("body, .dim, .holds, .violated, .inconclusive, .badge, th, code, pre, dt, .label")) {
    const colour = style(element).color;
    if (!seen.has(colour) && contrast(colour, background) < 4.5) problem(`${colour} on ${background} is hard to read: ${text(element)}`);
    seen.add(colour);
  }

  for (const chart of page.querySelectorAll("svg.chart")) {
    const name = chart.getAttribute("aria-label");
    const frame = chart.getBoundingClientRect();
    const marks = [...chart.querySelectorAll(".bar, polyline")].map((mark) => mark.getBoundingClientRect());
    if (frame.height < 50) problem(`${name}: ${frame.height} high`);
    if (!marks.some((mark) => mark.width > 0 && mark.height > 0)) problem(`${name}: empty`);
    if (!marks.every((mark) => inside(mark, frame))) problem(`${name}: drawn outside`);
    const labels = [...chart.querySelectorAll("text")].map((label) => [label, label.getBoundingClientRect()]);
    if (labels.length < 3) problem(`${name}: ${labels.length} labels`);
    labels.forEach(([label, box], index) => {
      if (!inside(box, frame)) problem(`${name}: the label ${text(label)} is cut off`);
      for (const [other, place] of labels.slice(index + 1)) {
        if (overlap(box, place)) problem(`${name}: ${text(label)} and ${text(other)} overlap`);
      }
    });
  }
  for (const track of page.querySelectorAll("svg.track")) {
    const bar = track.querySelector("rect").getBoundingClientRect();
    if (bar.width < 1 || !inside(bar, track.getBoundingClientRect())) problem(`a lane is not seen: ${track.getAttribute("aria-label")}`);
  }
}

window.addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")];
  frames.forEach(look);
  document.getElementById("found").textContent = [`looked at ${frames.length} frames`, ...problems].join("\n");
});
