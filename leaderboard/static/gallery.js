"use strict";
// The gallery: filter, sort, compare. All texts come from strangers and are only ever set as text.
(function () {
  const data = window.sgpbench && window.sgpbench.gallery;
  if (!data) return;
  const field = function (id) { return document.getElementById(id); };
  const ids = ["category", "outcome", "low", "high", "sort", "a", "b", "side", "search"].filter(field);
  const live = field("live");
  const sheet = field("sheet");
  const PAGE = 12;
  const WORDS = {
    ok: "drawn", no_svg: "no SVG in the reply", truncated: "stopped by the token limit", malformed: "unfinished SVG",
    refused: "refused", render_error: "not drawable", render_timeout: "took too long to draw",
    render_crash: "broke the renderer", api_error: "no answer from the API", judge_error: "no answer from the judge",
    scorer_error: "could not be scored",
  };
  const bySlug = new Map(data.models.map(function (model, index) { return [model.slug, index]; }));
  const byPrompt = new Map(data.prompts.map(function (prompt, index) { return [prompt.id, index]; }));
  const programs = new Map();
  const waiting = new Map();
  let only = null; // a single prompt, by permalink
  let open = null; // prompt and model of the drawing that is open
  let shown = PAGE;
  let found = [];

  window.sgpbench.programs = function (slug, texts) {
    programs.set(slug, texts);
    (waiting.get(slug) || []).forEach(function (then) { then(texts); });
    waiting.delete(slug);
  };

  function withPrograms(slug, then) {
    if (programs.has(slug)) return then(programs.get(slug));
    if (waiting.has(slug)) return waiting.get(slug).push(then);
    waiting.set(slug, [then]);
    const script = document.createElement("script");
    script.src = "programs/" + slug + ".js";
    script.addEventListener("error", function () { window.sgpbench.programs(slug, []); });
    document.head.append(script);
    return undefined;
  }

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function name(model) {
    const element = document.createElement("bdi");
    element.textContent = model.note ? model.name + " (" + model.note + ")" : model.name;
    element.title = element.textContent;
    return element;
  }

  const wide = Math.max(Math.abs(data.low || 0), Math.abs(data.high || 0)) >= 10;
  function score(value) {
    return value === null ? "no score" : value.toFixed(wide ? 1 : 3).replace("-", "−");
  }
  function outcome(prompt, model) {
    const state = data.states[prompt][model];
    return state < 0 ? null : data.outcomes[state];
  }
  function words(prompt) {
    return data.prompts[prompt].caption || data.prompts[prompt].id;
  }
  function chosen(id) {
    const element = field(id);
    return element && element.value && bySlug.has(element.value) ? bySlug.get(element.value) : null;
  }
  function number(id) {
    const text = field(id) ? field(id).value.trim().replace(",", ".") : "";
    return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
  }

  data.models.forEach(function (model) {
    ["a", "b"].forEach(function (id) {
      const option = document.createElement("option");
      option.value = model.slug;
      option.textContent = model.note ? model.name + " (" + model.note + ")" : model.name;
      field(id).append(option);
    });
  });

  // Baselines are for reference; they count only where there is nothing else.
  const counted = data.models.map(function (model) { return !model.baseline; });
  if (!counted.includes(true)) counted.fill(true);
  const stats = data.scores.map(function (row) {
    const values = row.filter(function (value, index) { return value !== null && counted[index]; });
    const mean = values.length ? values.reduce(function (sum, value) { return sum + value; }, 0) / values.length : null;
    const spread = values.length
      ? Math.sqrt(values.reduce(function (sum, value) { return sum + (value - mean) * (value - mean); }, 0) / values.length)
      : -1;
    return { mean: mean, spread: spread };
  });

  function select() {
    const a = chosen("a");
    const b = chosen("b");
    const low = number("low");
    const high = number("high");
    const wanted = field("search").value.trim().toLowerCase().split(/\s+/);
    const state = data.outcomes.indexOf(field("outcome").value);
    const side = field("side") ? field("side").value : "";
    found = [];
    data.prompts.forEach(function (prompt, index) {
      if (only !== null && index !== only) return;
      if (field("category").value && prompt.category !== field("category").value) return;
      const text = (words(index) + " " + prompt.id).toLowerCase();
      if (!wanted.every(function (word) { return text.includes(word); })) return;
      const states = data.states[index];
      if (state >= 0) {
        const fits = a === null ? states.includes(state) : states[a] === state || (b !== null && states[b] === state);
        if (!fits) return;
      }
      const value = a === null ? stats[index].mean : data.scores[index][a];
      if (low !== null && (value === null || value < low)) return;
      if (high !== null && (value === null || value > high)) return;
      const gap = a === null || b === null ? null : difference(index, a, b);
      if (a !== null && b !== null && side) {
        if (gap === null) return;
        if ((side === "a" && gap <= 0) || (side === "b" && gap >= 0) || (side === "tie" && gap !== 0)) return;
      }
      found.push({ index: index, value: value, gap: gap });
    });
    const order = field("sort") ? field("sort").value : "";
    const last = function (value, direction) { return value === null ? Infinity : direction * value; };
    const key = {
      score: function (one) { return last(one.value, -data.better); },
      hard: function (one) { return last(one.value, data.better); },
      disagreement: function (one) { return one.gap === null ? -stats[one.index].spread : -Math.abs(one.gap); },
    }[order];
    if (key) found.sort(function (one, other) {
      const first = key(one);
      const second = key(other);
      return first < second ? -1 : first > second ? 1 : one.index - other.index;
    });
  }

  // How much better A is than B on a prompt, in the metric's own direction.
  function difference(prompt, a, b) {
    const one = data.scores[prompt][a];
    const other = data.scores[prompt][b];
    return one === null || other === null ? null : (one - other) * data.better;
  }

  function drawing(prompt, model, label) {
    const item = make("li");
    const button = make("button", "paper");
    button.type = "button";
    const state = outcome(prompt, model);
    const picture = data.pictures[prompt][model];
    if (picture) {
      const image = document.createElement("img");
      image.src = "../../thumbs/" + picture.slice(0, 2) + "/" + picture + ".webp";
      image.width = 192;
      image.height = 192;
      image.loading = "lazy";
      image.decoding = "async";
      image.alt = words(prompt).slice(0, 200) + ", by " + data.models[model].name;
      button.append(image);
    } else {
      button.append(make("span", "tile", state === "ok" ? "no picture here" : state ? WORDS[state] || state : "not asked"));
    }
    button.addEventListener("click", function () { open = { prompt: prompt, model: model }; keep(); show(prompt, model); });
    const line = make("p");
    line.append(label || name(data.models[model]));
    if (data.column && state !== null) line.append(make("span", "mono", score(data.scores[prompt][model])));
    item.append(button, line);
    return item;
  }

  function heading(prompt, extra) {
    const entry = data.prompts[prompt];
    const title = make("h2");
    const text = document.createElement("bdi");
    text.textContent = words(prompt);
    const small = make("small", "", entry.category + (entry.caption ? " · " + entry.id : "") + (extra ? " · " + extra : "") + " · ");
    const link = make("a", "", "link");
    link.href = "#" + new URLSearchParams({ p: entry.id });
    link.setAttribute("aria-label", "Link to this prompt");
    small.append(link);
    if (entry.photo) {
      const photo = make("a", "", "photograph at COCO");
      photo.href = entry.photo;
      photo.rel = "noopener noreferrer";
      small.append(" · ", photo);
    }
    title.append(text, " ", small);
    return title;
  }

  function draw() {
    const a = chosen("a");
    const b = chosen("b");
    const parts = [];
    if (a !== null && b === null && only === null) {
      const list = make("ul", "drawings");
      found.slice(0, shown * 4).forEach(function (one) {
        const label = document.createElement("bdi");
        label.textContent = words(one.index).slice(0, 90);
        list.append(drawing(one.index, a, label));
      });
      parts.push(list);
    } else {
      found.slice(0, shown).forEach(function (one) {
        const section = make("section", "prompt");
        const list = make("ul", a !== null && b !== null ? "drawings pair" : "drawings");
        if (a !== null && b !== null) {
          const first = drawing(one.index, a);
          const second = drawing(one.index, b);
          if (one.gap > 0) first.classList.add("win");
          if (one.gap < 0) second.classList.add("win");
          list.append(first, second);
          section.append(heading(one.index, one.gap === null ? "" : one.gap === 0 ? "tie" : one.gap > 0 ? "A wins" : "B wins"), list);
        } else {
          data.models.forEach(function (_, model) { list.append(drawing(one.index, model)); });
          section.append(heading(one.index, data.column && stats[one.index].mean !== null ? "mean of models " + score(stats[one.index].mean) : ""), list);
        }
        parts.push(section);
      });
    }
    if (!found.length) parts.push(make("p", "empty", "No prompt fits these filters."));
    live.replaceChildren.apply(live, parts);
    const step = a !== null && b === null ? shown * 4 : shown;
    field("more").hidden = found.length <= step;
    summarise(a, b);
  }

  function summarise(a, b) {
    const box = field("summary");
    box.className = "";
    let text = found.length === data.prompts.length ? found.length + " prompts" : found.length + " of " + data.prompts.length + " prompts";
    if (only !== null) text = "One prompt. ";
    if (a !== null && b !== null && data.column) {
      const gaps = data.prompts.map(function (_, index) { return difference(index, a, b); }).filter(function (gap) { return gap !== null; });
      const wins = gaps.filter(function (gap) { return gap > 0; }).length;
      const losses = gaps.filter(function (gap) { return gap < 0; }).length;
      text += ". Of the " + gaps.length + " here that both have, A wins " + wins + ", B wins " + losses + ", " + (gaps.length - wins - losses) + " are ties.";
      const pairs = data.pairs;
      if (pairs && pairs.place[a] >= 0 && pairs.place[b] >= 0 && a !== b) {
        const gap = pairs.difference[pairs.place[a]][pairs.place[b]];
        const p = pairs.p[pairs.place[a]][pairs.place[b]];
        if (gap !== null) text += " Over all common prompts A − B = " + score(gap) + ", p " + (p < 0.001 ? "< 0.001" : "= " + p.toFixed(3)) + " after correction for all pairs.";
      }
      box.className = "verdict";
    }
    box.textContent = text;
    if (only !== null) {
      const back = make("a", "", "Show all");
      back.href = "#";
      box.append(back);
    }
  }

  function show(prompt, model) {
    const entry = data.prompts[prompt];
    const body = field("sheet-body");
    const title = make("h2");
    title.id = "sheet-title";
    title.append(name(data.models[model]));
    const caption = make("p");
    const text = document.createElement("bdi");
    text.textContent = words(prompt);
    caption.append(text);
    const paper = make("div", "paper");
    const picture = data.pictures[prompt][model];
    const state = outcome(prompt, model);
    if (picture) {
      const image = document.createElement("img");
      image.src = "../../thumbs/" + picture.slice(0, 2) + "/" + picture + ".webp";
      image.alt = words(prompt).slice(0, 200);
      paper.append(image);
    } else {
      paper.append(make("span", "tile", state ? WORDS[state] || state : "not asked"));
    }
    const facts = [entry.category, entry.id, state ? WORDS[state] || state : "not asked"];
    if (data.column) facts.push(data.column + ": " + score(data.scores[prompt][model]));
    if (data.models[model].samples > 1) facts.push("first of " + data.models[model].samples + " samples; the score is their mean");
    const more = make("p", "quiet", facts.join(" · "));
    const link = make("a", "", "All about this model");
    link.href = "../../models/" + data.models[model].slug + "-" + data.protocol.toLowerCase() + ".html";
    const source = make("pre", "", "…");
    source.tabIndex = 0;
    body.replaceChildren(title, caption, paper, more, link, make("h3", "", "Program"), source);
    withPrograms(data.models[model].slug, function (texts) {
      source.textContent = texts[prompt] || "There is no program here.";
    });
    if (!sheet.open) sheet.showModal();
  }

  function keep() {
    const view = new URLSearchParams();
    ids.forEach(function (id) { if (field(id).value) view.set(id, field(id).value); });
    if (only !== null || open !== null) view.set("p", data.prompts[open === null ? only : open.prompt].id);
    if (open !== null) view.set("d", data.models[open.model].slug);
    const text = view.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  function restore() {
    if (location.hash && !location.hash.includes("=")) return; // a place on the page, not a view
    const view = new URLSearchParams(location.hash.slice(1));
    ids.forEach(function (id) {
      field(id).value = view.get(id) || "";
      if (field(id).value !== (view.get(id) || "")) field(id).value = "";
    });
    only = byPrompt.has(view.get("p")) ? byPrompt.get(view.get("p")) : null;
    open = only !== null && bySlug.has(view.get("d")) ? { prompt: only, model: bySlug.get(view.get("d")) } : null;
    shown = PAGE;
    select();
    draw();
    if (open !== null) show(open.prompt, open.model);
    else if (sheet.open) sheet.close();
  }

  ids.forEach(function (id) {
    field(id).addEventListener("input", function () { shown = PAGE; only = null; open = null; select(); draw(); keep(); });
  });
  field("reset").addEventListener("click", function () {
    history.replaceState(null, "", location.pathname + location.search);
    restore();
  });
  field("more").querySelector("button").addEventListener("click", function () { shown += PAGE; draw(); });
  sheet.addEventListener("close", function () { open = null; keep(); });
  sheet.addEventListener("click", function (event) { if (event.target === sheet) sheet.close(); });
  field("controls").addEventListener("submit", function (event) { event.preventDefault(); });
  window.addEventListener("hashchange", restore);
  field("static").remove();
  field("controls").hidden = false;
  restore();
})();
