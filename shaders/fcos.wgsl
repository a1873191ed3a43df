// Detection without anchors (FCOS: Tian et al. 2019, arXiv 1904.01355): what each place of a pyramid is to say, and its losses.
//
// Places are numbered level by level, row by row; place (i, j) of a level of stride s is the point ((j + ½) s, (i + ½) s).
// z [images, places, classes + 5]: logits of the classes, logarithms of the distances to the left, upper, right and lower edge in
// strides, the logit of centre-ness. targets [images · places, 6]: class (−1: nothing, −2: not judged), the four distances in strides,
// centre-ness √(min(l,r)/max(l,r) · min(t,b)/max(t,b)).
//   assign  one invocation: one place. Its object is the smallest box whose middle part (within `radius` strides of its centre, and
//           within the box) holds the place and whose farthest edge is at a distance that belongs to the level: (8·s of the level below,
//           8·s]; from 0 at the first level, without an end at the last. Places within a box that is not judged are not judged.
//   norms   one workgroup: Σ [class ≥ 0] and Σ centre-ness of those, to norms[0] and norms[1].
//   focal   −α_t (1 − p_t)^γ log p_t over all classes of all judged places, / max(norms[0], 1)  (Lin et al. 2017, arXiv 1708.02002)
//   giou    centre-ness · (2 − I/U − U/C) at places with an object, / max(norms[1], 10⁻⁶)        (Rezatofighi et al. 2019, arXiv 1902.09630)
//   centre  binary cross entropy of centre-ness at places with an object, / max(norms[0], 1)
//   teach   one invocation: one place. targets from what a teacher says instead: its distances, and in place of centre-ness its
//           foreground q = max over the classes of σ(taught); class 0 where q ≥ `radius`, else −1. giou is then that against the teacher.
//   soft    q · T² Σ over the classes of KL(σ(taught / T) ‖ σ(z / T)), / max(norms[1], 10⁻⁶); T is `gamma`
// Losses: one invocation a place; row_loss [images · places] receives weight · its share, dz (GRAD = 1) weight · the gradient, zero in
// the columns that a loss does not see. Memory: each reads z and targets once.

#import shared/index
#import shared/rows

struct Params {
    places: u32, images: u32, classes: u32, boxes: u32, levels: u32, accumulate: u32,
    start1: u32, start2: u32, start3: u32, start4: u32,
    width0: u32, width1: u32, width2: u32, width3: u32, width4: u32,
    stride0: f32, stride1: f32, stride2: f32, stride3: f32, stride4: f32,
    radius: f32, alpha: f32, gamma: f32, weight: f32,
}

@group(0) @binding(0) var<uniform> p: Params;

// First place, width, stride of the level that holds place `i`, and the stride of the level below (0: there is none).
struct Level { start: u32, width: u32, stride: f32, below: f32, last: bool }

fn level_of(i: u32) -> Level {
    if p.levels > 4u && i >= p.start4 {
        return Level(p.start4, p.width4, p.stride4, p.stride3, p.levels == 5u);
    }
    if p.levels > 3u && i >= p.start3 {
        return Level(p.start3, p.width3, p.stride3, p.stride2, p.levels == 4u);
    }
    if p.levels > 2u && i >= p.start2 {
        return Level(p.start2, p.width2, p.stride2, p.stride1, p.levels == 3u);
    }
    if p.levels > 1u && i >= p.start1 {
        return Level(p.start1, p.width1, p.stride1, p.stride0, p.levels == 2u);
    }
    return Level(0u, p.width0, p.stride0, 0.0, p.levels == 1u);
}

// [images, boxes, 6]: left, upper, right and lower edge in pixels, class, and what it is: 0 nothing, 1 an object, 2 not judged, 3 the
// whole image is not judged.
@group(0) @binding(1) var<storage, read> objects: array<f32>;
@group(0) @binding(2) var<storage, read_write> assigned: array<f32>;

