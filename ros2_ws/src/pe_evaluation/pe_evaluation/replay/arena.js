// The arena from above. Trails are kept on two layers and only grow; a seek backwards or a camera starts them anew.

const COLOURS = ["#D55E00", "#0072B2"];
const TINTS = ["#f3d3bd", "#bfd9ea"];
const TIER_COLOURS = [null, "#F0E442", "#CC79A7", "#999999"];
const TIER_LETTERS = ["", "R", "B", "S"];
const INK = "#222222";
const GROUND = "#f4f3ef";
const SOLID = "#b9b4aa";
const CHASE_SECONDS = 8;

class ArenaPanel {
  constructor(canvas, track, margins) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.track = track;
    this.margins = margins; // colours by margin: {colours, contact}
    this.layers = [0, 1].map(() => document.createElement("canvas").getContext("2d"));
    this.drawn = -1;
    this.camera = { x: 0, y: 0, half: track.half * 1.045 };
  }

  resize(side, ratio) {
    this.side = side;
    this.ratio = ratio;
    for (const canvas of [this.canvas, ...this.layers.map((layer) => layer.canvas)]) {
      canvas.width = canvas.height = Math.round(side * ratio);
    }
    this.scale = side / (2 * this.camera.half);
    this.forget();
  }

  forget() {
    for (const layer of this.layers) {
      layer.setTransform(1, 0, 0, 1, 0, 0);
      layer.clearRect(0, 0, layer.canvas.width, layer.canvas.height);
    }
    this.drawn = -1;
  }

  // Units of a context become metres, y upwards.
  metres(context) {
    const k = this.scale * this.ratio;
    const middle = context.canvas.width / 2;
    context.setTransform(k, 0, 0, -k, middle - k * this.camera.x, middle + k * this.camera.y);
  }

  draw(place, chase) {
    const at = Math.min(place, this.track.steps);
    const step = Math.floor(at);
    if (chase) this.follow(at);
    else if (this.chasing) {
      this.camera = { x: 0, y: 0, half: this.track.half * 1.045 };
      this.forget();
    }
    this.chasing = chase;
    this.scale = this.side / (2 * this.camera.half);
    if (chase || step < this.drawn) this.forget();
    const from = chase ? Math.max(0, step - Math.round(CHASE_SECONDS / this.track.dt)) : Math.max(this.drawn, 0);
    this.extend(from, step);
    this.drawn = step;
    const c = this.context;
    this.metres(c);
    this.ground(c);
    c.setTransform(1, 0, 0, 1, 0, 0);
    for (const layer of this.layers) c.drawImage(layer.canvas, 0, 0);
    this.metres(c);
    this.bodies(c, at, step);
    if (!chase) this.bar(c);
  }

  // A camera that holds both robots, at least 2.4 m (or a seventh of the arena) to a side.
  follow(at) {
    const [p, e] = [0, 1].map((robot) => poseAt(this.track, at, robot));
    const span = Math.max(Math.abs(p[0] - e[0]), Math.abs(p[1] - e[1]));
    const half = Math.max(0.62 * span + 4 * this.track.capture, 0.14 * this.track.half);
    this.camera = { x: (p[0] + e[0]) / 2, y: (p[1] + e[1]) / 2, half: Math.min(half, 1.045 * this.track.half) };
  }

  ground(c) {
    const { half, obstacles } = this.track;
    const reach = 4 * half;
    const thin = 1 / this.scale;
    c.fillStyle = SOLID;
    c.fillRect(-reach, -reach, 2 * reach, 2 * reach);
    c.fillStyle = GROUND;
    c.fillRect(-half, -half, 2 * half, 2 * half);
    c.lineWidth = thin;
    c.strokeStyle = "#e2dfd7";
    c.beginPath();
    const grid = half > 4 ? 2 : half > 1.5 ? 1 : 0.5;
    for (let x = Math.ceil(-half / grid) * grid; x <= half; x += grid) {
      c.moveTo(x, -half);
      c.lineTo(x, half);
      c.moveTo(-half, x);
      c.lineTo(half, x);
    }
    c.stroke();
    c.strokeStyle = INK;
    c.strokeRect(-half, -half, 2 * half, 2 * half);
    for (const [x, y, radius] of obstacles) {
      c.beginPath();
      c.arc(x, y, radius, 0, 2 * Math.PI);
      c.fillStyle = SOLID;
      c.fill();
      c.stroke();
    }
  }

  // Add the trails of the steps from..to: the robot's tint below, its margin in colour above.
  extend(from, to) {
    const [edge, core] = this.layers;
    for (const layer of this.layers) {
      this.metres(layer);
      layer.lineCap = layer.lineJoin = "round";
    }
    const p = this.track.poses;
    const px = 1 / this.scale;
    edge.lineWidth = 6 * px;
    for (let robot = 0; robot < 2 && to > from; robot++) {
      const o = 3 * robot;
      edge.strokeStyle = TINTS[robot];
      edge.beginPath();
      edge.moveTo(p[6 * from + o], p[6 * from + o + 1]);
      for (let step = from + 1; step <= to; step++) edge.lineTo(p[6 * step + o], p[6 * step + o + 1]);
      edge.stroke();
      this.core(core, robot, from, to, 2.2 * px);
    }
    for (let robot = 0; robot < 2; robot++) {
      for (let step = from; step < to; step++) this.marks(core, step, robot, px);
      if (from === 0) this.start(core, robot, px);
    }
  }

  // One stroke for each run of steps of the same colour.
  core(c, robot, from, to, width) {
    const p = this.track.poses;
    const o = 3 * robot;
    c.lineWidth = width;
    let step = from;
    while (step < to) {
      const colour = this.colour(step, robot);
      c.strokeStyle = colour;
      c.beginPath();
      c.moveTo(p[6 * step + o], p[6 * step + o + 1]);
      do {
        step++;
        c.lineTo(p[6 * step + o], p[6 * step + o + 1]);
      } while (step < to && this.colour(step, robot) === colour);
      c.stroke();
    }
  }

  colour(step, robot) {
    const m = this.track.margins;
    const margin = Math.min(m[2 * step + robot], m[2 * step + 2 + robot]);
    const { colours, contact } = this.margins;
    if (margin <= 0) return contact;
    const most = 0.1 * this.track.half;
    return colours[Math.min(colours.length - 1, Math.floor((margin / most) * colours.length))];
  }

  start(c, robot, px) {
    const [x, y] = poseAt(this.track, 0, robot);
    c.beginPath();
    c.arc(x, y, 3.5 * px, 0, 2 * Math.PI);
    c.fillStyle = "#ffffff";
    c.strokeStyle = COLOURS[robot];
    c.lineWidth = 1.5 * px;
    c.fill();
    c.stroke();
  }

  // On the trail: an arrow at every eighth corrected step, a letter where the tier changes.
  marks(c, step, robot, px) {
    const t = this.track;
    const [x, y] = poseAt(t, step, robot);
    if (t.corrections[robot][step] && (step % 8 === 0 || !step || !t.corrections[robot][step - 1])) {
      const theta = t.poses[6 * step + 3 * robot + 2];
      const { nominal, executed } = command(t, step, robot);
      const change = this.velocity([executed[0] - nominal[0], executed[1] - nominal[1]], theta, 18);
      this.arrow(c, x, y, change, COLOURS[robot], 1.2, px);
    }
    const tier = t.tiers[2 * step + robot];
    if (tier && (step === 0 || t.tiers[2 * step - 2 + robot] !== tier)) this.badge(c, x, y, tier, px);
  }

  badge(c, x, y, tier, px) {
    c.beginPath();
    c.arc(x, y, 5.5 * px, 0, 2 * Math.PI);
    c.fillStyle = TIER_COLOURS[tier];
    c.strokeStyle = INK;
    c.lineWidth = 0.8 * px;
    c.fill();
    c.stroke();
    this.text(c, TIER_LETTERS[tier], x, y, "bold 8px sans-serif", INK, px);
  }

  text(c, words, x, y, font, colour, px) {
    c.save();
    c.translate(x, y);
    c.scale(px, -px);
    c.font = font;
    c.fillStyle = colour;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.fillText(words, 0, 0.5);
    c.restore();
  }

  // A command as a velocity of the control point in pixels: full speed is `length` long, and so is a full turn.
  velocity([v, omega], theta, length) {
    const limit = (value) => Math.max(-1.5, Math.min(1.5, Number.isNaN(value) ? 0 : value));
    const ahead = limit(v / this.track.range.v) * length;
    const left = limit(omega / this.track.range.omega) * length;
    const [cosine, sine] = [Math.cos(theta), Math.sin(theta)];
    return [cosine * ahead - sine * left, sine * ahead + cosine * left];
  }

  arrow(c, x, y, [dx, dy], colour, width, px) {
    const length = Math.hypot(dx, dy);
    if (length < 1) return;
    const [ux, uy] = [dx / length, dy / length];
    const head = Math.min(6, 2 + length / 4);
    const at = (along, across) => [x + (ux * along - uy * across) * px, y + (uy * along + ux * across) * px];
    c.strokeStyle = c.fillStyle = colour;
    c.lineWidth = width * px;
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(...at(length - head * 0.7, 0));
    c.stroke();
    c.beginPath();
    c.moveTo(...at(length, 0));
    c.lineTo(...at(length - head, head * 0.5));
    c.lineTo(...at(length - head, -head * 0.5));
    c.fill();
  }

  bodies(c, at, step) {
    const t = this.track;
    const px = 1 / this.scale;
    const poses = [0, 1].map((robot) => poseAt(t, at, robot));
    const caught = t.captured && step >= t.steps;
    c.beginPath();
    c.arc(poses[0][0], poses[0][1], t.capture, 0, 2 * Math.PI);
    c.setLineDash([4 * px, 3 * px]);
    c.lineWidth = (caught ? 2 : 1) * px;
    c.strokeStyle = INK;
    c.stroke();
    c.setLineDash([]);
    for (let robot = 1; robot >= 0; robot--) {
      const [x, y, theta] = poses[robot];
      const radius = t.radii[robot];
      c.beginPath();
      c.arc(x, y, radius, 0, 2 * Math.PI);
      c.fillStyle = COLOURS[robot];
      c.fill();
      // A body of a few pixels gets a ring that can be seen.
      c.beginPath();
      c.arc(x, y, Math.max(radius, 4.5 * px), 0, 2 * Math.PI);
      c.lineWidth = 1.4 * px;
      c.strokeStyle = COLOURS[robot];
      c.stroke();
      const nose = Math.max(1.9 * radius, 9 * px);
      c.beginPath();
      c.moveTo(x, y);
      c.lineTo(x + nose * Math.cos(theta), y + nose * Math.sin(theta));
      c.lineWidth = 2 * px;
      c.stroke();
      if (step < t.steps) this.commands(c, step, robot, x, y, theta, px);
    }
  }

  // What was asked (grey) and what was done (the robot's colour), where they differ; the tier where it is not exact.
  commands(c, step, robot, x, y, theta, px) {
    const t = this.track;
    if (t.corrections[robot][step]) {
      const { nominal, executed } = command(t, step, robot);
      this.arrow(c, x, y, this.velocity(nominal, theta, 34), "#6b6b6b", 2.6, px);
      this.arrow(c, x, y, this.velocity(executed, theta, 34), COLOURS[robot], 2, px);
    }
    const tier = t.tiers[2 * step + robot];
    if (tier) this.badge(c, x + 13 * px, y + 13 * px, tier, px);
  }

  // One metre (or what fits) as a measure.
  bar(c) {
    const length = this.track.half > 4 ? 2 : this.track.half > 1.5 ? 0.5 : 0.2;
    const px = 1 / this.scale;
    const [x, y] = [-this.track.half + 8 * px, -this.track.half + 9 * px];
    c.lineWidth = 2 * px;
    c.strokeStyle = INK;
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(x + length, y);
    c.stroke();
    this.text(c, `${length} m`, x + length / 2, y + 8 * px, "10px sans-serif", INK, px);
  }
}
