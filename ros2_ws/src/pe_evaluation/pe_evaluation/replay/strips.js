// Margin, v and omega over time, one below the other; drawn once, with a cursor above that moves.

const LEFT = 38;
const RIGHT = 6;
const ROW_LEAST = 46;
const GAP = 15;
const FOOT = 16;
const ROWS = [
  { label: "margin m" },
  { label: "v m/s", robot: 0, column: 0 },
  { label: "ω rad/s", robot: 0, column: 1 },
  { label: "v m/s", robot: 1, column: 0 },
  { label: "ω rad/s", robot: 1, column: 1 },
];

class Strips {
  constructor(canvas, cursor, track, last) {
    this.canvas = canvas;
    this.cursor = cursor;
    this.track = track;
    this.last = last; // the longest track's end [s]: one axis for all
  }

  // As high as `height` [px] where that is more than the least.
  resize(width, ratio, height) {
    this.width = width;
    this.high = Math.max(ROW_LEAST, Math.floor((height - FOOT) / ROWS.length) - GAP);
    this.height = ROWS.length * (this.high + GAP) + FOOT;
    this.canvas.style.height = `${this.height}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    const c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, this.height);
    ROWS.forEach((row, index) => this.row(c, row, index * (this.high + GAP) + GAP));
    this.axis(c);
  }

  x(time) {
    return LEFT + (time / this.last) * (this.width - LEFT - RIGHT);
  }

  time(x) {
    return Math.max(0, Math.min(1, (x - LEFT) / (this.width - LEFT - RIGHT))) * this.last;
  }

  place(time) {
    this.cursor.style.transform = `translateX(${this.x(Math.min(time, this.last))}px)`;
  }

  row(c, row, top) {
    const t = this.track;
    const margin = row.robot === undefined;
    const limit = margin ? 0 : row.column ? t.range.omega : t.range.v;
    const [low, high] = margin ? this.marginRange() : row.column || this.reverses(row.robot) ? [-limit, limit] : [0, limit];
    const room = 0.08 * (high - low);
    const y = (value) => {
      const share = (value - low + room) / (high - low + 2 * room);
      return top + this.high * (1 - Math.max(0, Math.min(1, share)));
    };
    c.fillStyle = "#ffffff";
    c.fillRect(LEFT, top, this.width - LEFT - RIGHT, this.high);
    if (margin) {
      c.fillStyle = "#f0d4d4";
      c.fillRect(LEFT, y(0), this.width - LEFT - RIGHT, Math.max(0, top + this.high - y(0)));
      this.line(c, t.steps + 1, (step) => y(t.margins[2 * step]), COLOURS[0], 1.3);
      this.line(c, t.steps + 1, (step) => y(t.margins[2 * step + 1]), COLOURS[1], 1.3);
    } else {
      this.tiers(c, row.robot, top);
      const at = (offset) => (step) => y(t.commands[8 * step + 4 * row.robot + row.column + offset]);
      this.line(c, t.steps, at(0), "#9a9a9a", 2.4);
      this.line(c, t.steps, at(2), COLOURS[row.robot], t.steps > this.width ? 0.8 : 1.2);
    }
    c.strokeStyle = "#c9c5bc";
    c.lineWidth = 1;
    c.strokeRect(LEFT + 0.5, top + 0.5, this.width - LEFT - RIGHT - 1, this.high - 1);
    c.font = "10px system-ui, sans-serif";
    c.fillStyle = "#444444";
    c.textAlign = "right";
    c.textBaseline = "middle";
    c.fillText(number(high, high < 10 ? 1 : 0), LEFT - 4, y(high));
    c.fillText(number(low, low > -10 && low < 0 ? 1 : 0), LEFT - 4, y(low));
    c.textAlign = "left";
    c.textBaseline = "alphabetic";
    c.fillStyle = margin ? INK : COLOURS[row.robot];
    c.fillText(margin ? "both margins [m]" : `${ROLES[row.robot]} ${row.label.replace(" ", " [")}]`, LEFT, top - 4);
  }

  marginRange() {
    return [Math.min(0, this.track.least.value), Math.max(0.35 * this.track.half, this.track.least.value)];
  }

  reverses(robot) {
    for (let step = 0; step < this.track.steps; step++) {
      if (command(this.track, step, robot).executed[0] < 0) return true;
    }
    return false;
  }

  // A line over the steps with holes where a value is missing.
  line(c, count, height, colour, width) {
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.lineJoin = "round";
    c.beginPath();
    let open = false;
    for (let step = 0; step < count; step++) {
      const value = height(step);
      if (Number.isNaN(value)) open = false;
      else {
        if (open) c.lineTo(this.x(step * this.track.dt), value);
        else c.moveTo(this.x(step * this.track.dt), value);
        open = true;
      }
    }
    c.stroke();
  }

  tiers(c, robot, top) {
    const t = this.track;
    for (let step = 0; step < t.steps; ) {
      const tier = t.tiers[2 * step + robot];
      let end = step + 1;
      while (end < t.steps && t.tiers[2 * end + robot] === tier) end++;
      if (tier) {
        const x = this.x(step * t.dt);
        c.fillStyle = TIER_COLOURS[tier];
        c.globalAlpha = 0.55;
        c.fillRect(x, top, Math.max(1.5, this.x(end * t.dt) - x), this.high);
        c.globalAlpha = 1;
      }
      step = end;
    }
  }

  axis(c) {
    const marks = [1, 2, 5, 10, 20, 60].find((step) => this.last / step <= 6.5) || 60;
    c.textAlign = "center";
    c.textBaseline = "top";
    c.fillStyle = "#444444";
    const top = ROWS.length * (this.high + GAP);
    for (let time = 0; time <= this.last + 1e-9; time += marks) {
      c.fillRect(this.x(time), top, 1, 3);
      if (this.x(time) < this.width - 12) c.fillText(time ? `${time}` : "0 s", this.x(time), top + 5);
    }
    if (this.track.steps * this.track.dt < this.last) {
      c.fillStyle = "#6b6b6b";
      c.textAlign = "left";
      c.fillRect(this.x(this.track.steps * this.track.dt), GAP, 1, top - GAP);
    }
  }
}
