// The player: clock, controls, keys; one for each replay of the page.

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

class Player {
  constructor(root) {
    this.root = root;
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    this.data = data;
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.playing = false;
    this.seconds = 0;
    this.speed = 1;
    this.chase = false;
    this.bind();
    this.choose(0);
    root.classList.add("replay-on");
    // The first size is that of the page with the controls shown.
    this.resize();
    new ResizeObserver(() => this.resize()).observe(this.part("stage"));
    root.replay = this;
  }

  bind() {
    const on = (name, kind, act) => this.part(name).addEventListener(kind, act);
    on("play", "click", () => this.toggle());
    on("back", "click", () => this.step(-1));
    on("forward", "click", () => this.step(1));
    on("previous", "click", () => this.event(-1));
    on("next", "click", () => this.event(1));
    on("scrub", "input", (event) => this.seek(Number(event.target.value)));
    on("speed", "change", (event) => this.setSpeed(Number(event.target.value)));
    on("chase", "change", (event) => this.setChase(event.target.checked));
    const group = this.part("group");
    if (group) group.addEventListener("change", () => this.choose(Number(group.value)));
    this.root.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("beforeprint", () => this.pause());
  }

  choose(index) {
    this.pause();
    this.tracks = this.data.groups[index].tracks.map(decode);
    this.dt = Math.min(...this.tracks.map((track) => track.dt));
    this.last = Math.max(...this.tracks.map((track) => track.steps * track.dt), this.dt);
    this.steps = Math.round(this.last / this.dt);
    this.stage();
    const scrub = this.part("scrub");
    scrub.max = this.steps;
    this.seconds = 0;
    if (this.part("group")) this.part("group").value = index;
    if (this.side) this.resize(true);
  }

  stage() {
    const stage = this.part("stage");
    stage.replaceChildren();
    stage.dataset.count = this.tracks.length;
    this.panels = this.tracks.map((track) => this.panel(stage, track));
  }