@compute @workgroup_size(64)
fn assign(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.images * p.places {
        return;
    }
    let place = id % p.places;
    let level = level_of(place);
    let s = level.stride;
    let x = (f32((place - level.start) % level.width) + 0.5) * s;
    let y = (f32((place - level.start) / level.width) + 0.5) * s;
    var label = -1.0;
    var best = vec4<f32>(0.0);
    var smallest = 3e38;
    var judged = true;
    for (var k = 0u; k < p.boxes; k++) {
        let at = (id / p.places * p.boxes + k) * 6u;
        let what = objects[at + 5u];
        if what == 3.0 {
            judged = false;
        }
        let left = objects[at];
        let upper = objects[at + 1u];
        let right = objects[at + 2u];
        let lower = objects[at + 3u];
        let d = vec4<f32>(x - left, y - upper, right - x, lower - y);
        let inside = min(min(d.x, d.y), min(d.z, d.w)) > 0.0;
        if what == 2.0 && inside {
            judged = false;
        }
        let off = max(abs(2.0 * x - left - right), abs(2.0 * y - upper - lower)) * 0.5;
        let far = max(max(d.x, d.y), max(d.z, d.w));
        let fits = far > 8.0 * level.below && (far <= 8.0 * s || level.last);
        let area = (right - left) * (lower - upper);
        if what == 1.0 && inside && off < p.radius * s && fits && area < smallest {
            smallest = area;
            label = objects[at + 4u];
            best = d / s;
        }
    }
    let found = label >= 0.0;
    let ratio = min(best.x, best.z) / max(max(best.x, best.z), 1e-6) * (min(best.y, best.w) / max(max(best.y, best.w), 1e-6));
    assigned[6u * id] = select(select(-2.0, -1.0, judged), label, found);
    assigned[6u * id + 1u] = best.x;
    assigned[6u * id + 2u] = best.y;
    assigned[6u * id + 3u] = best.z;
    assigned[6u * id + 4u] = best.w;
    assigned[6u * id + 5u] = sqrt(max(ratio, 0.0));
}

@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn norms(@builtin(local_invocation_index) lane: u32) {
    var mine = vec2<f32>(0.0);
    for (var i = lane; i < p.images * p.places; i += 64u) {
        mine += select(vec2<f32>(0.0), vec2<f32>(1.0, targets[6u * i + 5u]), targets[6u * i] >= 0.0);
    }
    let all = group_sum2(mine, lane);
    if lane == 0u {
        sums[0] = all.x;
        sums[1] = all.y;
    }
}

@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read> norm: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(6) var<storage, read_write> dz: array<f32>;

fn put(i: u32, g: f32) {
    if p.accumulate != 0u {
        dz[i] += g;
    } else {
        dz[i] = g;
    }
}
#else
fn put(i: u32, g: f32) {}
#endif

// log(1 + exp(v)) without overflow, and without losing a small exp(v).
fn softplus(v: f32) -> f32 {
    let e = exp(-abs(v));
    let series = e * (1.0 - e * (0.5 - e * (0.33333334 - e * (0.25 - e * 0.2))));
    return max(v, 0.0) + select(log(1.0 + e), series, e < 0.05);
}

@compute @workgroup_size(64)
fn focal(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.images * p.places {
        return;
    }
    let columns = p.classes + 5u;
    let label = targets[6u * id];
    let scale = select(p.weight / max(norm[0], 1.0), 0.0, label < -1.5);
    var loss = 0.0;
    for (var c = 0u; c < columns; c++) {
        var g = 0.0;
        if c < p.classes {
            let v = z[id * columns + c];
            // log p and log (1 − p) of the true side, whichever that is.
            let hit = label == f32(c);
            let log_true = -softplus(select(v, -v, hit));
            let log_false = -softplus(select(-v, v, hit));
            let part = scale * select(1.0 - p.alpha, p.alpha, hit) * exp(p.gamma * log_false);
            loss -= part * log_true;
            let turned = part * (p.gamma * exp(log_true) * log_true - exp(log_false));
            g = select(-turned, turned, hit);
        }
        put(id * columns + c, g);
    }
    row_loss[id] = loss;
}

