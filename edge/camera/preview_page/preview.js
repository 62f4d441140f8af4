// The preview page: asks for the state four times a second and for pictures as fast as they come, 12 a second at most.
"use strict";

const STATE_INTERVAL_MS = 250;
const PICTURE_INTERVAL_MS = 80;
const SHOWN = 240;

const element = (id) => document.getElementById(id);
const decisions = new Map(); // frame number -> decision
let serial = 0;
let dragging = false;
let change = 0; // number of the last move of the slider
let settled = 0; // number of the last move that the server knows
let settledAt = 0;
let timer = null;
let sending = Promise.resolve(); // one after the other, so that the last move wins
let shownFrame = null;
let noteStaysUntil = 0;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const words = (name) => name.replaceAll("_", " ");

async function watchState() {
  for (;;) {
    if (!document.hidden) {
      try {
        const askedAt = performance.now();
        const answer = await fetch(`state?after=${serial}`);
        if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
        show(await answer.json(), askedAt);
      } catch (error) {
        setState("not connected", "trouble");
      }
    }
    await pause(STATE_INTERVAL_MS);
  }
}

async function watchPicture() {
  for (;;) {
    const started = performance.now();
    if (!document.hidden) {
      try {
        await loadPicture();
      } catch (error) {
        await pause(1000);
      }
    }
    await pause(Math.max(0, PICTURE_INTERVAL_MS - (performance.now() - started)));
  }
}

async function loadPicture() {
  const canvas = element("picture");
  const width = Math.ceil(canvas.clientWidth * Math.min(2, window.devicePixelRatio));
  const answer = await fetch(`frame.jpg?width=${width}`);
  if (answer.status !== 200) return;
  const frame = Number(answer.headers.get("X-Frame"));
  const picture = await createImageBitmap(await answer.blob());
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  shownFrame = frame;
  canvas.dataset.frame = frame;
  element("waiting").hidden = true;
  showBadge();
}

function show(state, askedAt) {
  if (state.serial < serial) decisions.clear(); // the program was started anew
  serial = state.serial;
  for (const decision of state.decisions) decisions.set(decision.frame, decision);
  const numbers = [...decisions.keys()].sort((one, other) => one - other);
  for (const old of numbers.slice(0, Math.max(0, numbers.length - SHOWN))) decisions.delete(old);

  const status = state.status;
  setState(words(status.state), status.state === "running" ? "running" : status.state === "ended" ? "" : "trouble");
  element("source").textContent = status.source;
  showPolicy(state.policy, askedAt);
  showCounters(status);
  const recent = numbers.slice(-SHOWN).map((number) => decisions.get(number));
  drawTrace(recent);
  drawStrip(recent);
  showBadge();
}

