// Detection without anchors (FCOS: Tian et al. 2019, arXiv 1904.01355): what each place of a pyramid is to say.
//
// Places are numbered level by level, row by row; place (i, j) of a level of stride s is the point ((j + ½) s, (i + ½) s).
// targets [images · places, 6]: class (−1: nothing, −2: not judged), the distances to the left, upper, right and lower edge in strides,
// centre-ness √(min(l,r)/max(l,r) · min(t,b)/max(t,b)).
//   assign  one invocation: one place. Its object is the smallest box whose middle part (within `radius` strides of its centre, and
//           within the box) holds the place and whose farthest edge is at a distance that belongs to the level: (8·s of the level below,
//           8·s]; from 0 at the first level, without an end at the last. Places within a box that is not judged are not judged.
//   norms   one workgroup: Σ [class ≥ 0] and Σ centre-ness of those, to sums[0] and sums[1].

#import shared/index
#import shared/rows

struct Assign {
    places: u32, images: u32, boxes: u32, levels: u32,
    start1: u32, start2: u32, start3: u32, start4: u32,
    width0: u32, width1: u32, width2: u32, width3: u32, width4: u32,
    stride0: f32, stride1: f32, stride2: f32, stride3: f32, stride4: f32,
    radius: f32,
}

@group(0) @binding(0) var<uniform> a: Assign;

// First place, width, stride of the level that holds place `i`, and the stride of the level below (0: there is none).
struct Level { start: u32, width: u32, stride: f32, below: f32, last: bool }

fn level_of(i: u32) -> Level {
    if a.levels > 4u && i >= a.start4 {
        return Level(a.start4, a.width4, a.stride4, a.stride3, a.levels == 5u);
    }
    if a.levels > 3u && i >= a.start3 {
        return Level(a.start3, a.width3, a.stride3, a.stride2, a.levels == 4u);
    }
    if a.levels > 2u && i >= a.start2 {
        return Level(a.start2, a.width2, a.stride2, a.stride1, a.levels == 3u);
    }
    if a.levels > 1u && i >= a.start1 {
        return Level(a.start1, a.width1, a.stride1, a.stride0, a.levels == 2u);
    }
    return Level(0u, a.width0, a.stride0, 0.0, a.levels == 1u);
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
    if id >= a.images * a.places {
        return;
    }
    let place = id % a.places;
    let level = level_of(place);
    let s = level.stride;
    let x = (f32((place - level.start) % level.width) + 0.5) * s;
    let y = (f32((place - level.start) / level.width) + 0.5) * s;
    var label = -1.0;
    var best = vec4<f32>(0.0);
    var smallest = 3e38;
    var judged = true;
    for (var k = 0u; k < a.boxes; k++) {
        let at = (id / a.places * a.boxes + k) * 6u;
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
        if what == 1.0 && inside && off < a.radius * s && fits && area < smallest {
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

struct Norms { rows: u32 }

@group(0) @binding(0) var<uniform> n: Norms;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn norms(@builtin(local_invocation_index) lane: u32) {
    var mine = vec2<f32>(0.0);
    for (var i = lane; i < n.rows; i += 64u) {
        mine += select(vec2<f32>(0.0), vec2<f32>(1.0, targets[6u * i + 5u]), targets[6u * i] >= 0.0);
    }
    let all = group_sum2(mine, lane);
    if lane == 0u {
        sums[0] = all.x;
        sums[1] = all.y;
    }
}
