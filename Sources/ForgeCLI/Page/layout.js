"use strict";
// Layered layout of a directed graph: the method of Sugiyama, Tagawa and Toda (1981). Layers by longest path, order within
// them by barycentres, places by least squares.

// `items` have `needs` (indexes) and `height`; gives a node for each, with `layer` and `y`, and a route for each edge.

function layout(items) {
  const users = items.map(() => []);
  items.forEach((item, i) => item.needs.forEach((n) => users[n].push(i)));
  const layer = items.map(() => 0);
  items.forEach((item, i) => { layer[i] = Math.max(0, ...item.needs.map((n) => layer[n] + 1)); });
  // What needs nothing moves next to what uses it first.
  items.forEach((item, i) => {
    if (!item.needs.length && users[i].length) layer[i] = Math.min(...users[i].map((u) => layer[u])) - 1;
  });
  const layers = [];
  const node = (fields) => {
    const made = { before: [], after: [], y: 0, ...fields };
    (layers[made.layer] ??= []).push(made);
    return made;
  };
  const nodes = items.map((item, i) => node({ item, layer: layer[i], height: item.height }));
  // An edge over several layers goes through a place of its own in each.
  const routes = [];
  items.forEach((item, i) => item.needs.forEach((n) => {
    const route = [nodes[n]];
    for (let l = layer[n] + 1; l < layer[i]; l++) route.push(node({ layer: l, height: 6 }));
    route.push(nodes[i]);
    for (let k = 1; k < route.length; k++) { route[k - 1].after.push(route[k]); route[k].before.push(route[k - 1]); }
    routes.push({ from: n, to: i, route });
  }));
  for (let l = 0; l < layers.length; l++) layers[l] ??= [];
  order(layers);
  place(layers);
  return { nodes, routes, layers };
}

const index = (layer) => layer.forEach((n, i) => { n.at = i; });

function crossings(layers) {
  let count = 0;
  for (const layer of layers.slice(0, -1)) {
    const ends = layer.flatMap((n) => n.after.map((m) => m.at).sort((a, b) => a - b));
    for (let i = 0; i < ends.length; i++) for (let j = i + 1; j < ends.length; j++) if (ends[i] > ends[j]) count++;
  }
  return count;
}

function order(layers) {
  layers.forEach(index);
  let best = layers.map((l) => [...l]);
  let least = crossings(layers);
  const mean = (list, old) => (list.length ? list.reduce((s, n) => s + n.at, 0) / list.length : old);
  const small = layers.every((l) => l.length < 80);
  for (let round = 0; round < 24 && least > 0; round++) {
    const down = round % 2 === 0;
    const sequence = down ? layers : [...layers].reverse();
    for (const layer of sequence) {
      layer.forEach((n) => { n.weight = mean(down ? n.before : n.after, n.at); });
      layer.sort((a, b) => a.weight - b.weight || a.at - b.at);
      index(layer);
    }
    if (small) swapNeighbours(layers);
    const count = crossings(layers);
    if (count < least) { least = count; best = layers.map((l) => [...l]); }
  }
  best.forEach((l, i) => { layers[i] = l; index(l); });
}

// Crossings of the edges of two neighbours, with the first above the second.
function between(a, b) {
  let count = 0;
  for (const side of ["before", "after"]) {
    for (const x of a[side]) for (const y of b[side]) if (x.at > y.at) count++;
  }
  return count;
}

function swapNeighbours(layers) {
  for (const layer of layers) {
    for (let i = 0; i + 1 < layer.length; i++) {
      if (between(layer[i + 1], layer[i]) < between(layer[i], layer[i + 1])) {
        [layer[i], layer[i + 1]] = [layer[i + 1], layer[i]];
        index(layer);
      }
    }
  }
}

const gap = 16;

function place(layers) {
  for (const layer of layers) {
    let y = 0;
    for (const n of layer) { n.y = y + n.height / 2; y += n.height + gap; }
  }
  for (let round = 0; round < 40; round++) {
    const down = round % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      const wish = layer.map((n) => {
        // Both sides in the last rounds, so that no side pulls all its way.
        const near = round > 30 ? [...n.before, ...n.after] : down ? n.before : n.after;
        return near.length ? near.reduce((s, m) => s + m.y, 0) / near.length : n.y;
      });
      const weight = layer.map((n) => (n.item ? 1 : 3));
      spread(layer, wish, weight);
    }
  }
  const top = Math.min(...layers.flat().map((n) => n.y - n.height / 2));
  layers.flat().forEach((n) => { n.y -= top; });
}

// The places nearest to the wished ones that keep order and distance: isotonic regression by pooling neighbours.
function spread(layer, wish, weight) {
  const offset = [];
  layer.forEach((n, i) => { offset[i] = i ? offset[i - 1] + (layer[i - 1].height + n.height) / 2 + gap : 0; });
  const pools = [];
  layer.forEach((_, i) => {
    pools.push({ sum: (wish[i] - offset[i]) * weight[i], weight: weight[i], count: 1 });
    while (pools.length > 1) {
      const [a, b] = pools.slice(-2);
      if (a.sum / a.weight <= b.sum / b.weight) break;
      pools.splice(-2, 2, { sum: a.sum + b.sum, weight: a.weight + b.weight, count: a.count + b.count });
    }
  });
  let i = 0;
  for (const pool of pools) for (let k = 0; k < pool.count; k++, i++) layer[i].y = pool.sum / pool.weight + offset[i];
}