@compute @workgroup_size(64)
fn giou(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.images * p.places {
        return;
    }
    let columns = p.classes + 5u;
    let first = id * columns + p.classes;
    let found = targets[6u * id] >= 0.0;
    let scale = select(0.0, p.weight * targets[6u * id + 5u] / max(norm[1], 1e-6), found);
    let t = vec4<f32>(targets[6u * id + 1u], targets[6u * id + 2u], targets[6u * id + 3u], targets[6u * id + 4u]);
    let raw = vec4<f32>(z[first], z[first + 1u], z[first + 2u], z[first + 3u]);
    let d = exp(clamp(raw, vec4<f32>(-15.0), vec4<f32>(15.0)));
    let near = min(d, t);
    let far = max(d, t);
    let overlap = near.xy + near.zw;
    let around = far.xy + far.zw;
    let own = d.xy + d.zw;
    let inter = overlap.x * overlap.y;
    let all = own.x * own.y + (t.x + t.z) * (t.y + t.w) - inter;
    let hull = max(around.x * around.y, 1e-12);
    let union_ = max(all, 1e-12);
    row_loss[id] = scale * (2.0 - inter / union_ - union_ / hull);
    for (var c = 0u; c < columns; c++) {
        var g = 0.0;
        if c >= p.classes && c < p.classes + 4u {
            // Along x for left and right, along y for the others.
            let k = c - p.classes;
            let across = k == 0u || k == 2u;
            let d_inter = select(0.0, select(overlap.x, overlap.y, across), d[k] < t[k]);
            let d_hull = select(0.0, select(around.x, around.y, across), d[k] > t[k]);
            let d_union = select(own.x, own.y, across) - d_inter;
            let slope = -(d_inter * union_ - inter * d_union) / (union_ * union_) - (d_union * hull - union_ * d_hull) / (hull * hull);
            g = select(0.0, scale * slope * d[k], abs(raw[k]) < 15.0 && found);
        }
        put(id * columns + c, g);
    }
}

@compute @workgroup_size(64)
fn centre(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.images * p.places {
        return;
    }
    let columns = p.classes + 5u;
    let scale = select(0.0, p.weight / max(norm[0], 1.0), targets[6u * id] >= 0.0);
    let v = z[id * columns + columns - 1u];
    let wanted = targets[6u * id + 5u];
    row_loss[id] = scale * (softplus(v) - wanted * v);
    for (var c = 0u; c < columns; c++) {
        let g = scale * (exp(-softplus(-v)) - wanted);
        put(id * columns + c, select(0.0, g, c + 1u == columns));
    }
}

// As z, of a teacher.
@group(0) @binding(7) var<storage, read> taught: array<f32>;

@compute @workgroup_size(64)
fn teach(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.images * p.places {
        return;
    }
    let at = id * (p.classes + 5u);
    var top = -3e38;
    for (var c = 0u; c < p.classes; c++) {
        top = max(top, taught[at + c]);
    }
    let q = exp(-softplus(-top));
    assigned[6u * id] = select(-1.0, 0.0, q >= p.radius);
    for (var k = 0u; k < 4u; k++) {
        assigned[6u * id + 1u + k] = exp(clamp(taught[at + p.classes + k], -15.0, 15.0));
    }
    assigned[6u * id + 5u] = q;
}

@compute @workgroup_size(64)
fn soft(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.images * p.places {
        return;
    }
    let columns = p.classes + 5u;
    let scale = p.weight * targets[6u * id + 5u] / max(norm[1], 1e-6);
    var loss = 0.0;
    for (var c = 0u; c < columns; c++) {
        var g = 0.0;
        if c < p.classes {
            let a = taught[id * columns + c] / p.gamma;
            let b = z[id * columns + c] / p.gamma;
            let yes = exp(-softplus(-a));
            loss += p.gamma * p.gamma * (yes * (softplus(-b) - softplus(-a)) + (1.0 - yes) * (softplus(b) - softplus(a)));
            g = scale * p.gamma * (exp(-softplus(-b)) - yes);
        }
        put(id * columns + c, g);
    }
    row_loss[id] = scale * loss;
}