  panel(stage, track) {
    const box = element("article", "replay-panel", stage);
    const head = element("h4", "", box);
    head.textContent = head.title = `${track.name} v ${track.evader}`;
    const line = element("p", "replay-outcome", box);
    const least = `least margin ${number(track.least.value, 3)} m (${ROLES[track.least.robot]})`;
    line.textContent = `${outcome(track)} · `;
    element("span", "", line).textContent = least;
    if (track.captured) line.classList.add("replay-captured");
    const frame = element("div", "replay-arena", box);
    const canvas = element("canvas", "", frame);
    const end = track.steps ? spoken(track, track.steps) : "";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Arena from above. ${end} ${least}.`);
    const now = element("p", "replay-now", box);
    const values = element("div", "replay-strips", box);
    const strips = element("canvas", "", values);
    strips.setAttribute("role", "img");
    strips.setAttribute("aria-label", `Margins and commands of ${track.name} over time`);
    const cursor = element("div", "replay-cursor", values);
    const panel = {
      track, box, now, frame,
      arena: new ArenaPanel(canvas, track, this.data.margins),
      strips: new Strips(strips, cursor, track, this.last),
    };
    this.draggable(values, panel.strips);
    return panel;
  }

  // Press or drag on a strip moves the time of all.
  draggable(box, strips) {
    const move = (event) => this.seek(strips.time(event.clientX - box.getBoundingClientRect().left) / this.dt);
    box.addEventListener("pointerdown", (event) => {
      box.setPointerCapture(event.pointerId);
      this.pause();
      move(event);
    });
    box.addEventListener("pointermove", (event) => {
      if (box.hasPointerCapture(event.pointerId)) move(event);
    });
  }

  resize(always) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const side = Math.floor(this.panels[0].frame.clientWidth);
    if (!side || (side === this.side && ratio === this.ratio && always !== true)) return;
    this.side = side;
    this.ratio = ratio;
    for (const panel of this.panels) {
      const width = panel.strips.canvas.parentElement.clientWidth;
      const beside = panel.frame.getBoundingClientRect().right <= panel.strips.canvas.getBoundingClientRect().left;
      panel.arena.resize(side, ratio);
      panel.strips.resize(width, ratio, beside ? side : 0);
    }
    this.draw();
  }

  draw() {
    const place = this.seconds / this.dt;
    for (const panel of this.panels) {
      panel.arena.draw(this.seconds / panel.track.dt + 1e-6, this.chase);
      panel.strips.place(this.seconds);
      this.readout(panel);
    }
    const shown = `${this.seconds.toFixed(2)} s`;
    this.part("time").textContent = shown;
    const scrub = this.part("scrub");
    scrub.value = Math.round(place);
    scrub.setAttribute("aria-valuetext", `${shown} of ${this.last.toFixed(2)} s`);
  }

  readout(panel) {
    const t = panel.track;
    const step = Math.min(Math.floor(this.seconds / t.dt + 1e-6), t.steps);
    const p = t.poses;
    const distance = Math.hypot(p[6 * step] - p[6 * step + 3], p[6 * step + 1] - p[6 * step + 4]);
    const margins = [0, 1].map((robot) => number(t.margins[2 * step + robot], 2));
    panel.now.textContent = `distance ${number(distance, 2)} m · margins ${margins.join(" / ")} m`;
    panel.box.classList.toggle("replay-over", step >= t.steps);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.seconds >= this.last - 1e-9) this.seconds = 0;
    this.playing = true;
    this.label();
    let before = null;
    const tick = (now) => {
      if (!this.playing) return;
      if (before !== null) this.seconds = Math.min(this.last, this.seconds + (this.speed * (now - before)) / 1000);
      before = now;
      this.draw();
      if (this.seconds >= this.last) this.pause();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.label();
    this.say();
  }

  label() {
    const button = this.part("play");
    button.textContent = this.playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    button.title = `${this.playing ? "Pause" : "Play"} (space)`;
  }

  // To a step, counted in control periods of the group.
  seek(place) {
    this.seconds = Math.max(0, Math.min(this.steps, Math.round(place))) * this.dt;
    this.draw();
  }

  step(count) {
    this.pause();
    this.seek(Math.round(this.seconds / this.dt) + count);
    this.say();
  }

  event(direction) {
    this.pause();
    const here = Math.round(this.seconds / this.dt);
    const places = this.tracks.flatMap((track) => track.events.map((event) => ({
      place: Math.round((event.step * track.dt) / this.dt), words: `${track.name}: ${event.name}`,
    })));
    const beyond = places.filter((event) => (event.place - here) * direction > 0);
    if (!beyond.length) return;
    const next = beyond.reduce((best, event) => ((event.place - best.place) * direction < 0 ? event : best));
    this.seek(next.place);
    this.say(next.words);
  }

  setSpeed(speed) {
    this.speed = speed;
    this.part("speed").value = String(speed);
  }

  setChase(chase) {
    this.chase = chase;
    this.part("chase").checked = chase;
    this.draw();
  }

  say(first) {
    const words = this.tracks.map((track) => spoken(track, Math.floor(this.seconds / track.dt + 1e-6)));
    this.part("says").textContent = `${this.seconds.toFixed(2)} s. ${first ? `${first}. ` : ""}${words.join(" ")}`;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const own = event.target.tagName;
    if (own === "SELECT" || (event.key === " " && (own === "BUTTON" || own === "INPUT"))) return;
    const second = Math.round(1 / this.dt);
    const faster = (by) => this.setSpeed(SPEEDS[Math.max(0, Math.min(5, SPEEDS.indexOf(this.speed) + by))]);
    const act = {
      " ": () => this.toggle(),
      k: () => this.toggle(),
      ArrowLeft: () => this.step(event.shiftKey ? -second : -1),
      ArrowRight: () => this.step(event.shiftKey ? second : 1),
      Home: () => this.step(-this.steps),
      End: () => this.step(this.steps),
      n: () => this.event(1),
      p: () => this.event(-1),
      "+": () => faster(1),
      "-": () => faster(-1),
      z: () => this.setChase(!this.chase),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

function element(tag, name, parent) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  parent.append(made);
  return made;
}

for (const root of document.querySelectorAll(".replay:not(.replay-on)")) new Player(root);
