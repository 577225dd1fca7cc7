'use strict';
const at = id => document.getElementById(id);
const put = (id, text) => { at(id).textContent = text; };
const whole = new Intl.NumberFormat('en');
const ms = value => value < 1 ? Math.round(value * 1000) + ' µs' : value.toPrecision(3) + ' ms';
const curve = (name, seconds, unit) => {
  const most = Math.max(...seconds.map(second => second[name]), 1e-9);
  const points = seconds.map((second, x) => (x * 120 / Math.max(20, seconds.length - 1)).toFixed(1) + ',' + (98 - 96 * second[name] / most).toFixed(1));
  at('c-' + name).setAttribute('points', points.join(' '));
  put('max-' + name, most > 1e-6 ? 'at most ' + unit(most) : '');
};
const show = state => {
  put('scenario', state.scenario);
  put('run', 'run ' + state.run_id);
  put('operations', whole.format(state.operations) + (state.planned ? ' of ' + whole.format(state.planned) : ''));
  if (state.planned) at('share').value = Math.min(1, state.operations / state.planned);
  else if (state.ended) at('share').value = 1;
  put('errors', whole.format(state.failed + state.unknown));
  // Where only serial runs judge, the end tells.
  put('violations', state.violations === null ? '–' : whole.format(state.violations));
  at('violations').className = state.violations ? 'violated' : '';
  // The last second is not over.
  const over = state.ended ? state.seconds : state.seconds.slice(0, -1);
  const last = over.at(-1);
  if (last) {
    put('rate', whole.format(last.operations));
    put('flight', last.in_flight.toFixed(1));
    put('latency', ms(last.mean_ms));
  }
  curve('operations', over, value => whole.format(value));
  curve('mean_ms', over, ms);
  curve('in_flight', over, value => value.toFixed(1));
  curve('errors', over, value => whole.format(value));
  at('none').hidden = state.seen.length > 0;
  at('seen').replaceChildren(...state.seen.map(([second, text]) => {
    const item = document.createElement('li');
    item.textContent = second.toFixed(2) + ' s: ' + text;
    return item;
  }));
  if (state.ended) {
    at('badge').className = 'badge ' + state.ended.verdict;
    put('badge', state.ended.verdict);
    const violated = state.ended.violated.length ? ' · ' + state.ended.violated.join(', ') : '';
    put('run', 'run ' + state.run_id + violated + ' · reports in ' + state.ended.directory);
  }
};
const follow = async () => {
  try {
    const state = await (await fetch('state')).json();
    show(state);
    if (!state.ended) setTimeout(follow, 500);
  } catch {
    if (at('badge').textContent === 'running') put('badge', 'ended');
  }
};
follow();