function setState(text, kind) {
  const state = element("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = kind;
}

function showPolicy(policy, askedAt) {
  const slider = element("threshold");
  slider.disabled = false;
  if (!dragging && change === settled && askedAt > settledAt) { // else it is older than the slider
    slider.value = policy.threshold;
    element("threshold-value").textContent = policy.threshold.toFixed(2);
  }
  slider.title = policy.purpose;
  if (performance.now() > noteStaysUntil) setNote(`Policy ${policy.name}`, "note", 0);
}

function showCounters(status) {
  const dropped = Object.values(status.dropped).reduce((sum, count) => sum + count, 0);
  const number = (value, digits) => (value === null ? "–" : value.toFixed(digits));
  const counters = {
    "Frames in": status.frames_in,
    Kept: status.kept,
    Dropped: dropped,
    Waiting: status.pending,
    "Frames/s": number(status.fps, 1),
    "Age, ms": number(status.age_ms, 0),
    Reconnects: status.reconnects,
    "Lost by sinks": status.lost,
  };
  fill(element("counters"), Object.entries(counters), ([name, value]) => {
    const group = document.createElement("div");
    group.append(textOf("dt", name), textOf("dd", value));
    return group;
  });
  const causes = Object.entries(status.dropped).sort((one, other) => other[1] - one[1]);
  element("causes-title").hidden = causes.length === 0;
  fill(element("causes"), causes, ([cause, count]) => {
    const item = document.createElement("li");
    item.append(textOf("span", words(cause)), textOf("span", count));
    return item;
  });
  if (status.last_error) element("state").title = status.last_error;
}

function textOf(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function fill(parent, items, make) {
  parent.replaceChildren(...items.map(make));
}

function showBadge() {
  const decision = decisions.get(shownFrame);
  if (!decision) return;
  element("frame-box").className = `picture ${decision.decision}`;
  const score = decision.score === null ? "no score" : decision.score.toFixed(2);
  const badge = element("badge");
  badge.hidden = false;
  badge.textContent = `${score} · ${decision.decision === "keep" ? "kept" : "dropped"}: ${words(decision.reason)}`;
  element("score").textContent = score;
}

function context(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const drawing = canvas.getContext("2d");
  drawing.scale(ratio, ratio);
  return [drawing, width, height];
}

function drawStrip(recent) {
  const [drawing, width, height] = context(element("strip"));
  const step = width / SHOWN;
  recent.forEach((decision, index) => {
    const kept = decision.decision === "keep";
    drawing.fillStyle = colour(kept ? "--keep" : "--drop");
    const tall = kept ? height : height * 0.45;
    drawing.fillRect((SHOWN - recent.length + index) * step, height - tall, Math.max(1, step - 0.5), tall);
  });
}

function drawTrace(recent) {
  const [drawing, width, height] = context(element("trace"));
  const left = 28;
  const x = (index) => left + ((SHOWN - recent.length + index + 0.5) / SHOWN) * (width - left);
  const y = (value) => 6 + (1 - value) * (height - 12);
  drawing.font = "11px system-ui, sans-serif";
  drawing.textBaseline = "middle";
  for (const tick of [0, 0.5, 1]) {
    drawing.strokeStyle = colour("--edge");
    drawing.fillStyle = colour("--soft");
    drawing.beginPath();
    drawing.moveTo(left, y(tick));
    drawing.lineTo(width, y(tick));
    drawing.stroke();
    drawing.fillText(tick.toFixed(1), 4, y(tick));
  }
  line(drawing, recent, x, (decision) => decision.threshold, y, "--line", 1.5);
  line(drawing, recent, x, (decision) => decision.score, y, "--soft", 1);
  recent.forEach((decision, index) => {
    if (decision.score === null) return;
    drawing.fillStyle = colour(decision.decision === "keep" ? "--keep" : "--drop");
    drawing.beginPath();
    drawing.arc(x(index), y(decision.score), 2, 0, 7);
    drawing.fill();
  });
}

function line(drawing, recent, x, valueOf, y, name, thickness) {
  drawing.strokeStyle = colour(name);
  drawing.lineWidth = thickness;
  drawing.beginPath();
  let broken = true;
  recent.forEach((decision, index) => {
    const value = valueOf(decision);
    if (value === null) {
      broken = true;
      return;
    }
    if (broken) drawing.moveTo(x(index), y(value));
    else drawing.lineTo(x(index), y(value));
    broken = false;
  });
  drawing.stroke();
}

function setNote(text, kind, staysMilliseconds) {
  const note = element("note");
  if (note.textContent !== text) note.textContent = text;
  note.className = kind;
  noteStaysUntil = performance.now() + staysMilliseconds;
}

async function sendThreshold(value) {
  try {
    const answer = await fetch("policy", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ threshold: value }),
    });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    setNote(`Threshold ${value.toFixed(2)} applied`, "note", 4000);
  } catch (error) {
    setNote(`Not applied: ${error.message}`, "note trouble", 10000);
  }
}

function moveSlider() {
  dragging = true;
  const value = Number(element("threshold").value);
  element("threshold-value").textContent = value.toFixed(2);
  change += 1;
  const number = change;
  clearTimeout(timer);
  timer = setTimeout(() => {
    sending = sending.then(async () => {
      await sendThreshold(value);
      settled = number;
      settledAt = performance.now();
    });
  }, 120);
}

element("threshold").addEventListener("input", moveSlider);
element("threshold").addEventListener("change", () => {
  dragging = false;
});
watchState();
watchPicture();
