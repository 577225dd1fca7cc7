// Uses pages in Chromium as a reader does, most of it by keyboard, and prints what goes wrong on each as JSON: script errors,
// requests, accessibility faults, and controls that do not do what they say. With a folder as last argument it also takes
// pictures there.
"use strict";

const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** A page in a browser of its own, with everything that it complains of. */
async function open(browser, file, options, problems) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => problems.push(`script error: ${error.message}`));
  page.on("console", (message) => message.type() !== "log" && problems.push(`console: ${message.text()}`));
  page.on("request", (request) => request.url() !== `file://${file}` && !request.url().startsWith(`file://${file}#`) && problems.push(`request: ${request.url()}`));
  await page.goto(`file://${file}`);
  return page;
}

const unfold = (page) => page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));

async function accessible(browser, file, problems) {
  for (const [width, colorScheme] of [[1280, "light"], [390, "dark"]]) {
    const page = await open(browser, file, { viewport: { width, height: 900 }, colorScheme }, problems);
    await unfold(page);
    await page.evaluate(`${axe};0`);
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const fault of violations.filter((fault) => ["serious", "critical"].includes(fault.impact))) {
      problems.push(`${width} ${colorScheme}: ${fault.id}: ${fault.nodes.length} times, ${fault.nodes[0].html.slice(0, 160)}`);
    }
    await page.context().close();
  }
}

/** Every control that is seen is reached by the tabulator key. */
async function reachable(page, problems) {
  const controls = await page.evaluate(() => {
    const all = [...document.querySelectorAll("a, button, input, select, summary")];
    const seen = all.filter((one) => !one.disabled && one.checkVisibility() && !one.classList.contains("skip"));
    seen.forEach((one, number) => (one.dataset.tab = number));
    return seen.length;
  });
  // The page itself keeps in mind what was reached: to ask after each key takes longer than the key.
  await page.evaluate(() => {
    window.reached = new Set();
    document.addEventListener("focusin", ({ target }) => target.dataset?.tab !== undefined && window.reached.add(target.dataset.tab));
  });
  let reached = 0;
  const most = controls + 400;
  for (let pressed = 0; pressed < most && reached < controls; ) {
    const few = Math.min(Math.max(8, Math.min(100, controls - reached)), most - pressed);
    for (let times = 0; times < few; times += 1, pressed += 1) await page.keyboard.press("Tab");
    reached = await page.evaluate(() => window.reached.size);
  }
  if (reached < controls) problems.push(`${controls - reached} of ${controls} controls are not reached by keyboard`);
}

async function filters(page, problems) {
  const places = await page.$$("[data-filter]");
  let used = 0;
  for (const place of places) {
    const search = await place.$("input");
    if (!search) continue;
    const things = await place.evaluate((one) => one.dataset.filter);
    const texts = await page.$$eval(things, (all) => all.map((one) => one.textContent.toLowerCase()));
    // The rarest word of the last thing.
    const words = texts.at(-1).split(/\s+/).filter((word) => word.length > 1);
    const having = (word) => texts.filter((text) => text.includes(word)).length;
    const word = words.reduce((best, one) => (having(one) < having(best) ? one : best));
    await search.focus();
    await page.keyboard.type(word);
    const shown = () => page.$$eval(things, (all) => all.filter((one) => !one.hidden).length);
    const told = () => place.$eval("output", (one) => one.textContent);
    if ((await shown()) !== having(word)) problems.push(`${things}: a search for ${word} shows ${await shown()} of ${having(word)}`);
    if (!(await told()).startsWith(`${having(word)} of ${texts.length} `)) problems.push(`${things}: told ${await told()}`);
    await page.keyboard.press("Control+A");
    await page.keyboard.type("no such text anywhere");
    if ((await shown()) !== 0) problems.push(`${things}: everything fits`);
    await page.keyboard.press("Control+A");
    await page.keyboard.press("Delete");
    if ((await shown()) !== texts.length) problems.push(`${things}: an empty search hides something`);
    const kind = await place.$("select");
    if (kind) {
      const kinds = await page.$$eval(things, (all) => all.map((one) => one.dataset.kind));
      const value = kinds.at(-1);
      await kind.selectOption(value);
      if ((await shown()) !== kinds.filter((one) => one === value).length) problems.push(`${things}: the choice ${value} shows ${await shown()}`);
      await kind.selectOption("");
    }
    used += 1;
  }
  return used;
}

