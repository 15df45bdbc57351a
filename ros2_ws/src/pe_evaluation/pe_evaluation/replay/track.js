// Tracks out of their JSON: typed arrays, what is worth stopping at, and the words for a step.

const ROLES = ["pursuer", "evader"];
const TIERS = ["exact", "relaxed", "backup", "stop"];
const NOTICEABLE = 0.02; // of the range of a command; below it an arrow could not be seen

function integers(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  const values = new Int16Array(raw.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = view.getInt16(2 * i, true);
  return values;
}

function floats(text, scales) {
  const whole = integers(text);
  const values = new Float32Array(whole.length);
  for (let i = 0; i < whole.length; i++) {
    values[i] = whole[i] === -32768 ? NaN : whole[i] * scales[i % scales.length];
  }
  return values;
}

// Poses [x, y, theta], commands [nominal v, omega, executed v, omega], margins and tiers, two robots to a sample.
function decode(data) {
  const s = data.scale;
  const track = {
    ...data,
    poses: floats(data.poses, [s.position, s.position, s.angle]),
    commands: floats(data.commands, [s.v, s.omega, s.v, s.omega]),
    margins: floats(data.margins, [s.margin]),
    tiers: Uint8Array.from(atob(data.tiers), (letter) => letter.charCodeAt(0)),
  };
  track.range = commandRange(track);
  track.corrections = ROLES.map((_, robot) => corrections(track, robot));
  track.least = leastMargin(track);
  track.events = events(track);
  return track;
}

// The largest executed |v| and |omega|: what arrows and strips are scaled by.
function commandRange(track) {
  let v = 0;
  let omega = 0;
  for (let i = 0; i < track.commands.length; i += 4) {
    v = Math.max(v, Math.abs(track.commands[i + 2]) || 0);
    omega = Math.max(omega, Math.abs(track.commands[i + 3]) || 0);
  }
  return { v: v || 1, omega: omega || 1 };
}

function command(track, step, robot) {
  const at = 8 * step + 4 * robot;
  const c = track.commands;
  return { nominal: [c[at], c[at + 1]], executed: [c[at + 2], c[at + 3]] };
}

// Size of the correction as a share of the range; infinite where what was asked for is not a number.
function correction(track, step, robot) {
  const { nominal, executed } = command(track, step, robot);
  if (Number.isNaN(executed[0])) return 0;
  const size = Math.hypot((nominal[0] - executed[0]) / track.range.v, (nominal[1] - executed[1]) / track.range.omega);
  return Number.isNaN(size) ? Infinity : size;
}

function corrections(track, robot) {
  const marked = new Uint8Array(track.steps);
  for (let step = 0; step < track.steps; step++) marked[step] = correction(track, step, robot) > NOTICEABLE ? 1 : 0;
  return marked;
}

function leastMargin(track) {
  let at = 0;
  for (let i = 1; i < track.margins.length; i++) if (track.margins[i] < track.margins[at]) at = i;
  return { step: at >> 1, robot: at & 1, value: track.margins[at] };
}

// Steps worth stopping at: each spell of corrections, each change of tier, contact, the least margin, the end.
function events(track) {
  const found = new Map([[track.least.step, "least margin"], [track.steps, track.captured ? "capture" : "end"]]);
  for (let robot = 0; robot < 2; robot++) {
    let quiet = Infinity;
    for (let step = 0; step < track.steps; step++) {
      const tier = track.tiers[2 * step + robot];
      const before = step ? track.tiers[2 * step - 2 + robot] : 0;
      if (tier && tier !== before) found.set(step, `${ROLES[robot]} ${TIERS[tier]}`);
      if (track.corrections[robot][step]) {
        if (quiet > 20 && !found.has(step)) found.set(step, `${ROLES[robot]} corrected`);
        quiet = 0;
      } else quiet++;
    }
  }
  return [...found.entries()].map(([step, name]) => ({ step, name })).sort((a, b) => a.step - b.step);
}

function lerpAngle(a, b, share) {
  const turn = ((((b - a + Math.PI) % (2 * Math.PI)) + 2 * Math.PI) % (2 * Math.PI)) - Math.PI;
  return a + share * turn;
}

// Pose at a time between two samples, [x, y, theta].
function poseAt(track, place, robot) {
  const step = Math.min(Math.floor(place), track.steps);
  const share = place - step;
  const a = 6 * step + 3 * robot;
  const p = track.poses;
  if (step >= track.steps || share <= 0) return [p[a], p[a + 1], p[a + 2]];
  const b = a + 6;
  return [
    p[a] + share * (p[b] - p[a]),
    p[a + 1] + share * (p[b + 1] - p[a + 1]),
    lerpAngle(p[a + 2], p[b + 2], share),
  ];
}

function number(value, digits) {
  return Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–";
}

function outcome(track) {
  const time = (track.steps * track.dt).toFixed(2);
  return track.captured ? `captured at ${time} s` : `not captured in ${time} s`;
}

// What a reader who sees nothing is told about one step.
function spoken(track, step) {
  const at = Math.min(step, track.steps);
  const words = ROLES.map((role, robot) => {
    const tier = at < track.steps ? track.tiers[2 * at + robot] : 0;
    const changed = at < track.steps && track.corrections[robot][at] ? ", corrected" : "";
    const pose = poseAt(track, at, robot);
    return `${role} at ${number(pose[0], 1)}, ${number(pose[1], 1)}, margin ${number(track.margins[2 * at + robot], 2)} m`
      + changed + (tier ? `, ${TIERS[tier]}` : "");
  });
  const end = at === track.steps ? ` ${outcome(track)}.` : "";
  return `${track.name}: ${words.join("; ")}.${end}`;
}