async function steps(page, problems) {
  const openers = await page.$$("[data-walk] > button");
  for (const opener of openers.slice(0, 3)) {
    await opener.focus();
    await page.keyboard.press("Enter");
    const box = await opener.evaluateHandle((one) => document.getElementById(one.getAttribute("aria-controls")));
    const told = () => box.$eval("output", (one) => one.textContent);
    const text = () => box.evaluate((one) => one.textContent);
    if (!(await box.isVisible())) problems.push("a step-through does not open");
    const count = Number((await told()).match(/^Step 1 of (\d+)$/)?.[1]);
    if (!(count > 1)) problems.push(`a step-through begins with ${await told()}`);
    const seen = new Set([await text()]);
    for (let at = 2; at <= count; at += 1) {
      await page.keyboard.press("ArrowRight");
      if ((await told()) !== `Step ${at} of ${count}`) problems.push(`step ${at}: ${await told()}`);
      seen.add(await text());
    }
    if (seen.size !== count) problems.push(`${count} steps show ${seen.size} states`);
    const sides = await box.$$eval(".sides > div", (all) => all.map((one) => one.textContent));
    if (sides[0] === sides[1]) problems.push("before and after the last command are the same");
    await page.keyboard.press("Home");
    if (!(await text()).includes("nothing yet")) problems.push("something was read before the first command");
    await page.keyboard.press("Escape");
    const closed = await opener.evaluate((one) => document.activeElement === one && document.getElementById(one.getAttribute("aria-controls")).hidden);
    if (!closed) problems.push("a step-through does not close, or loses the focus");
  }
  return openers.length;
}

async function lenses(page, problems) {
  const tools = await page.$$("figure > .tools");
  for (const one of tools) {
    const name = await one.getAttribute("aria-label");
    const drawn = () => one.evaluate((tools) => tools.parentElement.querySelector(".plot")?.getAttribute("viewBox") ?? [...tools.parentElement.querySelectorAll("rect")].map((rect) => rect.getAttribute("width")).join(" "));
    const told = () => one.$eval("output", (output) => output.textContent);
    const range = await one.$("input[type=range]");
    const values = new Set();
    await range.focus();
    await page.keyboard.press("Home");
    values.add(await told());
    await page.keyboard.press("End");
    values.add(await told());
    const points = await one.evaluate((tools) => JSON.parse(tools.parentElement.querySelector(".chart")?.dataset.values ?? "[0,1]").length);
    if (values.size < 2 && points > 1) problems.push(`${name}: the cursor shows ${[...values]} at both ends`);
    const before = await drawn();
    const press = async (label) => {
      await (await one.$(`button[aria-label^="${label}"]`)).focus();
      await page.keyboard.press("Enter");
    };
    await press("Zoom into");
    if ((await drawn()) === before) problems.push(`${name}: it does not zoom`);
    await press("Show the whole");
    if ((await drawn()) !== before) problems.push(`${name}: the whole is not what it was`);
    const svg = await one.evaluateHandle((tools) => tools.parentElement.querySelector("svg"));
    await svg.scrollIntoViewIfNeeded();
    const box = await svg.boundingBox();
    await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2);
    const left = await told();
    await page.mouse.move(box.x + box.width * 0.9, box.y + box.height / 2);
    if ((await told()) === left && points > 4) problems.push(`${name}: the pointer does not move the cursor`);
  }
  return tools.length;
}

/** Links lead somewhere, and the page says the same without its script. */
async function readable(browser, file, problems) {
  const page = await open(browser, file, { javaScriptEnabled: false }, problems);
  const links = await page.$$eval("a", (all) => all.map((one) => one.getAttribute("href")));
  for (const link of links) {
    if (link.startsWith("#") ? !(await page.$(`[id="${link.slice(1)}"]`)) : !fs.existsSync(path.join(path.dirname(file), link))) problems.push(`${link} leads nowhere`);
  }
  const empty = await page.$$eval("section", (all) => all.filter((one) => one.textContent.trim().length < 10).map((one) => one.id));
  empty.forEach((id) => problems.push(`the section ${id} is empty`));
  const controls = await page.$$eval("button, input, select", (all) => all.length);
  if (controls) problems.push(`${controls} controls do nothing without a script`);
  await page.context().close();
  return links.length;
}

async function pictures(browser, file, folder) {
  for (const width of [1280, 390]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open(browser, file, { viewport: { width, height: 900 }, colorScheme }, []);
      const name = `${path.basename(path.dirname(file))}-${width}-${colorScheme}.png`;
      await page.screenshot({ path: path.join(folder, name), fullPage: true });
      await page.context().close();
    }
  }
}

async function use(browser, file, folder) {
  const problems = [];
  const page = await open(browser, file, {}, problems);
  await reachable(page, problems);
  await unfold(page);
  const used = { filters: await filters(page, problems), steps: await steps(page, problems), lenses: await lenses(page, problems) };
  await page.context().close();
  used.links = await readable(browser, file, problems);
  await accessible(browser, file, problems);
  if (folder) await pictures(browser, file, folder);
  return { ...used, problems };
}

(async () => {
  const files = process.argv.slice(2).filter((one) => one.endsWith(".html"));
  const folder = process.argv.slice(2).find((one) => !one.endsWith(".html"));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const found = {};
  const left = [...files];
  // Two at a time: a page waits for its reader half of the time.
  const some = async () => {
    for (let file = left.shift(); file; file = left.shift()) found[file] = await use(browser, path.resolve(file), folder);
  };
  await Promise.all([some(), some()]);
  await browser.close();
  console.log(JSON.stringify(found, null, 1));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
